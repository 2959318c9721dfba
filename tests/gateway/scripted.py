"""A replica in the test's own process that keeps what it hears and answers with bytes of the test's choosing.

It reads with h11: whatever the gateway sends has to be plain HTTP to someone else's parser as well.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import h11

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Heard:
    """One request as it arrived. `connection` counts the connections, from 0."""

    method: bytes
    target: bytes
    headers: list[tuple[bytes, bytes]]
    connection: int
    body: bytes = b""
    complete: bool = False

    def values(self, name: bytes) -> list[bytes]:
        """All of that header's."""
        return [value for own, value in self.headers if own == name]


@dataclass
class Talk:
    """What a script has at hand: the request, and its connection."""

    heard: Heard
    parser: h11.Connection
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def read_body(self) -> None:
        """The rest of the request."""
        pieces = []
        while isinstance(event := await _event(self.parser, self.reader), h11.Data):
            pieces.append(bytes(event.data))
        self.heard.body = b"".join(pieces)
        self.heard.complete = isinstance(event, h11.EndOfMessage)

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()


Script = bytes | Callable[[Talk], Awaitable[None]]


@dataclass
class ScriptedReplica:
    """Answers `scripts[path]`: bytes once the request is complete, a function when its head has arrived.

    A function that returns has done with the connection. Health checks are answered and not kept.
    """

    port: int = 0
    heard: list[Heard] = field(default_factory=list)
    scripts: dict[bytes, Script] = field(default_factory=dict)
    connections: int = 0
    unreadable: list[str] = field(default_factory=list)

    def clear(self) -> None:
        """Forget what was heard and what to say."""
        self.heard.clear()
        self.scripts.clear()
        self.unreadable.clear()

    @property
    def targets(self) -> list[bytes]:
        """Of all requests that arrived whole."""
        return [one.target for one in self.heard if one.complete]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        number, self.connections = self.connections, self.connections + 1
        parser = h11.Connection(h11.SERVER)
        try:
            while await self._answer(parser, number, reader, writer):
                rest = parser.trailing_data[0]
                parser = h11.Connection(h11.SERVER)
                if rest:
                    parser.receive_data(rest)
        except h11.RemoteProtocolError as error:
            self.unreadable.append(str(error))
        except ConnectionError:
            pass  # the gateway may leave at any time
        finally:
            writer.close()

    async def _answer(
        self, parser: h11.Connection, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        request = await _event(parser, reader)
        if not isinstance(request, h11.Request):
            return False
        heard = Heard(request.method, request.target, [(n.lower(), v) for n, v in request.headers], number)
        path = request.target.partition(b"?")[0]
        if path != b"/readyz":
            self.heard.append(heard)
        script = self.scripts.get(path, OK)
        talk = Talk(heard, parser, reader, writer)
        if not isinstance(script, bytes):
            await script(talk)
            return False
        await talk.read_body()
        await talk.say(script)
        return heard.complete


async def _event(parser: h11.Connection, reader: asyncio.StreamReader) -> object:
    while (event := parser.next_event()) is h11.NEED_DATA:
        parser.receive_data(await reader.read(65536))
    return event


@asynccontextmanager
async def scripted_replica() -> AsyncIterator[ScriptedReplica]:
    replica = ScriptedReplica()
    server = await asyncio.start_server(replica.serve, "127.0.0.1", 0)
    replica.port = server.sockets[0].getsockname()[1]
    try:
        yield replica
    finally:
        server.close()
