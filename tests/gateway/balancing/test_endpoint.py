"""What an endpoint remembers, and that it is the same one after a change of the configuration."""

from math import exp

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.balancing.endpoint import DECAY_NS, Endpoint, EndpointRegistry
from services.gateway.balancing.load_report import LoadReport
from services.gateway.balancing.policy import Replica
from tests.gateway.balancing.fleet import equal, occupy

MS = 1_000_000


def answered(endpoint: Endpoint, at_ms: int, latency_ms: int, *, ok: bool = True) -> None:
    endpoint.began((at_ms - latency_ms) * MS)
    endpoint.ended(at_ms * MS, latency_ms * MS, ok)


@settings(deadline=None)
@given(st.lists(st.booleans()))
def test_in_flight_is_what_began_and_did_not_end(steps: list[bool]) -> None:
    (endpoint,) = equal(1)
    running = 0
    for begins in steps:
        if begins:
            endpoint.began(0)
            running += 1
        elif running:
            endpoint.ended(1, 1, True)
            running -= 1
    assert endpoint.active == running
    assert endpoint.requests == sum(steps)


def test_a_peak_counts_at_once_and_is_forgotten_slowly() -> None:
    (endpoint,) = equal(1)
    answered(endpoint, 100, 10)
    answered(endpoint, 200, 500)
    assert endpoint.latency(200 * MS) == 500 * MS
    answered(endpoint, 300, 10)
    kept = exp(-100 * MS / DECAY_NS)
    assert endpoint.latency_ns == pytest.approx((500 * kept + 10 * (1 - kept)) * MS)
    assert endpoint.latency(300 * MS + DECAY_NS) == pytest.approx(endpoint.latency_ns / exp(1))


def test_failing_fast_is_not_being_fast() -> None:
    (endpoint,) = equal(1)
    answered(endpoint, 100, 50)
    pace = endpoint.pace_ns
    for at in range(200, 300):
        answered(endpoint, at, 1, ok=False)
    assert endpoint.latency_ns == 50 * MS
    assert endpoint.pace_ns == pace
    assert endpoint.failures == 100
    assert endpoint.failure_share > 0.9


def test_failing_slowly_is_being_slow() -> None:
    (endpoint,) = equal(1)
    answered(endpoint, 100, 50)
    answered(endpoint, 5000, 3000, ok=False)
    assert endpoint.latency_ns == 3000 * MS
    assert endpoint.pace_ns > 1000 * MS


def test_what_was_abandoned_tells_only_that_it_is_slow() -> None:
    (endpoint,) = equal(1)
    answered(endpoint, 100, 50)
    endpoint.began(0)
    endpoint.abandoned(200 * MS, 10 * MS)
    assert (endpoint.latency_ns, endpoint.pace_ns, endpoint.failures) == (50 * MS, 50 * MS, 0)
    endpoint.began(0)
    endpoint.abandoned(900 * MS, 850 * MS)
    assert (endpoint.latency_ns, endpoint.pace_ns) == (850 * MS, 450 * MS)
    assert endpoint.active == 0


def test_the_pace_is_the_latency_per_request_in_flight() -> None:
    (endpoint,) = equal(1)
    occupy(endpoint, 4)
    endpoint.reported(LoadReport(inflight=8.0), 0)
    endpoint.ended(0, 50 * MS, True)
    assert endpoint.pace_ns == 10 * MS  # four of ours and a quarter of four others


def test_the_pace_begins_as_a_mean_and_goes_on_as_a_moving_average() -> None:
    (endpoint,) = equal(1)
    for latency_ms in range(1, 65):
        answered(endpoint, 100, latency_ms)
    assert endpoint.pace_ns == pytest.approx(32.5 * MS)
    for _ in range(500):
        answered(endpoint, 100, 10)
    assert endpoint.pace_ns == pytest.approx(10 * MS, rel=0.01)


def test_a_report_tells_what_others_run_there() -> None:
    (endpoint,) = equal(1)
    occupy(endpoint, 2)
    endpoint.reported(LoadReport(inflight=7.0), 5)
    assert (endpoint.others, endpoint.report_at_ns) == (5.0, 5)
    endpoint.reported(LoadReport(inflight=1.0), 6)  # one of ours had not arrived yet
    assert endpoint.others == 0.0
    endpoint.reported(LoadReport(cpu_utilization=0.5), 7)
    assert (endpoint.others, endpoint.report_at_ns) == (0.0, 7)


def test_requests_in_flight_survive_a_new_configuration() -> None:
    registry = EndpointRegistry()
    endpoint = occupy(registry.endpoint(Replica("u", "host", 1)), 3)
    again = registry.endpoint(Replica("u", "host", 1, weight=5, zone="b"))
    assert again is endpoint
    assert (again.active, again.weight, again.replica.zone) == (3, 5.0, "b")
    assert registry.endpoint(Replica("other", "host", 1)) is not endpoint


def test_an_endpoint_is_forgotten_when_nothing_runs_on_it_any_more() -> None:
    registry = EndpointRegistry()
    busy, idle, kept = (registry.endpoint(Replica("u", "host", port)) for port in (1, 2, 3))
    occupy(busy, 1)
    registry.prune([kept.replica])
    assert list(registry) == [busy, kept]
    assert registry.endpoint(idle.replica) is not idle
