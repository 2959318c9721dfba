"""A service's database: a lean pool for reads, SQLAlchemy sessions for writes.

Reads are single autocommitted statements on asyncpg, prepared once per connection, on a pool of our own: they cost
about a third of what they cost through a session, and nothing they do leaves state behind.
Writes run as one transaction that is committed before the caller gets its answer.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from typing import Any, TypeVar

import asyncpg
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import QueuePool

from shared.database.failures import connection_lost, lost_a_race
from shared.database.read_pool import ReadPool
from shared.problems import Problem, unavailable
from shared.telemetry.database import (
    DatabaseStatement,
    in_database,
    waiting_for_connection,
    watch_statements,
)
from shared.telemetry.metrics.pools import PoolUse

ResultT = TypeVar("ResultT")
Work = Callable[[AsyncSession], Awaitable[ResultT]]

_PATIENCE_S = 4.0
"""How long a request waits for a PostgreSQL that is restarting before it is answered 503."""
_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 0.3
_SERVER_SETTINGS = {"TimeZone": "UTC", "jit": "off", "statement_timeout": "15s", "lock_timeout": "5s"}


class Database:
    """Opened once per process by its composition root. `name` is what traces call it."""

    def __init__(self, url: str, *, name: str, reads: int = 8, writes: int = 8) -> None:
        self._url = url
        self._name = name
        self._reads = reads
        self._writes = writes
        self._pool: ReadPool | None = None
        self._engine: AsyncEngine | None = None
        self._sessions: async_sessionmaker[AsyncSession] | None = None

    async def open(self) -> None:
        """Makes the pools. Connects on first use, so that a service starts while PostgreSQL still does."""
        settings = _SERVER_SETTINGS | {"application_name": self._name}

        async def connect() -> asyncpg.Connection:
            return await asyncpg.connect(
                self._url,
                server_settings=settings,
                statement_cache_size=500,
                max_cached_statement_lifetime=0,
                timeout=5,
            )

        self._pool = ReadPool(connect, self._reads)
        self._engine = create_async_engine(
            make_url(self._url).set(drivername="postgresql+asyncpg"),
            pool_size=self._writes,
            max_overflow=0,
            pool_timeout=5,
            connect_args={"server_settings": settings, "timeout": 5},
        )
        watch_statements(self._engine.sync_engine, database=self._name)
        self._sessions = async_sessionmaker(self._engine, expire_on_commit=False)

    async def close(self) -> None:
        """Lets running statements end, then closes every connection."""
        if self._engine is not None:
            await self._engine.dispose()
        if self._pool is not None:
            await self._pool.close()

    def reads_in_use(self) -> float:
        """The share of the connections for reads that are at work, 0 to 1."""
        return self._pool.in_use if self._pool is not None else 0.0

    def pools(self) -> list[PoolUse]:
        """The use of the connections for reads and of those for writes; none before it is opened."""
        if self._pool is None or self._engine is None:
            return []
        writes = self._engine.sync_engine.pool
        assert isinstance(writes, QueuePool)  # noqa: S101 (as `open` has made it)
        return [
            self._pool.use(),
            PoolUse("writes", writes.checkedout(), writes.checkedin(), self._writes),
        ]

    async def fetch(self, summary: str, sql: str, *values: Any) -> list[asyncpg.Record]:
        """Rows of one read statement. `summary` names it in traces, such as `SELECT accounts`.

        Waits out a restart of the server: reading twice does no harm. Raises a 503 `Problem` when it takes too long.
        """
        patience = _Patience()
        while True:
            try:
                return await self._fetch_once(summary, sql, values)
            except Exception as error:
                if not connection_lost(error):
                    raise
                await patience.pause(error)

    async def revision(self) -> str:
        """The schema's revision, asked once and without patience; empty for none. Raises what the driver raises."""
        rows = await self._fetch_once("SELECT alembic_version", "SELECT version_num FROM alembic_version", ())
        return str(rows[0][0]) if rows else ""

    async def write(self, work: Work[ResultT], *, repeatable: bool = False) -> ResultT:
        """Runs `work` in a transaction and commits it before returning.

        `work` may run again when the connection was lost before the commit or another transaction won a race, so
        it must start from its arguments each time. Only when the connection is lost during the commit itself is
        the outcome unknown: with `repeatable` (an idempotency key is recorded in the same transaction) it simply
        runs again, otherwise the caller is told by a 503 `Problem`.
        """
        patience = _Patience()
        while True:
            committing = False
            try:
                async with self.session() as session:
                    result = await work(session)
                    await session.flush()
                    committing = True
                    with DatabaseStatement("COMMIT", self._name):
                        await session.commit()
                    return result
            except Exception as error:
                if committing and connection_lost(error) and not repeatable:
                    raise _outcome_unknown() from error
                if not connection_lost(error) and not lost_a_race(error):
                    raise
                await patience.pause(error)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """A session that rolls back unless its user commits.

        What its user waits for, unless a statement is in flight, is the session's connection.
        """
        assert self._sessions is not None, "the database is not open"  # noqa: S101 (a programming error)
        with waiting_for_connection(), ExitStack() as leaving:
            async with self._sessions() as session:
                try:
                    yield session
                except BaseException:
                    leaving.enter_context(in_database())  # until it is rolled back
                    raise

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """A driver connection of its own, for COPY and for locks that last as long as the connection."""
        connection = await asyncpg.connect(
            self._url, server_settings={"TimeZone": "UTC", "jit": "off"}, timeout=5
        )
        try:
            yield connection
        finally:
            await connection.close(timeout=2)

    async def _fetch_once(self, summary: str, sql: str, values: Sequence[Any]) -> list[asyncpg.Record]:
        """Waiting for a connection stays outside of the statement's time: it is ours, not PostgreSQL's."""
        pool = self._pool
        assert pool is not None, "the database is not open"  # noqa: S101 (a programming error)
        with waiting_for_connection():
            connection = await pool.acquire()
        try:
            with DatabaseStatement(summary, self._name):
                rows: list[asyncpg.Record] = await connection.fetch(sql, *values)
        except BaseException as error:
            if isinstance(error, asyncpg.PostgresError) and not connection_lost(error):
                pool.release(connection)
            else:
                pool.discard(connection)
            raise
        pool.release(connection)
        return rows


class _Patience:
    """Growing pauses between attempts, until a request has waited for 4 s."""

    def __init__(self) -> None:
        self._deadline = time.monotonic() + _PATIENCE_S
        self._pause = _FIRST_PAUSE_S

    async def pause(self, error: Exception) -> None:
        """Before another attempt. Raises a 503 `Problem`, caused by this failure, when patience ends."""
        if time.monotonic() + self._pause > self._deadline:
            raise unavailable("The database does not answer.") from error
        await asyncio.sleep(self._pause * random.uniform(0.5, 1.0))  # noqa: S311 (jitter, not a secret)
        self._pause = min(self._pause * 2, _LONGEST_PAUSE_S)


def _outcome_unknown() -> Problem:
    return Problem(
        503,
        "outcome_unknown",
        "Outcome unknown",
        "The connection to the database was lost while the change was being saved: it may have been saved. "
        "Send the request again with an Idempotency-Key to be safe.",
        headers={"Retry-After": "1"},
    )
