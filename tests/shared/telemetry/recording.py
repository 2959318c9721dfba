"""Telemetry that records into memory, and the smallest ASGI exchange."""

from collections.abc import Callable, Iterable
from typing import Any

from shared.asgi import Message, Send
from shared.telemetry.outbox import OutboxLimits, SpanOutbox
from shared.telemetry.setup import Telemetry
from shared.telemetry.spans import SpanRecord


class Recorded:
    """Where an outbox exports to in place of the network."""

    def __init__(self) -> None:
        self.records: list[SpanRecord] = []

    def export(self, records: Iterable[SpanRecord]) -> bool:
        self.records += records
        return True

    def shutdown(self) -> None:
        """There is nothing to give up."""


def recording(share: float = 1.0) -> tuple[Telemetry, Callable[[], list[SpanRecord]]]:
    """Telemetry as `configure` makes it, and what gives the spans in the end, after which no more are taken."""
    recorded = Recorded()
    outbox = SpanOutbox(recorded, OutboxLimits())

    def finished() -> list[SpanRecord]:
        outbox.shutdown(30.0)
        return recorded.records

    return Telemetry(outbox=outbox, share=share), finished


def http_scope(path: str = "/v1/things/7", method: str = "GET", **headers: str) -> dict[str, Any]:
    """A scope as uvicorn makes it."""
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"q=jane%40example.com",
        "scheme": "http",
        "http_version": "1.1",
        "root_path": "",
        "server": ("127.0.0.1", 8001),
        "client": ("203.0.113.9", 4711),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
    }


async def receive() -> Message:
    """A request without a body."""
    return {"type": "http.request", "body": b"", "more_body": False}


async def discard(_message: Message) -> None:
    """A client that does not look at the answer."""


async def answer(send: Send, status: int = 200) -> None:
    """A whole answer."""
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})
