"""The simulator's arrivals on the clock, in an open loop: a slow answer delays no other request."""

import asyncio
from functools import partial
from typing import cast

from tests.simulation.world import World


class _Caller(asyncio.Protocol):
    """One connection to the gateway, which carries one request at a time."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._buffer = b""
        self._number = -1
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own class is no subclass

    def send(self, number: int, request: bytes) -> None:
        self._number = number
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) >= length:
            self._buffer = b""
            self._load.answered(self, self._number, head.startswith(b"HTTP/1.1 200"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.lost(self)


class Load:
    """Sends a world's requests; `latency_ns` is from when a request was due, 0 for what was not answered well."""

    def __init__(self, world: World, port: int) -> None:
        self._world = world
        self._port = port
        self._idle: list[_Caller] = []
        self._open = 0
        self._left = len(world.arrivals_ns)
        self._over = asyncio.Event()
        self.latency_ns = [0] * self._left
        self.lag_ns = 0  # how late the latest request was sent

    async def run(self, patience_s: float) -> None:
        """All of them, and the answers as far as they come within `patience_s` after the last one."""
        self._loop = asyncio.get_running_loop()
        self._began_s = self._loop.time()
        for number, arrival_ns in enumerate(self._world.arrivals_ns):
            due_s = self._began_s + arrival_ns / 1e9
            wait_s = due_s - self._loop.time()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            else:
                self.lag_ns = max(self.lag_ns, int(-wait_s * 1e9))
            await self._send(number)
        try:
            async with asyncio.timeout(patience_s):
                await self._over.wait()
        finally:
            for caller in self._idle:
                caller.transport.abort()

    async def _send(self, number: int) -> None:
        demand_ns = self._world.demands_ns[number]
        request = f"GET /work/{number}?ns={demand_ns:.0f} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()
        if self._idle:
            caller = self._idle.pop()
        else:
            _, caller = await self._loop.create_connection(partial(_Caller, self), "127.0.0.1", self._port)
        caller.send(number, request)

    def answered(self, caller: _Caller, number: int, good: bool) -> None:
        """A request is over."""
        if good:
            self.latency_ns[number] = int(
                (self._loop.time() - self._began_s) * 1e9 - self._world.arrivals_ns[number]
            )
        self._idle.append(caller)
        self._left -= 1
        if not self._left:
            self._over.set()

    def lost(self, caller: _Caller) -> None:
        """A connection has ended; a request on it would stay without an answer."""
        if caller in self._idle:
            self._idle.remove(caller)
