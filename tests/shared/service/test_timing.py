"""Every request's time, on a real server, a real database and a real collector, with faults."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from deploy.local.ports import free_port
from deploy.local.postgres import PostgresServer
from shared.telemetry.terms import ServiceTerms, read_terms
from shared.testing.otlp import OtlpReceiver, ReceivedSpan
from tests.shared.telemetry.test_process import await_listening

ROOT = Path(__file__).parents[3]
MS = 1_000_000
pytestmark = pytest.mark.process


@dataclass(frozen=True)
class Answered:
    """An answer: its request's id, its status, its terms, and how long the caller waited for it, in ns."""

    request_id: str
    status: int
    terms: ServiceTerms
    waited_ns: int


@dataclass
class TimedService:
    """The process, and what it has told."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    async def ask(self, client: httpx2.AsyncClient, method: str, path: str) -> Answered:
        started = time.perf_counter_ns()
        response = await client.request(method, self.url + path)
        waited_ns = time.perf_counter_ns() - started
        terms = read_terms(response.headers["x-kontor-terms"].encode())
        assert terms is not None
        return Answered(response.headers["x-request-id"], response.status_code, terms, waited_ns)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=30)

    def access_lines(self) -> list[dict[str, object]]:
        records = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [record for record in records if record["logger"] == "kontor.access"]


@contextmanager
def timed_service(log: Path, database_url: str, **environment: str) -> Iterator[TimedService]:
    port = free_port()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.shared.service.timed_app", str(port), database_url],
            cwd=ROOT,
            env={**clean, "PYTHONPATH": str(ROOT), **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        await_listening(process, port, log)
        yield TimedService(f"http://127.0.0.1:{port}", process, log)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def service(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TimedService]:
    with timed_service(tmp_path_factory.mktemp("timed") / "log", postgres.url("postgres")) as service:
        yield service


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    limits = httpx2.Limits(max_connections=64)
    async with httpx2.AsyncClient(limits=limits, timeout=60, trust_env=False) as client:
        yield client


async def test_a_slow_statement_is_database_time(service: TimedService, client: httpx2.AsyncClient) -> None:
    for path in ("/slow/0.02", "/two/0.02", "/slow/0.02", "/two/0.02"):  # the first ones have to connect
        terms = (await service.ask(client, "GET", path)).terms
        assert terms.db >= 19 * MS  # PostgreSQL sleeps by the wall clock, which may be put right meanwhile


async def test_a_slow_statement_of_a_write_is_database_time(
    service: TimedService, client: httpx2.AsyncClient
) -> None:
    terms = (await service.ask(client, "POST", "/write/0.02")).terms
    assert terms.db >= 19 * MS  # as above


async def test_a_stream_is_measured_to_its_head(service: TimedService, client: httpx2.AsyncClient) -> None:
    answered = await service.ask(client, "GET", "/stream/0.02")
    assert answered.waited_ns - sum(answered.terms) >= 19 * MS


async def test_blocking_is_processing_of_who_blocks_and_late_scheduling_of_its_victims(
    service: TimedService, client: httpx2.AsyncClient
) -> None:
    """The victims' statements of 0.1 s are under way when the loop is blocked for 0.5 s."""
    await asyncio.gather(
        *(service.ask(client, "GET", "/read") for _ in range(3))
    )  # three connections are open
    victims = [asyncio.create_task(service.ask(client, "GET", "/slow/0.1")) for _ in range(2)]
    await asyncio.sleep(0.05)
    culprit = (await service.ask(client, "GET", "/block/0.5")).terms
    assert culprit.processing >= 500 * MS
    assert culprit.db == culprit.db_wait == 0
    for victim in victims:
        terms = (await victim).terms
        assert terms.sched >= 400 * MS
        assert terms.db <= terms.total_ns - 400 * MS
        assert terms.processing < 400 * MS


async def test_an_exhausted_pool_is_waiting_for_a_connection(
    service: TimedService, client: httpx2.AsyncClient
) -> None:
    """Twelve statements of 0.1 s on two connections: the last ones wait for five others, one after the other."""
    for method, path in (("GET", "/slow/0.1"), ("POST", "/write/0.1")):
        answers = await asyncio.gather(*(service.ask(client, method, path) for _ in range(12)))
        assert max(answered.terms.db_wait for answered in answers) >= 100 * MS
        # The first moments of a statement may be the end of the step that has sent it, the last another's step.
        assert all(sum(answered.terms) - answered.terms.db_wait >= 100 * MS for answered in answers)


PATHS = (
    ("GET", "/read"),
    ("GET", "/read"),
    ("GET", "/slow/0.002"),
    ("GET", "/two/0.001"),
    ("GET", "/block/0.001"),
    ("POST", "/write/0.001"),
    ("GET", "/stream/0.001"),
    ("GET", "/refused"),
    ("GET", "/unknown"),
)


