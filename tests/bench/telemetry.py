"""What telling where the time goes costs: CPU and requests/s with timing off, on, and 1, 10, 100 % recorded.

`make bench BENCH=telemetry [ARGS="service alone gateway down"]`. The collector is a process of its own.

service   one process answers requests with one statement each, straight through ASGI, so that neither a network nor a
          database blurs the figures. The forms take turns in short rounds and are compared round by round, on CPU time
          of the whole process: what the exporting thread takes counts as the requests', since it runs on the same core
alone     the same of the gateway, between transports that go nowhere (`telemetry_alone`)
gateway   whole gateways under load, before a replica that costs next to nothing (`telemetry_gateway`)
down      a gateway whose collector is away for a minute of load, beside one whose collector is there
"""

import asyncio
import logging
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, perf_counter_ns, process_time_ns, thread_time_ns
from typing import NamedTuple, TextIO

import uvloop

from shared.asgi import App, Message, Receive, Scope, Send
from shared.logs.formats import Origin, TextFormatter
from shared.logs.output import LineHandler
from shared.telemetry.database import DatabaseStatement
from shared.telemetry.driving import time_tasks
from shared.telemetry.server import ServedRequest, ServerSpans
from shared.telemetry.setup import Telemetry, configure
from tests.bench.harness import finish
from tests.bench.telemetry_alone import bench_alone
from tests.bench.telemetry_gateway import TOLD, bench_collector_down, bench_gateway
from tests.bench.timed_gateway import OFF, TIMING

ROUNDS = 15
REQUESTS = 1_500
SHARES = (0.01, 0.1, 1.0)
COLLECTOR = """
import sys
from shared.testing.otlp import OtlpReceiver
with OtlpReceiver() as receiver:
    receiver.receive = lambda body: None
    print(receiver.endpoint, flush=True)
    sys.stdin.read()
"""
TIMED = "timing"
PARTS = ("service", "alone", "gateway", "down")


class Cost(NamedTuple):
    """Of a request, in µs: CPU of the process, CPU of the event loop's thread alone, wall clock."""

    cpu: float
    loop_cpu: float
    wall: float


def request() -> Scope:
    """As the gateway sends it, without a `traceparent`, so that the share decides."""
    return {
        "type": "http",
        "method": "GET",
        "path": "/v1/accounts/0192f0c1-7c1e-7cc5-b1a5-6d1f1e6a0001",
        "raw_path": b"/v1/accounts/0192f0c1-7c1e-7cc5-b1a5-6d1f1e6a0001",
        "query_string": b"",
        "scheme": "http",
        "http_version": "1.1",
        "root_path": "",
        "server": ("127.0.0.1", 8001),
        "client": ("127.0.0.1", 4711),
        "headers": [(b"host", b"x"), (b"accept", b"*/*"), (b"x-request-id", b"req-7")],
        "request_id": "0192f0c1-7c1e-7cc5-b1a5-6d1f1e6a0001",
    }


async def receive() -> Message:
    """No body."""
    return {"type": "http.request", "body": b"", "more_body": False}


async def discard(_message: Message) -> None:
    """The answer goes nowhere."""


async def untimed(scope: Scope, receive: Receive, send: Send) -> None:
    """One statement and an answer."""
    await asyncio.sleep(0)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


async def service(scope: Scope, receive: Receive, send: Send) -> None:
    """The same, as `Database` does it."""
    with DatabaseStatement("SELECT accounts", "customers"):
        await asyncio.sleep(0)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


def logging_to(stream: TextIO) -> Callable[[ServedRequest], None]:
    """Writes the access log as a service does."""
    handler = LineHandler(stream, TextFormatter())

    def write(served: ServedRequest) -> None:
        terms = served.terms
        origin = Origin(0, served.request_id)
        request = served.method, served.path, served.status, served.duration_ns, served.route, None
        handler.access([(*request, terms.latency, terms, *origin)])

    return write


async def cost(app: App) -> Cost:
    """Of one round."""
    wall, cpu, loop_cpu = perf_counter_ns(), process_time_ns(), thread_time_ns()
    for _ in range(REQUESTS):
        await app(request(), receive, discard)
    spent = process_time_ns() - cpu, thread_time_ns() - loop_cpu, perf_counter_ns() - wall
    return Cost(*(ns / REQUESTS / 1_000 for ns in spent))


async def measure(forms: dict[str, App], settle: Callable[[], Awaitable[float]]) -> dict[str, list[Cost]]:
    """Interleaved rounds; what is exported after a round is that round's."""
    seen: dict[str, list[Cost]] = {name: [] for name in forms}
    for number in range(ROUNDS + 1):
        for name, app in forms.items():
            found = await cost(app)
            later = await settle() / REQUESTS
            if number:  # the first round warms up
                seen[name].append(found._replace(cpu=found.cpu + later))
    return seen


