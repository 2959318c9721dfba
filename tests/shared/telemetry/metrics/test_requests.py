import math

import pytest

from shared.telemetry.methods import METHODS
from shared.telemetry.metrics.definitions import HTTP_BOUNDS_NS
from shared.telemetry.metrics.durations import MOST_SERIES
from shared.telemetry.metrics.families import Distribution
from shared.telemetry.metrics.requests import EVENTS, RequestMetrics
from tests.shared.telemetry.metrics.recording import MS, observation, request_metrics, scraped, value


def durations(metrics: RequestMetrics) -> dict[tuple[str, ...], Distribution]:
    family = metrics.families()[0]
    return {point.labels: point for point in family.points if isinstance(point, Distribution)}


def components(metrics: RequestMetrics) -> dict[tuple[str, ...], Distribution]:
    family = metrics.families()[1]
    return {point.labels: point for point in family.points if isinstance(point, Distribution)}


def test_a_request_is_counted_once_as_a_whole_and_once_per_term() -> None:
    metrics = request_metrics()
    metrics.observe([observation(terms=(2 * MS, 7 * MS, 30 * MS))])
    (whole,) = durations(metrics).items()
    assert whole[0] == ("GET", "/v1/deals", "200", "", "gateway")
    assert (whole[1].total, whole[1].sum_ns) == (1, 39 * MS)
    assert {labels: (each.total, each.sum_ns) for labels, each in components(metrics).items()} == {
        ("processing", "gateway", "/v1/deals"): (1, 2 * MS),
        ("network", "gateway", "/v1/deals"): (1, 7 * MS),
        ("system", "gateway", "/v1/deals"): (1, 30 * MS),
    }


@pytest.mark.parametrize(("bound", "bucket"), [(bound, at) for at, bound in enumerate(HTTP_BOUNDS_NS)])
def test_bounds_are_inclusive(bound: int, bucket: int) -> None:
    metrics = request_metrics()
    metrics.observe([observation(terms=(bound, 0, 0)), observation(terms=(bound + 1, 0, 0))])
    (whole,) = durations(metrics).values()
    assert [at for at, count in enumerate(whole.counts) if count] == [bucket, bucket + 1]
    processing = components(metrics)["processing", "gateway", "/v1/deals"]
    assert processing.counts == whole.counts


def test_the_terms_add_up_to_the_duration_in_whole_nanoseconds() -> None:
    metrics = request_metrics()
    metrics.observe(observation(terms=(n * 333, n * n, 10_000_000_019 // n)) for n in range(1, 500))
    assert sum(each.sum_ns for each in components(metrics).values()) == metrics.spent_ns
    assert sum(each.sum_ns for each in durations(metrics).values()) == metrics.spent_ns


def test_methods_that_nobody_knows_are_one() -> None:
    metrics = request_metrics()
    metrics.observe(observation(method=b"X%d" % n) for n in range(2_000))
    metrics.observe([observation(method="GET"), observation(method=b"GET")])
    assert {labels[0]: each.total for labels, each in durations(metrics).items()} == {
        "_OTHER": 2_000,
        "GET": 2,
    }


def test_nothing_that_callers_send_makes_more_series_than_there_may_be() -> None:
    metrics = request_metrics()
    statuses = (200, 404, 503)
    metrics.observe(
        observation(f"/{n}", statuses[n % 3], method=sorted(METHODS)[n % 7], error=f"E{n % 11}" * (n % 2))
        for n in range(30_000)
    )
    told = durations(metrics)
    assert len(told) <= MOST_SERIES + 2 * len(statuses)
    assert len(components(metrics)) <= MOST_SERIES
    samples = scraped(metrics.families())
    name = "http_server_request_duration_seconds_count"
    # However crowded, each status keeps its own count.
    assert [value(samples, name, http_response_status_code=str(one)) for one in statuses] == [10_000] * 3
    assert value(samples, "crm_response_component_duration_seconds_count", component="system") == 30_000


def test_a_request_without_route_status_or_error_has_no_such_labels() -> None:
    metrics = request_metrics()
    metrics.observe([observation("", None), observation(status=0, error="client_left")])
    names = [
        {key for key, _ in labels}
        for (name, labels) in scraped(metrics.families())
        if name == "http_server_request_duration_seconds_count"
    ]
    assert names == [
        {"http_request_method", "hop"},
        {"http_request_method", "http_route", "error_type", "hop"},
    ]


def test_an_exemplar_is_the_newest_traced_request_of_its_bucket() -> None:
    metrics = request_metrics()
    metrics.observe(
        [
            observation(terms=(MS, 0, 0), trace_id=1, span_id=11, done_ns=5),
            observation(terms=(2 * MS, 0, 0), trace_id=2, span_id=12, done_ns=6),
            observation(terms=(60 * MS, 0, 0), trace_id=3, span_id=13, done_ns=7),
            observation(terms=(3 * MS, 0, 0)),  # not recorded: it would lead nowhere
        ]
    )
    (whole,) = durations(metrics).values()
    assert [(each.bucket, each.trace_id, each.span_id, each.value_ns) for each in whole.exemplars] == [
        (0, 2, 12, 2 * MS),
        (4, 3, 13, 60 * MS),
    ]
    network = components(metrics)["network", "gateway", "/v1/deals"]
    assert [(each.bucket, each.trace_id, each.value_ns) for each in network.exemplars] == [(0, 3, 0)]


def test_security_events_are_requests_and_what_never_became_one() -> None:
    metrics = request_metrics()
    metrics.observe([observation(status=401), observation(status=401, method=b"BREW"), observation()])
    metrics.refused("malformed_request")
    metrics.refused("connection_refused", 3)
    samples = scraped(metrics.families())
    assert {event: value(samples, "crm_security_events_total", event=event) for event in EVENTS} == {
        "authentication_failed": 2,
        "forbidden": 0,
        "rate_limited": 0,
        "malformed_request": 1,
        "connection_refused": 3,
    }
    with pytest.raises(ValueError, match="not in tuple"):
        metrics.refused("teapot")


def test_throughput_error_rate_and_availability_are_those_of_the_load() -> None:
    """What a load generator counts by itself is what the sums say, to the request."""
    metrics = request_metrics()
    statuses = [200] * 7_001 + [404] * 311 + [502] * 97 + [503] * 13 + [0] * 5
    for start in range(0, len(statuses), 64):
        metrics.observe(
            observation(f"/v1/r{n % 17}", status, error="" if status else "client_left")
            for n, status in enumerate(statuses[start : start + 64], start)
        )
    samples = scraped(metrics.families())
    name = "http_server_request_duration_seconds_count"
    every = value(samples, name, hop="gateway")
    failed = sum(value(samples, name, http_response_status_code=str(status)) for status in range(500, 600))
    assert (every, failed) == (len(statuses), 110)
    assert math.isclose(1 - failed / every, 1 - 110 / 7_427, rel_tol=0, abs_tol=0)
    assert value(samples, name, error_type="client_left") == 5
