"""ASGI's types, and the answer of one request as it is sent."""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from email.utils import formatdate
from typing import Any

from shared.problems import Problem, problem_response_parts

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Header = tuple[bytes, bytes]


class Answer:
    """Sends one answer, and knows how far it has come.

    `extra` headers are added to whatever is answered, problems included.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self.extra: list[Header] = []
        self.started = False
        self.complete = False

    async def start(self, status: int, headers: Sequence[Header]) -> None:
        """Send the head."""
        self.started = True
        await self._send(
            {"type": "http.response.start", "status": status, "headers": [*headers, *self.extra]}
        )

    async def write(self, chunk: bytes) -> None:
        """Send a piece of the body; waits while the caller does not keep up."""
        await self._send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def end(self, body: bytes = b"") -> None:
        """Send the last piece."""
        self.complete = True
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def whole(self, status: int, content_type: bytes, body: bytes) -> None:
        """Send a complete answer of our own."""
        length = str(len(body)).encode()
        await self.start(status, [(b"content-type", content_type), (b"content-length", length), _date()])
        await self.end(body)

    async def problem(self, problem: Problem, *, request_id: str, instance: str) -> None:
        """Send a problem of our own."""
        status, headers, body = problem_response_parts(problem, request_id=request_id, instance=instance)
        await self.start(status, [*headers, _date()])
        await self.end(body)


def _date() -> Header:
    # Only on what we answer ourselves: a replica's answer has its own.
    return b"date", formatdate(usegmt=True).encode("ascii")
