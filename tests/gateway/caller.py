"""A caller who writes bytes and reads answers, and hides nothing of either."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import h11

PATIENCE_S = 20


@dataclass
class Answer:
    """`headers` in their order, names in lower case; `trailers` likewise."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    trailers: list[tuple[bytes, bytes]]

    def values(self, name: bytes) -> list[bytes]:
        """All of that header's."""
        return [value for own, value in self.headers if own == name]

    @property
    def closes(self) -> bool:
        """Whether it says that it is the connection's last."""
        return b"close" in self.values(b"connection")


class Caller:
    """One connection to the gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._rest = b""

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def read(self) -> bytes:
        """Some more bytes, none at the end."""
        rest, self._rest = self._rest, b""
        return rest or await asyncio.wait_for(self.reader.read(65536), PATIENCE_S)

    async def until(self, end: bytes) -> bytes:
        """Everything up to and with `end`."""
        data = b""
        while end not in data:
            piece = await self.read()
            assert piece, f"closed after {data!r}"
            data += piece
        data, _, self._rest = data.partition(end)
        return data + end

    async def rest(self) -> bytes:
        """Everything until the gateway closes."""
        pieces = []
        while piece := await self.read():
            pieces.append(piece)
        return b"".join(pieces)

    async def answer(self, method: bytes = b"GET") -> Answer:
        """The next final answer, to a request of this method."""
        parser = h11.Connection(h11.CLIENT)
        parser.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
        parser.send(h11.EndOfMessage())
        found = Answer(0, [], b"", [])
        pieces: list[bytes] = []
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                parser.receive_data(await self.read())
            elif isinstance(event, h11.Response):
                found.status = event.status_code
                found.headers = [(name.lower(), value) for name, value in event.headers]
            elif isinstance(event, h11.Data):
                pieces.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                found.body = b"".join(pieces)
                found.trailers = [(name.lower(), value) for name, value in event.headers]
                self._rest = parser.trailing_data[0]
                return found

    async def closed(self) -> bool:
        """Whether the gateway ends the connection, having said no more."""
        return await self.rest() == b""


@asynccontextmanager
async def calling(port: int) -> AsyncIterator[Caller]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Caller(reader, writer)
    finally:
        writer.transport.abort()
