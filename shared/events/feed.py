"""One connection per process that hears of changes and tells of its own.

A writer does not notify in its transaction: PostgreSQL commits transactions that notify one after the other, which cost
seven eighths of the commits per second (docs/adr/0014). It notifies afterwards, once for however many have been
committed meanwhile. Should that be lost, with its process or its connection, readers look by themselves a second later.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import asyncpg

from shared.background import in_background
from shared.database.database import Database
from shared.database.failures import connection_lost

CHANNEL = "kontor_changes"
NOTIFY = f"NOTIFY {CHANNEL}"
_AGAIN_S = 0.3
_CHECK_EVERY_S = 15.0
"""A connection that is gone without a word is found out by asking."""
_PATIENCE_S = 5.0
_logger = logging.getLogger("kontor.events")


class FeedLost(Exception):
    """There is no connection to the log at this moment."""


class ChangeFeed:
    """Used on one event loop, while `running`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: asyncpg.Connection | None = None
        self._one_at_a_time = asyncio.Lock()
        self._listeners: set[asyncio.Event] = set()
        self._to_tell = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keeps the connection for as long as it is entered."""
        async with in_background(self._run()):
            yield

    def announce(self) -> None:
        """Something has been committed here: wakes listeners in every process."""
        self._to_tell.set()

    @contextmanager
    def listening(self) -> Iterator[asyncio.Event]:
        """An event that is set whenever there may be something new. Its user clears it before looking."""
        event = asyncio.Event()
        self._listeners.add(event)
        try:
            yield event
        finally:
            self._listeners.discard(event)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """The connection, for statements that are short. Raises `FeedLost` when there is none, or it gets lost."""
        async with self._one_at_a_time:
            if self._connection is None:
                raise FeedLost("the event log cannot be reached")
            try:
                yield self._connection
            except Exception as error:
                if not connection_lost(error):
                    raise
                # Whoever keeps the connection makes another one.
                self._connection.terminate()
                raise FeedLost("the event log cannot be reached") from error

    async def _run(self) -> None:
        told = False
        while True:
            try:
                async with self._database.connection() as connection:
                    told = False
                    await self._keep(connection)
            except Exception as error:
                # Also a server that refuses us for now: its role or database may be yet to come.
                if not connection_lost(error) and not isinstance(error, asyncpg.PostgresError):
                    raise
                if not told:
                    _logger.warning("lost the event log, trying again: %s", error or type(error).__name__)
                    told = True
                await asyncio.sleep(_AGAIN_S)

    async def _keep(self, connection: asyncpg.Connection) -> None:
        """Listens and tells until the connection is lost."""
        await connection.add_listener(CHANNEL, lambda *_: self._wake())
        connection.add_termination_listener(lambda _: self._to_tell.set())
        self._connection = connection
        try:
            self._wake()  # nobody knows what was missed
            while not connection.is_closed():
                sql = await self._next_errand()
                async with self._one_at_a_time:
                    await connection.execute(sql, timeout=_PATIENCE_S)
        finally:
            self._connection = None
        raise ConnectionError("the connection was closed")

    async def _next_errand(self) -> str:
        try:
            async with asyncio.timeout(_CHECK_EVERY_S):
                await self._to_tell.wait()
        except TimeoutError:
            return "SELECT 1"
        self._to_tell.clear()
        return NOTIFY

    def _wake(self) -> None:
        for event in self._listeners:
            event.set()
