"""The caller's side of a request's body: streamed, bounded, and repeatable while it is small."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

from services.gateway.limits.sizes import body_too_large

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

# A body up to this size can be sent again to another replica.
KEEP_BYTES = 64 * 1024


class CallerLeftError(Exception):
    """The caller closed the connection before its answer was complete."""


class CallerBody:
    """Yields the body as it arrives; nothing is read ahead of what the replica takes.

    Iterating raises `CallerLeftError` when the caller goes, and the 413 `Problem` when the body grows too
    long. Iterating again starts over, as long as `replayable`.
    """

    def __init__(self, receive: Receive, *, expected: bool, max_bytes: int) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._kept: list[bytes] | None = []
        self._size = 0
        self._ended = not expected
        self._nobody_reads = asyncio.Event()
        if self._ended:
            self._nobody_reads.set()

    @property
    def replayable(self) -> bool:
        """Whether everything read so far is still here."""
        return self._kept is not None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._kept is None:
            raise RuntimeError("a long body cannot be sent twice")
        for chunk in tuple(self._kept):
            yield chunk
        while not self._ended:
            chunk = await self._next_chunk()
            if chunk:
                yield chunk

    def abandon(self) -> None:
        """Nobody will read on: the answer came first."""
        self._nobody_reads.set()

    async def until_caller_leaves(self) -> None:
        """Wait for the caller's disconnection, once the body is through."""
        await self._nobody_reads.wait()
        while (await self._receive())["type"] != "http.disconnect":
            # The rest of a body that nobody wants any more, or the empty end of none.
            continue

    async def _next_chunk(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise CallerLeftError
        chunk: bytes = message.get("body", b"")
        self._size += len(chunk)
        if self._size > self._max_bytes:
            raise body_too_large(self._max_bytes)
        if self._size > KEEP_BYTES:
            self._kept = None
        elif self._kept is not None:
            self._kept.append(chunk)
        if not message.get("more_body", False):
            self._ended = True
            self._nobody_reads.set()
        return chunk
