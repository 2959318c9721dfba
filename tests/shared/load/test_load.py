"""The figures of the meter, and the header on every answer as the gateway's parser reads it."""

import asyncio
import time

import pytest

from services.gateway.balancing.load_report import LOAD_HEADER, LoadReport, parse_load_report
from shared.asgi import App, Message, Scope
from shared.load.meter import LoadMeter
from shared.load.middleware import ReportLoad


def read(meter: LoadMeter) -> LoadReport:
    report = parse_load_report(meter.header())
    assert report is not None
    return report


async def ask(app: App, scope: Scope | None = None) -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope or {"type": "http"}, receive, send)
    return sent


def answering(status: int) -> App:
    async def app(scope: Scope, receive: object, send: object) -> None:
        assert callable(send)
        await send({"type": "http.response.start", "status": status, "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body", "body": b""})

    return app


def test_figures_are_means_since_the_last_sample() -> None:
    meter = LoadMeter(pool_use=lambda: 0.25)
    meter.sample(1e9, 100.0)
    for number in range(10):
        meter.began()
        meter.ended(failed=number < 3)
    meter.began()
    meter.sample(1e9 + 2.0, 101.0)
    meter.saw_lag(0.25)
    meter.publish()
    report = read(meter)
    assert (report.cpu_utilization, report.rps_fractional, report.eps) == (0.5, 5.0, 1.5)
    assert report.application_utilization == 0.5
    assert report.named_metrics == {"event_loop_lag": 0.25, "inflight": 1.0}
    assert report.utilization == {"database_pool": 0.25}
    assert report.inflight == 1.0


def test_the_scarcer_resource_is_the_utilisation() -> None:
    meter = LoadMeter(pool_use=lambda: 1.5)
    report = read(meter)
    assert (report.cpu_utilization, report.application_utilization) == (0.0, 1.0)
    assert report.utilization == {"database_pool": 1.0}
    assert read(LoadMeter()).utilization == {}


def test_requests_in_flight_are_fresh_where_figures_are_not() -> None:
    meter = LoadMeter()
    seen = []
    for _ in range(3):
        meter.began()
        seen.append(read(meter).inflight)
    assert seen == [1.0, 2.0, 3.0]


def test_a_peak_of_the_lag_fades() -> None:
    meter = LoadMeter()
    meter.saw_lag(1.0)
    meter.saw_lag(-0.001)  # woken early
    assert meter.lag_s == pytest.approx(0.95)
    for _ in range(100):
        meter.saw_lag(0.001)
    assert meter.lag_s == pytest.approx(0.0059, abs=1e-3)


async def test_a_blocked_event_loop_shows_as_lag_and_a_busy_one_as_cpu() -> None:
    meter = LoadMeter()
    before = asyncio.all_tasks()
    async with meter.measuring():
        await asyncio.sleep(0.05)
        until = time.process_time() + 0.6
        while time.process_time() < until:
            pass
        await asyncio.sleep(0.1)
        assert meter.lag_s > 0.3
        assert read(meter).cpu_utilization > 0.0
    assert asyncio.all_tasks() <= before


async def test_every_answer_tells_the_load_and_counts_its_own_request() -> None:
    meter = LoadMeter()
    start, _ = await ask(ReportLoad(answering(200), meter))
    assert start["headers"][0] == (b"a", b"b")
    name, value = start["headers"][1]
    report = parse_load_report(value)
    assert name == LOAD_HEADER
    assert report is not None
    assert report.inflight == 1.0
    assert meter.inflight == 0


async def test_failures_are_answers_from_500_and_exceptions() -> None:
    meter = LoadMeter()

    async def breaking(scope: Scope, receive: object, send: object) -> None:
        raise RuntimeError("broken")

    meter.sample(1e9, 0.0)
    for status in (200, 404, 503):
        await ask(ReportLoad(answering(status), meter))
    with pytest.raises(RuntimeError, match="broken"):
        await ask(ReportLoad(breaking, meter))
    meter.sample(1e9 + 1.0, 0.0)
    assert (meter.rps, meter.eps, meter.inflight) == (4.0, 2.0, 0)


async def test_what_is_not_http_passes_untouched() -> None:
    meter = LoadMeter()
    seen: list[Scope] = []

    async def app(scope: Scope, receive: object, send: object) -> None:
        seen.append(scope)

    await ask(ReportLoad(app, meter), {"type": "lifespan"})
    assert seen == [{"type": "lifespan"}]
    assert meter.inflight == 0
