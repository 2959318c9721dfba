"""A service's change feed by hand: what comes when, and when it breaks."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

TENANT = UUID("01900000-0000-7000-8000-000000000001")
_HEAD = b"HTTP/1.1 %d Any\r\ncontent-type: %b\r\ntransfer-encoding: chunked\r\n\r\n"


def frame(event: str, document: dict[str, Any], event_id: str | None = None) -> bytes:
    """A frame as services write them."""
    name = f"id: {event_id}\n" if event_id is not None else ""
    return f"{name}event: {event}\ndata: {json.dumps(document)}\n\n".encode()


def start(position: str, *, reset: bool = False) -> bytes:
    return frame("start", {"position": position, "reset": reset}, f"7@{position}")


def change(position: str, *tags: str, early: bool = False, tenant: UUID = TENANT) -> bytes:
    document = {"position": position, "tenant_id": str(tenant), "tags": list(tags)}
    return frame("change", document, None if early else f"7@{position}")


def heartbeat(position: str, held: int = 0) -> bytes:
    return frame("heartbeat", {"position": position, "held": held, "behind_ms": 0}, f"7@{position}")


class Conversation:
    """One follower's connection: what it asked, and what it is told."""

    def __init__(self, head: str, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self.request_line, *lines = head.split("\r\n")
        self.headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)
        }

    async def begin(self, status: int = 200, content_type: str = "text/event-stream") -> None:
        """Answer with a head."""
        self._writer.write(_HEAD % (status, content_type.encode()))
        await self._writer.drain()

    async def tell(self, *frames: bytes) -> None:
        """Send frames, in one chunk."""
        body = b"".join(frames)
        self._writer.write(b"%x\r\n%b\r\n" % (len(body), body))
        await self._writer.drain()

    async def end(self) -> None:
        """End the stream in good order."""
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()
        self._writer.close()

    def break_off(self) -> None:
        """As if killed."""
        self._writer.transport.abort()


class FakeFeed:
    """A replica: followers who ask come one by one."""

    def __init__(self) -> None:
        self._asked: asyncio.Queue[Conversation] = asyncio.Queue()
        self._left = asyncio.Event()
        self.address = ""

    async def asked(self) -> Conversation:
        """The next one who asks."""
        async with asyncio.timeout(20):
            return await self._asked.get()

    async def left(self) -> None:
        """Wait until a follower has hung up."""
        async with asyncio.timeout(20):
            await self._left.wait()
        self._left.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            await self._asked.put(Conversation(head.decode().removesuffix("\r\n\r\n"), writer))
            await reader.read()
        except ConnectionError:
            return  # it was broken off
        finally:
            self._left.set()
            writer.close()


@asynccontextmanager
async def feeding() -> AsyncIterator[FakeFeed]:
    """A feed that listens."""
    feed = FakeFeed()
    server = await asyncio.start_server(feed._serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    feed.address = f"{host}:{port}"
    try:
        yield feed
    finally:
        server.close()
