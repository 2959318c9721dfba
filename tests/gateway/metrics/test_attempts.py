import pytest

from services.gateway.metrics.attempts import AttemptMetrics, AttemptObservation, attempt_error
from services.gateway.resilience.ledger import (
    CLIENT_LEFT,
    HEDGE_LOSER,
    OK,
    REFUSED,
    SERVER_ERROR,
    TIMED_OUT,
    UNAVAILABLE,
    Outcome,
)
from shared.telemetry.metrics.durations import MOST_SERIES
from shared.telemetry.metrics.families import Distribution
from tests.shared.telemetry.metrics.recording import MS, scraped, value

COUNT = "http_client_request_duration_seconds_count"


def attempt(
    port: int = 8001, status: int = 200, outcome: int = 0, *, duration_ns: int = MS, trace_id: int = 0
) -> AttemptObservation:
    return ("sales", "127.0.0.1", port, status, outcome, duration_ns, 0, trace_id, 7)


@pytest.mark.parametrize(
    ("status", "outcome", "error"),
    [
        (200, OK, ""),
        (404, OK, "404"),
        (500, SERVER_ERROR, "500"),
        (503, UNAVAILABLE, "503"),
        (0, REFUSED, "refused"),
        (0, TIMED_OUT, "timed_out"),
        (0, HEDGE_LOSER, "hedge_loser"),
        (200, CLIENT_LEFT, "client_left"),
    ],
)
def test_the_errors_of_a_client(status: int, outcome: Outcome, error: str) -> None:
    assert attempt_error(status, outcome) == error
    assert attempt_error(status, int(outcome)) == error


def test_every_attempt_counts_at_its_replica() -> None:
    metrics = AttemptMetrics()
    metrics.observe([attempt(), attempt(8002), attempt(8002, 503, UNAVAILABLE), attempt(8002, 0, REFUSED)])
    samples = scraped([metrics.family()])
    assert value(samples, COUNT, server_port="8001") == 1
    assert value(samples, COUNT, server_port="8002") == 3
    assert value(samples, COUNT, error_type="refused") == 1
    assert value(samples, COUNT, http_response_status_code="503", error_type="503") == 1
    assert value(samples, COUNT, crm_upstream_name="sales", server_address="127.0.0.1") == 4


def test_an_outcome_and_its_number_are_the_same() -> None:
    metrics = AttemptMetrics()
    metrics.observe([attempt(outcome=OK), attempt(outcome=0)])
    (point,) = metrics.family().points
    assert isinstance(point, Distribution)
    assert (point.total, point.sum_ns) == (2, 2 * MS)


def test_an_address_of_ipv6_has_no_brackets() -> None:
    metrics = AttemptMetrics()
    metrics.observe([("sales", "[::1]", 8001, 200, 0, MS, 0, 0, 0)])
    assert value(scraped([metrics.family()]), COUNT, server_address="::1") == 1


def test_exemplars_lead_to_the_trace() -> None:
    metrics = AttemptMetrics()
    metrics.observe([attempt(duration_ns=60 * MS, trace_id=5), attempt(duration_ns=2 * MS)])
    (point,) = metrics.family().points
    assert isinstance(point, Distribution)
    assert [(one.bucket, one.trace_id, one.span_id, one.value_ns) for one in point.exemplars] == [
        (4, 5, 7, 60 * MS)
    ]


def test_replicas_that_come_and_go_do_not_fill_the_memory() -> None:
    metrics = AttemptMetrics()
    metrics.observe(attempt(port) for port in range(1, 20_001))
    assert len(metrics.family().points) == MOST_SERIES + 1
    samples = scraped([metrics.family()])
    assert value(samples, COUNT, crm_upstream_name="sales", http_response_status_code="200") == 20_000
