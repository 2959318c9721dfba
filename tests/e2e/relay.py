"""A network between two processes that can be cut: bytes wait, connections stay, nobody is told."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


class Relay:
    """Passes on to a port of this machine what comes in on its own `port`."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._whole = asyncio.Event()
        self._whole.set()
        self._ended = asyncio.Event()
        self._joined: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop
        self.port = 0

    def cut(self) -> None:
        """Nothing gets through any more, in either direction."""
        self._call(self._whole.clear)

    def mend(self) -> None:
        """What has waited gets through, as after a retransmission."""
        self._call(self._whole.set)

    def _call(self, callback: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(callback)

    async def _serve(self, ready: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._begin, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready()
        await self._ended.wait()
        server.close()
        for task in list(self._joined):
            task.cancel()
        await asyncio.gather(*self._joined, return_exceptions=True)

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._join(reader, writer))
        self._joined.add(task)
        task.add_done_callback(self._joined.discard)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._whole.wait()
        try:
            there = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass_on(reader, there[1]))
                group.create_task(self._pass_on(there[0], writer))
        finally:
            writer.transport.abort()
            there[1].transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                await self._whole.wait()
                writer.write(data)
                await writer.drain()
        writer.transport.abort()


@contextmanager
def relaying(target: int) -> Iterator[Relay]:
    """A relay that listens, on a thread of its own: whoever uses it may block."""
    relay, ready = Relay(target), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(relay._serve(ready.set)))
    thread.start()
    ready.wait()
    try:
        yield relay
    finally:
        relay._call(relay._ended.set)
        thread.join()
