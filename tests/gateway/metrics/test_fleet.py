"""Counts of several workers, of which some end: what Prometheus sees only ever grows."""

import json
from typing import Any

from services.gateway.metrics.fleet import FleetFigures
from services.gateway.metrics.worker import GatewayMetrics
from services.gateway.resilience.ledger import OK
from shared.telemetry.metrics.families import as_json
from tests.gateway.metrics.describing import Described
from tests.shared.telemetry.metrics.recording import MS, Samples, observation, scraped, value

COUNT = "http_server_request_duration_seconds_count"
ATTEMPTS = "crm_gateway_attempts_total"
SERVING = "crm_serving_time_seconds_total"
SECOND = 1_000 * MS


class Worker:
    """One process. What it says has been JSON in between."""

    def __init__(self) -> None:
        self.metrics = GatewayMetrics(None)
        self.described = Described()

    def serve(self, requests: int, status: int = 200) -> None:
        for _ in range(requests):
            self.metrics.began(0)
            self.metrics.observe([observation(status=status, trace_id=1)], ())
            self.described.attempt(OK)

    def says(self) -> Any:
        return json.loads(json.dumps(as_json(self.metrics.collect(self.described()))))


def scrape(figures: FleetFigures, now_ns: int = 0) -> Samples:
    return scraped(figures.families(now_ns))


def test_workers_are_added_up() -> None:
    figures, one, other = FleetFigures(), Worker(), Worker()
    one.serve(3)
    other.serve(4)
    other.metrics.began(0)
    figures.told("one", one.says())
    figures.told("other", other.says())
    samples = scrape(figures)
    assert (value(samples, COUNT), value(samples, ATTEMPTS)) == (7, 7)
    assert value(samples, "http_server_active_requests") == 1
    one.serve(1)
    figures.told("one", one.says())
    assert value(scrape(figures), COUNT) == 8


def test_a_worker_that_was_killed_keeps_what_it_has_told() -> None:
    figures, one, other = FleetFigures(), Worker(), Worker()
    one.serve(30)
    one.metrics.began(0)
    other.serve(10)
    figures.told("one", one.says())
    figures.told("other", other.says())
    one.serve(5)  # which nobody will ever hear of
    figures.ended("one", None, 0)
    samples = scrape(figures)
    assert (value(samples, COUNT), value(samples, ATTEMPTS)) == (40, 40)
    assert value(samples, "http_server_active_requests") == 0
    successor = Worker()
    successor.serve(2)
    figures.told("its successor", successor.says())
    assert value(scrape(figures), COUNT) == 42


def test_a_worker_that_drains_tells_everything() -> None:
    figures, one = FleetFigures(), Worker()
    one.serve(30)
    figures.told("one", one.says())
    figures.stopped("one", 0)
    one.serve(5)
    figures.ended("one", one.says(), 0)
    figures.ended("one", None, 0)  # its process is seen to be gone as well
    assert value(scrape(figures), COUNT) == 35


def test_no_count_ever_falls() -> None:
    figures = FleetFigures()
    seen = 0.0
    for generation in range(20):
        worker = Worker()
        for _ in range(3):
            worker.serve(generation)
            figures.told(generation, worker.says())
            now = value(scrape(figures), COUNT)
            assert now >= seen
            seen = now
        figures.ended(generation, worker.says() if generation % 2 else None, 0)
        assert value(scrape(figures), COUNT) == seen
    assert seen == 3 * sum(range(20))


def test_the_gateway_serves_while_any_worker_does() -> None:
    figures, one, other = FleetFigures(), Worker(), Worker()
    one.metrics.serving(True)
    figures.began("one", 10 * SECOND)
    figures.began("other", 11 * SECOND)
    figures.told("one", one.says())
    figures.told("other", other.says())
    assert value(scrape(figures, 14 * SECOND), SERVING, hop="gateway") == 4
    figures.ended("one", None, 15 * SECOND)
    figures.stopped("other", 16 * SECOND)
    assert value(scrape(figures, 99 * SECOND), SERVING) == 6
    figures.ended("other", other.says(), 20 * SECOND)
    figures.began("a successor", 30 * SECOND)
    assert value(scrape(figures, 31 * SECOND), SERVING) == 7
