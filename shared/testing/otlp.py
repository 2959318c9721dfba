"""A small OTLP/HTTP collector for tests: takes real exports and decodes them with the official protobufs."""

import gzip
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """A span's event; `time_ns` since 1970."""

    name: str
    time_ns: int
    attributes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ReceivedSpan:
    """A span as it came over the wire; ids in hexadecimal, `parent_span_id` empty for a root."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_span_id: str
    trace_state: str
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    events: tuple[ReceivedEvent, ...]
    status: str
    resource: dict[str, Any]
    scope: str

    @property
    def duration_ns(self) -> int:
        """End minus start."""
        return self.end_ns - self.start_ns

    @property
    def service(self) -> str:
        """The resource's `service.name`."""
        return str(self.resource.get("service.name", ""))


class OtlpReceiver:
    """A collector on a free port of 127.0.0.1, in a thread: `with OtlpReceiver() as receiver: …`.

    Point `OTEL_EXPORTER_OTLP_ENDPOINT` at `endpoint`. `answer` is the status given to exports; with one
    other than 200 they are refused. Of metrics the requests' bodies are kept, see `shared.testing.otlp_metrics`.
    """

    def __init__(self) -> None:
        self.answer = 200
        self.requests = 0
        self.metrics: list[bytes] = []
        self._spans: list[ReceivedSpan] = []
        self._arrived = Condition()
        self._server = _Server(("127.0.0.1", 0), _handler_for(self))
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def endpoint(self) -> str:
        """The base URL, without the signal's path."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def spans(self) -> list[ReceivedSpan]:
        """A copy of all spans received so far, in the order of their arrival."""
        with self._arrived:
            return list(self._spans)

    def clear(self) -> None:
        """Forget what has been received."""
        with self._arrived:
            self._spans.clear()

    def wait_for(
        self, predicate: Callable[[Sequence[ReceivedSpan]], bool], timeout: float = 10.0
    ) -> list[ReceivedSpan]:
        """Block until the predicate holds for all spans so far and return them; `timeout` in seconds.

        From a coroutine call it by `asyncio.to_thread`. Raises TimeoutError naming what did arrive.
        """
        deadline = time.monotonic() + timeout
        with self._arrived:
            while not predicate(self._spans):
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    arrived = [f"{span.service}: {span.name}" for span in self._spans]
                    raise TimeoutError(f"not satisfied after {timeout} s by {len(arrived)} spans: {arrived}")
                self._arrived.wait(remaining)
            return list(self._spans)

    def receive(self, body: bytes) -> None:
        """Take one export request."""
        spans = decode(body)
        with self._arrived:
            self._spans += spans
            self._arrived.notify_all()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def decode(body: bytes) -> list[ReceivedSpan]:
    """The spans of an ExportTraceServiceRequest, each with the attributes of its resource."""
    request = ExportTraceServiceRequest()
    request.ParseFromString(body)
    return [
        _received(span, _attributes(group.resource.attributes), scoped.scope.name)
        for group in request.resource_spans
        for scoped in group.scope_spans
        for span in scoped.spans
    ]


def _received(span: Span, resource: dict[str, Any], scope: str) -> ReceivedSpan:
    return ReceivedSpan(
        name=span.name,
        kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_span_id=span.parent_span_id.hex(),
        trace_state=span.trace_state,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        attributes=_attributes(span.attributes),
        events=tuple(
            ReceivedEvent(event.name, event.time_unix_nano, _attributes(event.attributes))
            for event in span.events
        ),
        status=Status.StatusCode.Name(span.status.code).removeprefix("STATUS_CODE_"),
        resource=resource,
        scope=scope,
    )


def _attributes(pairs: Sequence[KeyValue]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return _attributes(value.kvlist_value.values)
    return getattr(value, kind)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report faults of our own; an exporter that was killed in the middle is what tests do."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _handler_for(receiver: OtlpReceiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            receiver.requests += self.path == "/v1/traces"
            if self.path not in ("/v1/traces", "/v1/metrics"):
                self._reply(404, b"")
            elif receiver.answer != 200:
                self._reply(receiver.answer, b"")
            elif self.path == "/v1/metrics":
                receiver.metrics.append(body)
                self._reply(200, b"")
            else:
                receiver.receive(body)
                self._reply(200, ExportTraceServiceResponse().SerializeToString())

        def _reply(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet: the tests say what went wrong."""

    return Handler
