import asyncio
from collections.abc import Iterable
from threading import Event
from time import perf_counter_ns, sleep

from shared.telemetry.metrics.export import MetricsExport
from shared.telemetry.metrics.families import Family
from shared.telemetry.metrics.process import ProcessMetrics
from tests.shared.telemetry.metrics.recording import MS, observation, request_metrics, scraped, value

SECOND = 1_000 * MS


class Collector:
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.received: list[list[Family]] = []
        self.arrived = Event()

    def export(self, told: Iterable[Family], time_ns: int) -> bool:
        self.received.append(list(told))
        self.arrived.set()
        return True

    def shutdown(self) -> None:
        """Nothing is being sent."""


def test_what_waits_in_batches_is_counted_first() -> None:
    requests = request_metrics()
    waiting = [observation(done_ns=3 * MS)]

    def settle() -> None:
        requests.observe(waiting)
        waiting.clear()

    process = ProcessMetrics("gateway", requests, outbox=None, settle=settle)
    requests.active.began(0)
    requests.active.began(1)
    samples = scraped(process.families(SECOND))
    assert value(samples, "http_server_request_duration_seconds_count") == 1
    assert value(samples, "http_server_active_requests", hop="gateway") == 1


def test_little_and_serving_time_are_told() -> None:
    requests = request_metrics()
    process = ProcessMetrics("gateway", requests, outbox=None)
    assert "crm_littles_law_ratio" not in {name for name, _ in scraped(process.families(0))}
    process.serving.found(True, 0)
    requests.active.began(0)
    requests.observe([observation(terms=(SECOND, 0, SECOND), done_ns=2 * SECOND)])
    samples = scraped(process.families(4 * SECOND))
    assert value(samples, "crm_littles_law_ratio", hop="gateway") == 1.0
    assert value(samples, "crm_serving_time_seconds_total", hop="gateway") == 4.0


async def test_figures_leave_from_time_to_time_and_at_the_end() -> None:
    process, collector = ProcessMetrics("gateway", request_metrics(), outbox=None), Collector()
    told: list[Family] = []
    async with process.measuring(lambda: told, MetricsExport(collector, 0.01)):
        assert await asyncio.to_thread(collector.arrived.wait, 30)
        told += process.families(0)
    assert collector.received[0] == []
    assert collector.received[-1] == told


async def test_a_loop_that_is_held_up_shows() -> None:
    process = ProcessMetrics("gateway", request_metrics(), outbox=None)
    async with process.measuring(list, None):
        await asyncio.sleep(0)  # it is being watched from here on
        sleep(0.2)  # noqa: ASYNC251 - just what must not happen
        await asyncio.sleep(0.001)
        held_up_ns = process.lag.longest_ns(perf_counter_ns())
    assert held_up_ns >= 100 * MS
