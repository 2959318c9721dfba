"""No span is lost without being counted, and no request because of one: stops under load, collectors that are away."""

import json
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from shared.testing.otlp import OtlpReceiver
from shared.testing.otlp_metrics import decode_metrics
from tests.gateway.operated import Load, Operated
from tests.gateway.processes import GatewayProcess, Replica, document, free_port

pytestmark = pytest.mark.process

MIB = 1024**2


class Counts:
    """What the workers' last export of metrics says."""

    def __init__(self, receiver: OtlpReceiver) -> None:
        last = [decode_metrics(body) for body in receiver.metrics]
        self.workers = len(
            {metrics["crm.telemetry.spans"].resource["service.instance.id"] for metrics in last}
        )
        assert self.workers == len(last)  # each has exported once, at its end
        self.spans: Counter[str] = Counter()
        self.attempts = 0
        for metrics in last:
            for point in metrics["crm.telemetry.spans"].points:
                self.spans[point.attributes["state"]] += int(point.value)
            self.attempts += sum(int(point.value) for point in metrics["crm.gateway.attempts"].points)


@asynccontextmanager
async def traced(
    folder: Path, receiver: OtlpReceiver, workers: int, **environ: str
) -> AsyncIterator[GatewayProcess]:
    """A gateway that traces every request and exports its metrics once, at its end."""
    with ExitStack() as stack:
        replicas = [Replica("a"), Replica("b")]
        for replica in replicas:
            stack.callback(replica.stop)
            await replica.until("requests", 0)
        gateway = GatewayProcess(
            folder,
            replicas,
            document(replicas) | {"workers": workers, "rate_limit": {"enabled": False}},
            admin=True,
            OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=f"{receiver.endpoint}/v1/metrics",
            OTEL_METRIC_EXPORT_INTERVAL="3600000",
            GATEWAY_LOG_FORMAT="json",
            **environ,
        )
        stack.callback(gateway.stop)
        await gateway.until_ready()
        async with gateway.admin() as admin:
            # One may have answered everything before another has begun to serve.
            house = Operated(gateway, replicas, admin)
            await house.begun()
            await house.workers(workers)
        yield gateway


def access_lines(printed: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    return [line for line in lines if line["logger"] == "kontor.access"]


async def answered_under_load(gateway: GatewayProcess, count: int) -> Load:
    """So many requests are answered, and more are under way when the gateway is told to stop."""
    load = Load(gateway, again=True)
    await load.answered(count)
    return load


@pytest.mark.parametrize(("workers", "room"), [(2, "8192"), (1, "40")])
async def test_a_stop_under_load_loses_nothing_uncounted(tmp_path: Path, workers: int, room: str) -> None:
    """With little room spans are dropped; with enough they all arrive."""
    with OtlpReceiver() as receiver:
        environ = {
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{receiver.endpoint}/v1/traces",
            "OTEL_BSP_SCHEDULE_DELAY": "500",
            "OTEL_BSP_MAX_QUEUE_SIZE": room,
        }
        async with traced(tmp_path, receiver, workers, **environ) as gateway:
            load = await answered_under_load(gateway, 400)
            assert await gateway.drain() == 0
            await load.stop()
            lines = access_lines(gateway.stop())
        counts = Counts(receiver)
        spans = receiver.spans
    assert counts.workers == workers
    assert len(lines) >= load.statuses.total() >= 400
    # Each request is one SERVER span, each attempt a CLIENT span.
    assert counts.spans.total() == len(lines) + counts.attempts
    assert (counts.spans["sent"], counts.spans["failed"]) == (len(spans), 0)
    assert (counts.spans["dropped"] == 0) == (room == "8192")
    assert len({(span.trace_id, span.span_id) for span in spans}) == len(spans)
    servers = {span.trace_id for span in spans if span.kind == "SERVER"}
    assert servers <= {line["trace_id"] for line in lines}
    # A request's spans are sent together or not at all.
    assert {span.trace_id for span in spans} == servers


@contextmanager
def collector(kind: str) -> Iterator[str]:
    """The URL of one that is away, or that takes and never answers.

    One that refuses is the services' own process's affair as much as ours: tests/shared/telemetry/test_process.py.
    """
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield {
            "away": f"http://127.0.0.1:{free_port()}",
            "silent": f"http://127.0.0.1:{silent.getsockname()[1]}",
        }[kind]


@pytest.mark.parametrize("kind", ["away", "silent"])
async def test_without_a_collector_no_request_fails_and_memory_is_bounded(tmp_path: Path, kind: str) -> None:
    with OtlpReceiver() as receiver, collector(kind) as url:
        environ = {
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{url}/v1/traces",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            "OTEL_BSP_MAX_QUEUE_SIZE": "400",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "100",
        }
        async with traced(tmp_path, receiver, 1, **environ) as gateway:
            load = Load(gateway)
            # The buffer of recent traces, which is bounded by itself, is full by then.
            await load.answered(800)
            before = gateway.rss()
            await load.answered(800)
            after = gateway.rss()
            await load.stop()
            assert await gateway.drain() == 0
            printed = gateway.stop()
        counts = Counts(receiver)
    assert load.statuses.keys() == {200}
    # What was put meanwhile is 1,600 spans of 2 to 3 KiB each.
    assert after - before < 2 * MIB
    lines = access_lines(printed)
    assert counts.spans["sent"] == 0
    assert counts.spans["dropped"] > 0
    assert counts.spans.total() == len(lines) + counts.attempts
    assert printed.count("opentelemetry") <= 2