@pytest.mark.parametrize("concurrency", [1, 8, 64])
async def test_the_terms_of_mixed_requests_fit_into_what_the_caller_waited(
    service: TimedService, client: httpx2.AsyncClient, concurrency: int
) -> None:
    chosen = random.Random(concurrency).choices(PATHS, k=400)  # noqa: S311 (a mixture)
    waiting = iter(chosen)
    answers: list[Answered] = []

    async def caller() -> None:
        for method, path in waiting:
            answers.append(await service.ask(client, method, path))

    await asyncio.gather(*(caller() for _ in range(concurrency)))
    assert len(answers) == 400
    assert {answered.status for answered in answers} == {200, 404, 500}
    assert all(sum(answered.terms) <= answered.waited_ns for answered in answers)


async def test_header_span_and_access_line_say_the_same_and_a_stop_loses_nothing(
    postgres: PostgresServer, client: httpx2.AsyncClient, tmp_path: Path
) -> None:
    chosen = random.Random(7).choices(PATHS, k=300)  # noqa: S311 (a mixture)
    with OtlpReceiver() as receiver:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "600000",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "2000",
        }
        with timed_service(tmp_path / "log", postgres.url("postgres"), **environment) as service:
            answers = [await service.ask(client, method, path) for method, path in chosen]
            await asyncio.to_thread(service.terminate)
            lines = {line["request_id"]: line for line in service.access_lines()}
    # The end of a stream may be told after the next request has begun: nothing goes by the order here.
    servers = {span.trace_id: span for span in receiver.spans if span.kind == "SERVER"}
    assert len(servers) == len(lines) == len(answers)
    for answered, (_, path) in zip(answers, chosen, strict=True):
        line = lines[answered.request_id]
        span = servers[str(line["trace_id"])]
        _check_formula(span)
        formula = [span.attributes[f"crm.latency.{term}_ns"] for term in ("processing", "network", "system")]
        assert formula == [line[f"{term}_ns"] for term in ("processing", "network", "system")]
        if not path.startswith("/stream"):
            assert span.duration_ns == answered.terms.total_ns
            assert list(answered.terms.latency) == formula
    statements = [span for span in receiver.spans if span.kind == "CLIENT"]
    by_id = {span.span_id: span for span in servers.values()}
    assert {span.parent_span_id for span in statements} <= set(by_id)
    assert all(span.attributes["db.system.name"] == "postgresql" for span in statements)
    assert Counter(span.attributes.get("error.type") for span in statements)["22012"] == chosen.count(
        ("GET", "/refused")
    )


async def test_a_stop_under_load_loses_no_span(postgres: PostgresServer, tmp_path: Path) -> None:
    """A caller may not get an answer that was given in the last moment; a span there is all the same."""
    answered = 0
    with OtlpReceiver() as receiver:
        with timed_service(
            tmp_path / "log", postgres.url("postgres"), OTEL_EXPORTER_OTLP_ENDPOINT=receiver.endpoint
        ) as service:

            async def caller() -> None:
                nonlocal answered
                async with httpx2.AsyncClient(timeout=60, trust_env=False) as client:
                    with suppress(httpx2.TransportError):
                        while True:
                            await service.ask(client, "GET", "/slow/0.002")
                            answered += 1

            callers = asyncio.gather(*(caller() for _ in range(16)))
            while answered < 200:  # noqa: ASYNC110 (callers count)
                await asyncio.sleep(0.01)
            await asyncio.to_thread(service.terminate)
            await callers
            lines = service.access_lines()
        servers = [span for span in receiver.spans if span.kind == "SERVER"]
    assert len(servers) == len(lines) >= answered >= 200
    assert {span.trace_id for span in servers} == {line["trace_id"] for line in lines}
    assert len(receiver.spans) == 2 * len(servers)


def _check_formula(span: ReceivedSpan) -> None:
    """The parts are the whole, and the whole is the span."""
    said = {
        name.removeprefix("crm.latency.").removesuffix("_ns"): value
        for name, value in span.attributes.items()
        if name.startswith("crm.latency.") and name.endswith("_ns")
    }
    assert all(value >= 0 for value in said.values())
    assert said["processing"] + said["network"] + said["system"] == said["total"] == span.duration_ns
    parts = ("queue", "db_wait", "db", "own_processing", "sched")
    assert sum(said[part] for part in parts) == said["total"]
    assert said["processing"] == said["db"] + said["own_processing"]
    dominant = span.attributes["crm.latency.dominant"]
    assert said[dominant] == max(said["processing"], said["network"], said["system"])
