"""Connections to one replica: opened when needed, kept for the next request, the newest first.

The client library speaks the protocol; its pool and its network layer stay unused. That pool walks all its
connections, and asks the kernel about each idle one, twice per request.
"""

import asyncio
import select
import socket
from typing import Any, cast

import httpcore2

_READ_AHEAD = 256 * 1024  # bytes received and not yet taken, above which the replica is made to wait


class Connections:
    """At most `most` in use at once, and up to `idle` kept for `keep_s` seconds after their last use."""

    def __init__(self, host: str, port: int, *, most: int, idle: int, keep_s: float) -> None:
        self._host = host
        self._port = port
        self._keep_s = keep_s
        self._most_idle = idle
        self._origin = httpcore2.Origin(b"http", host.encode("ascii"), port)
        self._free = asyncio.Semaphore(most)
        self._idle: list[httpcore2.AsyncHTTP11Connection] = []

    async def acquire(self, *, wait_s: float, connect_s: float) -> httpcore2.AsyncHTTP11Connection:
        """A connection, to be given back by `release`.

        Raises `httpcore2.PoolTimeout` when all are in use for `wait_s` seconds, `ConnectError` or
        `ConnectTimeout` when a new one does not come about.
        """
        await self._take_a_place(wait_s)
        try:
            while self._idle:
                connection = self._idle.pop()
                if not connection.has_expired():
                    return connection
                await connection.aclose()
            return await self._open(connect_s)
        except BaseException:
            self._free.release()
            raise

    async def release(self, connection: httpcore2.AsyncHTTP11Connection) -> None:
        """Keep it if its last exchange was complete, else close it."""
        self._free.release()
        if connection.is_idle() and len(self._idle) < self._most_idle:
            self._idle.append(connection)
        else:
            await connection.aclose()

    async def aclose(self) -> None:
        """Close those that nobody uses."""
        while self._idle:
            await self._idle.pop().aclose()

    async def _take_a_place(self, wait_s: float) -> None:
        if not self._free.locked():
            await self._free.acquire()  # returns at once; a timer would cost more than the rest
            return
        try:
            async with asyncio.timeout(wait_s):
                await self._free.acquire()
        except TimeoutError as error:
            raise httpcore2.PoolTimeout(f"no connection became free within {wait_s} s") from error

    async def _open(self, connect_s: float) -> httpcore2.AsyncHTTP11Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(connect_s):
                _, stream = await loop.create_connection(_Stream, self._host.strip("[]"), self._port)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(f"no connection within {connect_s} s") from error
        except OSError as error:
            raise httpcore2.ConnectError(str(error)) from error
        return httpcore2.AsyncHTTP11Connection(self._origin, stream, keepalive_expiry=self._keep_s)


class _Stream(asyncio.Protocol, httpcore2.AsyncNetworkStream):
    """A socket as the client library wants it. One reader and one writer at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._poll = select.poll()
        self._received = bytearray()
        self._ended = False
        self._error: Exception | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._writable = True
        self._read_paused = False

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class is no subclass
        connected = transport.get_extra_info("socket")
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._poll.register(connected.fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if len(self._received) > _READ_AHEAD and not self._read_paused:
            self._read_paused = True
            self._transport.pause_reading()
        _wake(self._reader)

    def eof_received(self) -> None:
        self._ended = True
        _wake(self._reader)
        _wake(self._writer)  # who has said its last word reads no more either

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        self._error = exc
        _wake(self._reader)
        _wake(self._writer)

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        _wake(self._writer)

    # What the client library calls

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - the library's interface
        """What has arrived, waiting for something to; empty at the end."""
        while not self._received and not self._ended:
            self._reader = asyncio.get_running_loop().create_future()
            await _within(self._reader, timeout, httpcore2.ReadTimeout)
        if not self._received and self._error is not None:
            raise httpcore2.ReadError(str(self._error)) from self._error
        data = bytes(self._received[:max_bytes])
        del self._received[:max_bytes]
        if self._read_paused and len(self._received) <= _READ_AHEAD and not self._transport.is_closing():
            self._read_paused = False
            self._transport.resume_reading()
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - the library's interface
        """Hand over the bytes, and wait while the replica does not keep up."""
        if not buffer:
            return
        if self._ended or self._transport.is_closing():
            raise httpcore2.WriteError("the connection is closed")
        self._transport.write(buffer)
        while not self._writable and not self._ended and not self._transport.is_closing():
            self._writer = asyncio.get_running_loop().create_future()
            await _within(self._writer, timeout, httpcore2.WriteTimeout)

    async def aclose(self) -> None:
        """Cut the connection: when this is called, nothing that is still on its way is wanted."""
        self._transport.abort()

    def get_extra_info(self, info: str) -> Any:
        """Of an idle connection: whether something, which can only be its end, has arrived."""
        if info == "is_readable":
            # The kernel is asked as well: the end may have come in this very turn of the event loop.
            return self._ended or self._transport.is_closing() or bool(self._poll.poll(0) or self._received)
        return self._transport.get_extra_info(info)


def _wake(waiting: asyncio.Future[None] | None) -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(None)


async def _within(waiting: asyncio.Future[None], most_s: float | None, late: type[Exception]) -> None:
    """Like `asyncio.timeout` around the future, for a fraction of its cost."""
    if most_s is None:
        await waiting
        return
    timer = asyncio.get_running_loop().call_later(most_s, _give_up, waiting, late, most_s)
    try:
        await waiting
    finally:
        timer.cancel()


def _give_up(waiting: asyncio.Future[None], late: type[Exception], most_s: float) -> None:
    if not waiting.done():
        waiting.set_exception(late(f"nothing happened for {most_s} s"))