@contextmanager
def collector() -> Iterator[str]:
    """Its endpoint."""
    with subprocess.Popen(
        [sys.executable, "-c", COLLECTOR], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        if process.stdout is None or process.stdin is None:
            raise RuntimeError("pipes were asked for")
        yield process.stdout.readline().strip()
        process.stdin.close()


def telemetry(endpoint: str, share: float) -> Telemetry:
    """Records this share; the queue holds a whole round, since a round is faster than any client."""
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_TRACES_SAMPLER_ARG": str(share),
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    return configure("customers", version="1", instance_id="bench", environ=environ)


async def longest_lag(app: App, seconds: float, pause_s: float) -> float:
    """The 99th percentile of how late the loop wakes up a sleeper, in ms, with a request every `pause_s`."""
    late: list[float] = []
    ending = perf_counter() + seconds
    while perf_counter() < ending:
        due = perf_counter() + pause_s
        await app(request(), receive, discard)
        await asyncio.sleep(max(0.0, due - perf_counter()))
        late.append(max(0.0, perf_counter() - due) * 1_000)
    return statistics.quantiles(late, n=100)[98]


async def bench_service(endpoint: str, log: TextIO) -> dict[str, float]:
    """Prints and gives what every form costs."""
    time_tasks(asyncio.get_running_loop())
    recording = {share: telemetry(endpoint, share) for share in SHARES}
    forms: dict[str, App] = {
        OFF: untimed,
        TIMED: ServerSpans(service, Telemetry()),
        "timing and log": ServerSpans(service, Telemetry(), served=logging_to(log)),
        **{f"{share:.0%} recorded": ServerSpans(service, told) for share, told in recording.items()},
    }
    outboxes = [told.outbox for told in recording.values() if told.outbox is not None]

    async def settle() -> float:
        """Until everything is exported; gives what that took, in µs of CPU."""
        start = process_time_ns()
        while any(outbox.waiting for outbox in outboxes):  # noqa: ASYNC110 (another thread empties them)
            await asyncio.sleep(0.01)
        return (process_time_ns() - start) / 1_000

    seen = await measure(forms, settle)
    print(f"{'form':18}{'CPU µs':>9}{'added':>8}{'on the loop':>13}{'requests/s / off':>18}")
    figures: dict[str, float] = {}
    for name, costs in seen.items():
        pairs = list(zip(costs, seen[OFF], strict=True))
        added = statistics.median(one.cpu - off.cpu for one, off in pairs)
        on_loop = statistics.median(one.loop_cpu - off.loop_cpu for one, off in pairs)
        rate = statistics.median(off.wall / one.wall for one, off in pairs)
        cpu = statistics.median(one.cpu for one in costs)
        print(f"{name:18}{cpu:9.1f}{added:8.1f}{on_loop:13.1f}{rate:18.2f}")
        key = name.replace(" ", "_").replace("%", "")
        figures |= {f"added_us_{key}": round(added, 1), f"loop_us_{key}": round(on_loop, 1)}
    for name in (TIMED, "100% recorded"):
        lag = await longest_lag(forms[name], 3.0, 0.001)
        print(f"event loop late by (p99, 1,000 requests/s), {name}: {lag:.2f} ms")
        figures[f"lag_p99_ms_{name.replace(' ', '_').replace('%', '')}"] = round(lag, 2)
    for told in recording.values():
        await asyncio.to_thread(told.shutdown)
    print("spans lost:", sum(outbox.dropped + outbox.failed for outbox in outboxes))
    return figures


async def bench_gateway_alone(endpoint: str, log: TextIO) -> dict[str, float]:
    """Prints and gives what every form of the gateway's code costs."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    root.handlers[:] = [LineHandler(log, TextFormatter())]
    root.setLevel("INFO")
    forms = {name: Telemetry() for name in (OFF, TIMING, TOLD)}
    forms |= {f"{share:.0%} recorded": telemetry(endpoint, share) for share in SHARES}
    figures = await bench_alone(forms)
    for told in forms.values():
        await asyncio.to_thread(told.shutdown)
    root.handlers[:], level = before
    root.setLevel(level)
    return figures


async def main(parts: Sequence[str], nowhere: TextIO) -> None:
    """All parts, or those that are named."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name, collector() as endpoint:
        folder = Path(name)
        if "service" in parts:
            figures |= await bench_service(endpoint, nowhere)
        if "alone" in parts:
            figures |= await bench_gateway_alone(endpoint, nowhere)
        if "gateway" in parts:
            figures |= await bench_gateway(folder, endpoint, rounds=6, seconds=2)
        if "down" in parts:
            figures |= await bench_collector_down(folder, endpoint, rounds=20, seconds=3)
    finish("telemetry", figures)


if __name__ == "__main__":
    with Path(os.devnull).open("w") as devnull:
        uvloop.run(main(sys.argv[1:] or PARTS, devnull))
