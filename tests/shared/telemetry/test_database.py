"""Statements on a real PostgreSQL."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import asyncpg
import pytest
from opentelemetry.trace import SpanKind
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from deploy.local.postgres import temporary_server
from shared.asgi import Receive, Scope, Send
from shared.telemetry.database import DatabaseStatement, error_type, watch_statements
from shared.telemetry.server import ServerSpans
from shared.telemetry.spans import SpanRecord
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


async def spans_within(work: Callable[[], Awaitable[None]]) -> tuple[list[SpanRecord], SpanRecord]:
    """What the work records while a request is served, and that request's span."""
    telemetry, finished = recording()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await work()

    await ServerSpans(app, telemetry)(http_scope(), receive, discard)
    *statements, server = finished()
    return statements, server


async def test_a_statement_is_a_client_span_under_the_request(connection: asyncpg.Connection) -> None:
    async def work() -> None:
        with DatabaseStatement("SELECT accounts", "customers"):
            await connection.fetch("SELECT name FROM accounts WHERE name = 's3cret'")

    (span,), server = await spans_within(work)
    assert (span.trace_id, span.parent_id) == (server.trace_id, server.span_id)
    assert span.kind is SpanKind.CLIENT
    assert span.name == "SELECT accounts"
    assert server.start_ns <= span.start_ns < span.end_ns <= server.end_ns
    assert span.all_attributes == {
        "db.system.name": "postgresql",
        "db.query.summary": "SELECT accounts",
        "db.namespace": "customers",
    }


async def test_a_failing_statement_is_of_the_type_of_its_sqlstate(connection: asyncpg.Connection) -> None:
    async def work() -> None:
        with pytest.raises(asyncpg.UndefinedTableError), DatabaseStatement("SELECT x", "customers"):
            await connection.fetch("SELECT 's3cret' FROM x")

    (span,), _ = await spans_within(work)
    assert span.all_attributes["error.type"] == "42P01"
    assert span.error == ""
    assert "s3cret" not in str(span)


async def test_outside_a_request_nothing_is_recorded(connection: asyncpg.Connection) -> None:
    with DatabaseStatement("SELECT", "customers"):
        assert await connection.fetchval("SELECT 1") == 1


async def test_sqlalchemys_statements_have_spans_too(engine: AsyncEngine) -> None:
    async def work() -> None:
        watch_statements(engine.sync_engine, database="customers")
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
    types = [span.all_attributes.get("error.type") for span in ours]
    assert types == [None, None, "23505", None]
    assert all(span.parent_id == server.span_id for span in spans)
    assert all("s3cret" not in str(span) for span in spans)


def test_an_error_without_a_state_is_of_its_class() -> None:
    assert error_type(ConnectionResetError()) == "ConnectionResetError"
