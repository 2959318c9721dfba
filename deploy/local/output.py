"""The pipe that the processes of one program write to, read line by line."""

import asyncio
import os
from collections.abc import Callable, Iterable

from deploy.local.logs import LineSplitter

_CLOSE_PATIENCE_S = 0.2


class OutputPipe:
    """One pipe for a program's process and its successors, so that reading goes on over their deaths."""

    def __init__(self, take_line: Callable[[str], None]) -> None:
        self._take_line = take_line
        self._splitter = LineSplitter()
        self._read_end, self.write_end = os.pipe()
        self._transport: asyncio.ReadTransport | None = None
        self._ended = asyncio.Event()

    async def open(self) -> None:
        """Begin to read."""
        loop = asyncio.get_running_loop()
        pipe = os.fdopen(self._read_end, "rb", buffering=0)
        self._transport, _ = await loop.connect_read_pipe(lambda: _Reader(self._take, self._ended), pipe)

    def flush(self) -> None:
        """Hand on what a dead process left without a line's end."""
        self._hand_on(self._splitter.rest())

    async def close(self) -> None:
        """Hand on what is still in the pipe. Somebody who holds it open is waited for only a moment."""
        os.close(self.write_end)
        if self._transport is None:
            os.close(self._read_end)
            return
        await asyncio.wait({asyncio.ensure_future(self._ended.wait())}, timeout=_CLOSE_PATIENCE_S)
        self._ended.set()
        self._transport.close()
        self.flush()

    def _take(self, data: bytes) -> None:
        self._hand_on(self._splitter.feed(data))

    def _hand_on(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._take_line(line)


class _Reader(asyncio.Protocol):
    def __init__(self, take: Callable[[bytes], None], ended: asyncio.Event) -> None:
        self._take = take
        self._ended = ended

    def data_received(self, data: bytes) -> None:
        self._take(data)

    def eof_received(self) -> bool:
        self._ended.set()
        return False

    def connection_lost(self, _: Exception | None) -> None:
        self._ended.set()
