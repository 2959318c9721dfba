"""A service in the test's own process, behind real sockets: it answers when told to, and remembers what was asked."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.gateway.protocol.request_head import RequestHead, parse_request_head


class Origin:
    """Answers GET with `body_of` the target once the gate is open; `fails` makes it answer 500 instead."""

    def __init__(self) -> None:
        self.asked: Counter[bytes] = Counter()
        self.gate = asyncio.Event()
        self.gate.set()
        self.fails = False
        self.body_bytes = 100
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while True:
                head = parse_request_head((await reader.readuntil(b"\r\n\r\n"))[:-4])
                if head.target != b"/readyz":
                    self.asked[head.target] += 1
                    await self.gate.wait()
                writer.write(self._answer(head))
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    def _answer(self, head: RequestHead) -> bytes:
        if self.fails and head.target != b"/readyz":
            return b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"
        body = (head.target * (self.body_bytes // len(head.target) + 1))[: self.body_bytes]
        return b"HTTP/1.1 200 OK\r\nCache-Control: public, max-age=600\r\nContent-Length: %d\r\n\r\n%b" % (
            len(body),
            body,
        )


@asynccontextmanager
async def running_origin() -> AsyncIterator[Origin]:
    """A service that listens."""
    origin = Origin()
    server = await asyncio.start_server(origin.serve, "127.0.0.1", 0, backlog=1024)
    origin.port = server.sockets[0].getsockname()[1]
    try:
        yield origin
    finally:
        server.close()
