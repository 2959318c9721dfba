"""Telemetry that records into memory, and the smallest ASGI exchange."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

from shared.telemetry.setup import Telemetry

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]


def recording(share: float = 1.0) -> tuple[Telemetry, InMemorySpanExporter]:
    """Telemetry as `configure` makes it, with memory in place of the network."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=TraceIdRatioBased(share), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Telemetry(provider.get_tracer("kontor")), exporter


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
