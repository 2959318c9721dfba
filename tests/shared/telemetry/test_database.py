"""Statements on a real PostgreSQL."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import asyncpg
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from deploy.local.postgres import temporary_server
from shared.telemetry.database import database_span, error_type, trace_statements, traced
from shared.telemetry.server import Receive, Scope, Send, ServerSpans
from shared.telemetry.setup import Telemetry
from tests.shared.telemetry.recording import discard, http_scope, receive, recording


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with temporary_server() as server:
        server.execute("CREATE TABLE accounts (name text PRIMARY KEY)")
        yield server.url("postgres")


@pytest.fixture
async def connection(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


@pytest.fixture
async def engine(url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))
    yield engine
    await engine.dispose()


async def spans_within(
    work: Callable[[Telemetry], Awaitable[None]],
) -> tuple[list[ReadableSpan], ReadableSpan]:
    """What the work records while a request is served, and that request's span."""
    telemetry, exporter = recording()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await work(telemetry)

    await ServerSpans(app, telemetry)(http_scope(), receive, discard)
    *statements, server = exporter.get_finished_spans()
    return statements, server


async def test_a_statement_is_a_client_span_under_the_request(connection: asyncpg.Connection) -> None:
    async def work(telemetry: Telemetry) -> None:
        with database_span(telemetry, "SELECT accounts", database="customers"):
            await connection.fetch("SELECT name FROM accounts WHERE name = 's3cret'")

    (span,), server = await spans_within(work)
    assert span.parent == server.context
    assert span.kind is SpanKind.CLIENT
    assert span.name == "SELECT accounts"
    assert dict(span.attributes or {}) == {
        "db.system.name": "postgresql",
        "db.query.summary": "SELECT accounts",
        "db.namespace": "customers",
    }


async def test_a_traced_call_gives_its_result(connection: asyncpg.Connection) -> None:
    results = []

    async def work(telemetry: Telemetry) -> None:
        call = connection.fetchval("SELECT 41 + 1")
        results.append(await traced(telemetry, "SELECT", "customers", call))

    (span,), _ = await spans_within(work)
    assert results == [42]
    assert span.end_time is not None
    assert span.start_time is not None
    assert span.end_time > span.start_time


async def test_a_failing_statement_is_of_the_type_of_its_sqlstate(connection: asyncpg.Connection) -> None:
    async def work(telemetry: Telemetry) -> None:
        with pytest.raises(asyncpg.UndefinedTableError):
            await traced(telemetry, "SELECT x", "customers", connection.fetch("SELECT 's3cret' FROM x"))

    (span,), _ = await spans_within(work)
    assert span.attributes is not None
    assert span.attributes["error.type"] == "42P01"
    assert span.status.status_code is StatusCode.ERROR
    assert "s3cret" not in span.to_json()


async def test_when_nothing_is_recorded_the_call_itself_comes_back(connection: asyncpg.Connection) -> None:
    configured, exporter = recording()
    for telemetry in (Telemetry(), configured):  # unconfigured; configured, but outside any request
        call = connection.fetchval("SELECT 1")
        assert traced(telemetry, "SELECT", "customers", call) is call
        assert await call == 1
        with database_span(telemetry, "SELECT", database="customers") as span:
            assert span is database_span(telemetry, "SELECT", database="customers")
    assert exporter.get_finished_spans() == ()


async def test_sqlalchemys_statements_have_spans_too(engine: AsyncEngine) -> None:
    async def work(telemetry: Telemetry) -> None:
        trace_statements(engine.sync_engine, telemetry, database="customers")
        async with engine.begin() as connection:
            await connection.execute(text("INSERT INTO accounts VALUES (:name)"), {"name": "s3cret"})
            rows = await connection.execute(text("SELECT name FROM accounts WHERE name = 's3cret'"))
            assert len(rows.all()) == 1
        with pytest.raises(DBAPIError):
            async with engine.begin() as connection:
                await connection.execute(text("INSERT INTO accounts VALUES ('s3cret')"))
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    spans, server = await spans_within(work)
    # The dialect's own look-ups at the first connection are statements too.
    ours = [span for span in spans if "accounts" in span.name or span is spans[-1]]
    assert [span.name for span in ours] == ["INSERT accounts", "SELECT accounts", "INSERT accounts", "SELECT"]
    types = [(span.attributes or {}).get("error.type") for span in ours]
    assert types == [None, None, "23505", None]
    assert all(span.parent == server.context for span in spans)
    assert all("s3cret" not in span.to_json() for span in spans)


async def test_an_unconfigured_engine_gets_no_hooks(engine: AsyncEngine) -> None:
    trace_statements(engine.sync_engine, Telemetry(), database="customers")
    assert not engine.sync_engine.dispatch.before_cursor_execute


def test_an_error_without_a_state_is_of_its_class() -> None:
    assert error_type(ConnectionResetError()) == "ConnectionResetError"
