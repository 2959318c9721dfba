"""Somebody sets the wall clock while requests are under way: whatever is told of them stays the same time."""

import io
import itertools
import json
import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from services.gateway.timing.terms import components_of
from shared.logs.formats import JsonFormatter
from shared.logs.output import LineHandler
from shared.telemetry import clocks
from shared.telemetry.terms import ServiceTerms, write_terms
from tests.gateway.puppets import Stage, transport_of
from tests.shared.telemetry.metrics.recording import scraped, value

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
TOLD = write_terms(ServiceTerms(queue=10, db_wait=0, db=2_000, processing=300, sched=4))
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nx-kontor-terms: " + TOLD + b"\r\n\r\nok"
HOUR_NS = 3_600_000_000_000
TERMS = ("processing", "network", "system")
MICROSECOND_MS = 0.001


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    stage.close()


@pytest.fixture
def log() -> Iterator[Callable[[], list[str]]]:
    """Gives the access lines so far."""
    stream = io.StringIO()
    handler = LineHandler(stream, JsonFormatter(service="gateway", instance="1"))
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.INFO)
    root.addHandler(handler)

    def lines() -> list[str]:
        handler.flush()
        return stream.getvalue().splitlines()

    yield lines
    root.removeHandler(handler)
    root.setLevel(level)


async def test_what_is_told_agrees_whatever_the_wall_clock_does(
    stage: Stage, log: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaps by an hour, to and fro, whenever it is read: before, while and after each request."""
    leaps = itertools.cycle((HOUR_NS, -HOUR_NS, 0))
    monkeypatch.setattr(clocks, "time_ns", lambda: time.time_ns() + next(leaps))
    gateway = stage.gateway
    gateway.traces.record(None, None, 60.0, 100, time.perf_counter_ns())
    totals = []
    for number in range(6):
        client, caller = stage.call(GET)
        exchange = client.exchange
        assert exchange is not None
        await stage.connect_all()
        transport_of(exchange.connection).protocol.data_received(OK)
        gateway.metrics.flush()

        finished = exchange.finished()
        latency = components_of(finished).latency
        totals.append(finished.total_ns)
        (told,) = gateway.traces.explain(exchange.trace.trace_id.decode())
        server = next(span for span in told["spans"] if span["kind"] == "SERVER")
        assert server["end_unix_ns"] - server["start_unix_ns"] == finished.total_ns
        assert [server["attributes"][f"crm.latency.{term}_ns"] for term in TERMS] == list(latency)
        assert server["attributes"]["crm.latency.total_ns"] == finished.total_ns
        for span in told["spans"]:
            assert (
                server["start_unix_ns"]
                <= span["start_unix_ns"]
                <= span["end_unix_ns"]
                <= server["end_unix_ns"]
            )
        line = json.loads(log()[number])
        assert [line[f"{term}_ns"] for term in TERMS] == list(latency)
        assert line["duration_ms"] == pytest.approx(finished.total_ns / 1e6, abs=MICROSECOND_MS)
        timing = re.findall(rb"(\w+);dur=([\d.]+)", caller.written)
        assert {name.decode(): float(ms) for name, ms in timing} == pytest.approx(
            {term: ns / 1e6 for term, ns in zip(TERMS, latency, strict=True)}, abs=MICROSECOND_MS
        )
        samples = scraped(gateway.metrics.collect(gateway.describe()))
        observed = value(samples, "http_server_request_duration_seconds_sum", hop="gateway")
        assert observed * 1e3 == pytest.approx(sum(totals) / 1e6, abs=MICROSECOND_MS)
