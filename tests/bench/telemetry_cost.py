"""What telemetry costs a request: CPU time of a FastAPI route with and without it, in one process.

`make bench BENCH=telemetry_cost`. The collector is a process of its own; what the exporter's thread
takes to encode and send counts as the request's, since it runs on the service's core.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter_ns, process_time_ns
from typing import TextIO

from fastapi import FastAPI

from shared.logs.access import log_access
from shared.logs.formats import AccessLine, TextFormatter
from shared.logs.output import LineHandler
from shared.telemetry.client import client_span, inject
from shared.telemetry.database import database_span
from shared.telemetry.server import ASGIApp, Message, Scope, ServedRequest, ServerSpans
from shared.telemetry.setup import Telemetry, configure

ROUNDS = 7
REQUESTS = 1_500
COLLECTOR = """
import sys
from shared.testing.otlp import OtlpReceiver
with OtlpReceiver() as receiver:
    receiver.receive = lambda body: None
    print(receiver.endpoint, flush=True)
    sys.stdin.read()
"""
PARENT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def request(*, traced: bool) -> Scope:
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
        "headers": [(b"host", b"x"), (b"accept", b"*/*"), *([(b"traceparent", PARENT)] if traced else [])],
    }


async def receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def discard(_message: Message) -> None:
    """The answer goes nowhere."""


def route(telemetry: Telemetry, *, statements: int = 0) -> FastAPI:
    app = FastAPI(telemetry={"tracing": False, "metrics": False, "logs": False})

    @app.get("/v1/accounts/{account_id}")
    async def read(account_id: str) -> dict[str, str]:
        for _ in range(statements):
            with database_span(telemetry, "SELECT accounts", database="customers"):
                pass
        return {"id": account_id}

    return app


def log(served: ServedRequest) -> None:
    log_access(served.method, served.path, served.status, served.duration_ns, route=served.route)


def logging_to(stream: TextIO) -> Callable[[ServedRequest], None]:
    """Writes the access log as a service does."""
    handler = LineHandler(stream, TextFormatter())

    def write(served: ServedRequest) -> None:
        duration_ms = round(served.duration_ns / 1e6, 3)
        handler.access(AccessLine(served.method, served.path, served.status, duration_ms, served.route))

    return write


async def cpu_per_request(app: ASGIApp, *, traced: bool) -> float:
    """Microseconds of the process's CPU time."""
    start = process_time_ns()
    for _ in range(REQUESTS):
        await app(request(traced=traced), receive, discard)
    return (process_time_ns() - start) / REQUESTS / 1_000


async def measure(cases: dict[str, tuple[ASGIApp, bool]]) -> dict[str, float]:
    """Medians over interleaved rounds."""
    seen: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(ROUNDS + 1):
        for name, (app, traced) in cases.items():
            cpu = await cpu_per_request(app, traced=traced)
            if number:  # the first round warms up
                seen[name].append(cpu)
    return {name: statistics.median(values) for name, values in seen.items()}


def nanoseconds(work: Callable[[], object], times: int = 200_000) -> float:
    start = perf_counter_ns()
    for _ in range(times):
        work()
    return (perf_counter_ns() - start) / times


def unrecorded_costs() -> dict[str, float]:
    silent = Telemetry()
    headers: dict[str, str] = {}

    def statement() -> None:
        with database_span(silent, "SELECT accounts", database="customers"):
            pass

    def call() -> None:
        with client_span(silent, method="GET", url="http://127.0.0.1:8001/v1/accounts") as span:
            inject(span, headers)

    return {"database_span": nanoseconds(statement), "client_span + inject": nanoseconds(call)}


def run(main: Callable[[str, TextIO], Awaitable[None]]) -> None:
    with (
        Path(os.devnull).open("w") as nowhere,
        subprocess.Popen(
            [sys.executable, "-c", COLLECTOR], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as collector,
    ):
        assert collector.stdin is not None
        assert collector.stdout is not None
        asyncio.run(_awaited(main(collector.stdout.readline().strip(), nowhere)))
        collector.stdin.close()


async def _awaited(work: Awaitable[None]) -> None:
    await work


async def bench(endpoint: str, nowhere: TextIO) -> None:
    silent = Telemetry()
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    recorded = configure("bench", version="0", instance_id="bench-1", environ=environ)
    tenth = configure(
        "bench", version="0", instance_id="bench-2", environ={**environ, "OTEL_TRACES_SAMPLER_ARG": "0.1"}
    )
    cases: dict[str, tuple[ASGIApp, bool]] = {
        "bare": (route(silent), False),
        "unconfigured": (ServerSpans(route(silent), silent), False),
        "unconfigured_traceparent": (ServerSpans(route(silent), silent), True),
        "timing": (ServerSpans(route(silent), silent, served=lambda _: None), False),
        "access_log_disabled": (ServerSpans(route(silent), silent, served=log), False),
        "access_log": (ServerSpans(route(silent), silent, served=logging_to(nowhere)), False),
        "sampled_10": (ServerSpans(route(tenth), tenth), False),
        "sampled_100": (ServerSpans(route(recorded), recorded), True),
        "sampled_100_3_statements": (ServerSpans(route(recorded, statements=3), recorded), True),
    }
    cpu = await measure(cases)
    recorded.shutdown()
    tenth.shutdown()
    print(f"{'case':28}{'CPU µs/request':>16}{'added':>10}{'ratio':>8}")
    for name, value in cpu.items():
        print(f"{name:28}{value:16.1f}{value - cpu['bare']:10.1f}{value / cpu['bare']:8.2f}")
    print(f"\n{'not recording':28}{'ns/call':>16}")
    for name, value in unrecorded_costs().items():
        print(f"{name:28}{value:16.0f}")
    figures = {f"cpu_{name}_vs_bare": round(value / cpu["bare"], 3) for name, value in cpu.items()}
    print(json.dumps({"bench": "telemetry_cost", "figures": figures}))


if __name__ == "__main__":
    run(bench)
