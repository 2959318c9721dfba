"""A reader of the stream who speaks ASGI: it takes frames one by one, at its own pace."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from shared.asgi import App, Message
from shared.events.access import GATEWAY
from shared.events.stream import PATH
from shared.identity import IDENTITY_HEADER, Identity
from shared.identity.signer import IdentitySigner

PATIENCE_S = 20


@dataclass(frozen=True)
class Frame:
    """One server-sent event."""

    event: str
    id: str | None
    data: dict[str, Any]


@dataclass
class StreamReader:
    """What has come, and what is still to be taken."""

    messages: "asyncio.Queue[Message]"
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    buffered: str = ""
    ended: bool = False

    async def frame(self) -> Frame:
        """The next one. Raises EOFError at the stream's end."""
        async with asyncio.timeout(PATIENCE_S):
            while "\n\n" not in self.buffered:
                await self._take()
        text, _, self.buffered = self.buffered.partition("\n\n")
        lines = dict(line.split(": ", 1) for line in text.split("\n"))
        return Frame(lines["event"], lines.get("id"), json.loads(lines["data"]))

    async def next(self, event: str) -> Frame:
        """The next frame of this name; others are passed over."""
        while (found := await self.frame()).event != event:
            pass
        return found

    async def changes(self, number: int) -> list[Frame]:
        """So many changes, whatever comes between them."""
        return [await self.next("change") for _ in range(number)]

    async def body(self) -> str:
        """All of an answer that has an end."""
        async with asyncio.timeout(PATIENCE_S):
            while not self.ended:
                await self._take()
        return self.buffered

    async def _take(self) -> None:
        if self.ended:
            raise EOFError
        message = await self.messages.get()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            return
        self.buffered += message["body"].decode()
        self.ended = not message.get("more_body", False)


@asynccontextmanager
async def following(
    app: App,
    signer: IdentitySigner,
    *,
    identity: Identity | None = GATEWAY,
    method: str = "GET",
    query: str = "",
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[StreamReader]:
    """The stream as the gateway reads it; at the end the reader goes away and the answer must have ended."""
    sent = dict(headers or {})
    if identity is not None:
        sent[IDENTITY_HEADER] = signer.sign(identity, "customers")
    gone = asyncio.Event()
    reader = StreamReader(asyncio.Queue())

    async def receive() -> Message:
        await gone.wait()
        return {"type": "http.disconnect"}

    scope = {
        "type": "http",
        "method": method,
        "path": PATH,
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
    }
    task = asyncio.create_task(_run(app, scope, receive, reader))
    try:
        yield reader
    finally:
        gone.set()
        async with asyncio.timeout(PATIENCE_S):
            await task


async def _run(app: App, scope: dict[str, Any], receive: Any, reader: StreamReader) -> None:
    await app(scope, receive, reader.messages.put)
