import pytest

from services.gateway.metrics.worker import GatewayMetrics, error_type, security_event
from shared.telemetry.metrics.requests import Observation
from tests.gateway.metrics.describing import Described
from tests.shared.telemetry.metrics.recording import MS, Samples, observation, scraped, value

COUNT = "http_server_request_duration_seconds_count"


class Worker:
    """The metrics of one worker, asked as its parent asks."""

    def __init__(self) -> None:
        self.metrics = GatewayMetrics(None)
        self.described = Described()

    def request(self, observed: Observation) -> None:
        self.metrics.began(observed[7] - sum(observed[4:7]))
        self.metrics.observe([observed], ())

    def samples(self) -> Samples:
        return scraped(self.metrics.collect(self.described()))


@pytest.mark.parametrize(
    ("status", "error", "told"),
    [
        (200, "", ""),
        (404, "", ""),
        (404, "not_found", ""),
        (429, "rate_limited", ""),
        (500, "", "500"),
        (503, "unavailable", "unavailable"),
        (200, "cut_short", "cut_short"),
        (0, "client_left", "client_left"),
        (0, "", ""),
    ],
)
def test_the_errors_of_a_server(status: int, error: str, told: str) -> None:
    assert error_type(status, error) == told


@pytest.mark.parametrize(
    ("status", "error", "event"),
    [
        (401, "missing_key", "authentication_failed"),
        (403, "forbidden", "forbidden"),
        (429, "too_many_requests", "rate_limited"),
        (400, "malformed_request", "malformed_request"),
        (431, "headers_too_large", "malformed_request"),
        (404, "not_found", None),
        (503, "too_many_connections", None),
        # A service's own answer, which it counts itself; and a caller who left under one.
        (401, "", None),
        (403, "client_left", None),
    ],
)
def test_only_the_gateways_own_refusals_are_its_security_events(
    status: int, error: str, event: str | None
) -> None:
    assert security_event(status, error) == event


def test_requests_and_attempts_are_counted() -> None:
    worker = Worker()
    for _ in range(1_000):
        worker.request(observation())
        worker.metrics.observe((), [("web", "a", 1, 200, 0, 2 * MS, 0, 0, 0)])
    samples = worker.samples()
    assert value(samples, COUNT, hop="gateway", http_response_status_code="200") == 1_000
    assert value(samples, "http_client_request_duration_seconds_count", server_address="a") == 1_000
    assert value(samples, "http_server_active_requests") == 0


def test_who_keeps_requests_back_is_asked_for_them_first() -> None:
    worker = Worker()
    kept = [observation() for _ in range(100)]

    def flush() -> None:
        while kept:
            worker.request(kept.pop())

    worker.metrics.flush = flush
    assert value(worker.samples(), COUNT) == 100
    assert value(worker.samples(), COUNT) == 100


def test_requests_under_way() -> None:
    worker = Worker()
    worker.metrics.began(0)
    worker.request(observation())
    assert value(worker.samples(), "http_server_active_requests", hop="gateway") == 1


def test_bytes_that_are_no_request_are_an_answer_and_an_event() -> None:
    worker = Worker()
    worker.metrics.rejected(400, "malformed_request", 5)
    worker.metrics.rejected(408, "request_timeout", 6)
    samples = worker.samples()
    assert value(samples, COUNT, http_request_method="_OTHER", http_response_status_code="400") == 1
    assert value(samples, COUNT) == 2
    assert value(samples, "crm_security_events_total", event="malformed_request", hop="gateway") == 1
    assert value(samples, "http_server_active_requests") == 0


def test_refused_connections_are_read_and_not_counted_twice() -> None:
    worker = Worker()
    worker.described.refused = 3
    assert value(worker.samples(), "crm_security_events_total", event="connection_refused") == 3
    assert value(worker.samples(), "crm_security_events_total", event="connection_refused") == 3
    worker.described.refused = 4
    assert value(worker.samples(), "crm_security_events_total", event="connection_refused") == 4


def test_serving_time() -> None:
    worker = Worker()
    assert value(worker.samples(), "crm_serving_time_seconds_total") == 0
    worker.metrics.serving(True)
    before = value(worker.samples(), "crm_serving_time_seconds_total")
    worker.metrics.serving(False)
    served = value(worker.samples(), "crm_serving_time_seconds_total")
    assert 0 < before < served
    assert value(worker.samples(), "crm_serving_time_seconds_total") == served
