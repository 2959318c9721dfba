"""Connections for single statements that leave nothing behind.

A stack of idle connections and a queue of those who wait for one. The driver's own pool wraps each loan in a proxy, a
timer and a task, which took 55 of 253 µs of CPU of a read by id; here a loan is a pop and an append.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

import asyncpg

from shared.telemetry.metrics.pools import PoolUse

_CLOSING_S = 2.0


class ReadPool:
    """At most `size` connections, made by `connect` when they are first needed and replaced when they are lost.

    The one returned last is lent first: its server process has the warmest caches, and those in excess stay idle.
    Used on one event loop.
    """

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection]], size: int) -> None:
        self._connect = connect
        self._size = size
        self._idle: list[asyncpg.Connection] = []
        self._taken = 0  # places: of idle and lent connections, and of those being made
        # Somebody waits only while every place is taken. None hands over the place of a connection that was lost.
        self._waiters: deque[asyncio.Future[asyncpg.Connection | None]] = deque()
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def in_use(self) -> float:
        """The share of the places that are lent, 0 to 1."""
        return (self._taken - len(self._idle)) / self._size

    def use(self) -> PoolUse:
        """Who is lent, or being made, is used."""
        return PoolUse("reads", self._taken - len(self._idle), len(self._idle), self._size)

    async def acquire(self) -> asyncpg.Connection:
        """A connection to be given back by `release` or `discard`, waited for in turn when all are lent.

        Raises what connecting raises.
        """
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
            self._taken -= 1
        if self._taken < self._size:
            self._taken += 1
            return await self._make()
        given = await self._wait()
        return await self._make() if given is None or given.is_closed() else given

    def release(self, connection: asyncpg.Connection) -> None:
        """Takes back a connection whose statement has ended."""
        if connection.is_closed():
            self._hand_over(None)
        else:
            self._hand_over(connection)

    def discard(self, connection: asyncpg.Connection) -> None:
        """Takes back a connection that may still be running its statement: it is cancelled and closed meanwhile."""
        task = asyncio.create_task(_close(connection))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        self._hand_over(None)

    async def close(self) -> None:
        """Lets running statements end, then closes every connection."""
        while self._taken:
            connection = self._idle.pop() if self._idle else await self._wait()
            self._taken -= 1
            if connection is not None:
                await _close(connection)
        await asyncio.gather(*self._closing)

    async def _make(self) -> asyncpg.Connection:
        """Fills a place that is taken already."""
        try:
            return await self._connect()
        except BaseException:
            self._hand_over(None)
            raise

    async def _wait(self) -> asyncpg.Connection | None:
        waiter: asyncio.Future[asyncpg.Connection | None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():  # served and cancelled in the same moment
                self._hand_over(waiter.result())
            raise

    def _hand_over(self, connection: asyncpg.Connection | None) -> None:
        """Gives the connection, or the place of a lost one, to whoever has waited longest."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        if connection is not None:
            self._idle.append(connection)
        else:
            self._taken -= 1


async def _close(connection: asyncpg.Connection) -> None:
    """Cancels what runs, says good-bye, and gives the server 2 s for both; then the driver just drops it."""
    with suppress(
        OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError
    ):
        await connection.close(timeout=_CLOSING_S)
