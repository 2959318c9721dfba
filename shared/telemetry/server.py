"""One SERVER span per HTTP request, as raw ASGI middleware.

Names and attributes: OpenTelemetry's stable semantic conventions for HTTP server spans. Left out on
purpose because they are personal data: the client's address, the user agent and the query string.
"""

from collections.abc import Awaitable, Callable, Collection, MutableMapping
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any

from opentelemetry.context import attach, detach
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanKind,
    StatusCode,
    set_span_in_context,
)
from opentelemetry.util.types import AttributeValue

from shared.logs.context import request_id_var
from shared.telemetry import clock
from shared.telemetry.redaction import plain_path
from shared.telemetry.setup import Telemetry
from shared.telemetry.tracecontext import remote_parent

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
RouteOf = Callable[[Scope], str | None]

# The convention wants a bounded set: anything else is `_OTHER`, and its span is called `HTTP`.
_METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"}
)


@dataclass(frozen=True, slots=True)
class ServedRequest:
    """A request as it ended, for the access log.

    `duration_ns` runs from the middleware's start to the last byte handed to the server and equals the
    span's. `status` is None when the client got no answer at all, `error` the convention's `error.type`.
    """

    method: str
    path: str
    route: str | None
    status: int | None
    duration_ns: int
    error: str | None


def matched_route(scope: Scope) -> str | None:
    """The template of the route that FastAPI or Starlette chose, such as `/v1/accounts/{id}`.

    The route of an included router knows only its own part of the path; FastAPI keeps the whole in the
    effective context beside it.
    """
    effective = scope.get("fastapi", {}).get("effective_route_context")
    path = getattr(effective or scope.get("route"), "path", None)
    return path if isinstance(path, str) else None


class ServerSpans:
    """Wraps an ASGI application; WebSocket and lifespan pass untouched.

    Exactly one span per request, also for exceptions and unknown paths, but none for the paths `unseen`,
    which are for probes: neither a span nor a call of `served`. The caller's `traceparent` is
    continued; without one, or with a malformed one, a new trace begins. The middleware that makes the
    request id belongs outside of this one. `served` is called once per request, recorded or not, while
    the span is still current.
    """

    def __init__(
        self,
        app: ASGIApp,
        telemetry: Telemetry,
        route_of: RouteOf = matched_route,
        *,
        served: Callable[[ServedRequest], None] | None = None,
        unseen: Collection[str] = (),
    ) -> None:
        self._app = app
        self._telemetry = telemetry
        self._route_of = route_of
        self._served = served
        self._unseen = unseen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._unseen:
            await self._app(scope, receive, send)
        elif self._telemetry.recording or self._served is not None:
            await self._observe(scope, receive, send)
        else:
            await self._pass_through(scope, receive, send)

    async def _pass_through(self, scope: Scope, receive: Receive, send: Send) -> None:
        parent = remote_parent(scope["headers"])
        if parent is None:
            await self._app(scope, receive, send)
            return
        token = attach(set_span_in_context(NonRecordingSpan(parent)))
        try:
            await self._app(scope, receive, send)
        finally:
            detach(token)

    async def _observe(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = _Exchange(scope, send)
        span = self._start(scope, exchange)
        token = attach(set_span_in_context(span)) if span is not None else None
        try:
            await self._app(scope, receive, exchange.send)
        except BaseException as error:
            exchange.failed(error)
            raise
        finally:
            self._finish(scope, exchange, span)
            if token is not None:
                detach(token)

    def _start(self, scope: Scope, exchange: "_Exchange") -> Span | None:
        parent = remote_parent(scope["headers"])
        remote = NonRecordingSpan(parent) if parent is not None else None
        if not self._telemetry.recording:
            return remote
        return self._telemetry.start_span(
            exchange.method,  # until the route is known
            SpanKind.SERVER,
            _request_attributes(scope),
            start_time=clock.wall_time(exchange.started),
            context=set_span_in_context(remote) if remote is not None else None,
        )

    def _finish(self, scope: Scope, exchange: "_Exchange", span: Span | None) -> None:
        ended = exchange.ended or perf_counter_ns()
        route = self._route_of(scope)
        error = exchange.error
        if error is None and exchange.status is not None and exchange.status >= 500:
            error = str(exchange.status)
        if span is not None and span.is_recording():
            _complete(span, exchange.method, route, exchange.status, error)
            span.end(clock.wall_time(ended))
        if self._served is not None:
            self._served(
                ServedRequest(
                    method=exchange.method,
                    path=_path(scope),
                    route=route,
                    status=exchange.status,
                    duration_ns=ended - exchange.started,
                    error=error,
                )
            )


class _Exchange:
    """What is seen of one request's answer as it passes."""

    __slots__ = ("_send", "ended", "error", "method", "started", "status")

    def __init__(self, scope: Scope, send: Send) -> None:
        self.started = clock.begin()
        self.ended = 0
        self.method: str = scope["method"]
        self.status: int | None = None
        self.error: str | None = None
        self._send = send

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            self.status = message["status"]
        await self._send(message)
        if kind == "http.response.body" and not message.get("more_body", False):
            self.ended = perf_counter_ns()

    def failed(self, error: BaseException) -> None:
        self.error = type_name(error)
        # The server answers an exception with 500 if nothing has been sent; a cancelled request gets
        # no answer.
        if self.status is None and isinstance(error, Exception):
            self.status = 500


def type_name(error: BaseException) -> str:
    """The full name of an exception's class, as `error.type` wants it."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _path(scope: Scope) -> str:
    raw: bytes | None = scope.get("raw_path")
    return plain_path(raw.decode("latin-1") if raw is not None else scope["path"])


def _request_attributes(scope: Scope) -> dict[str, AttributeValue]:
    method = scope["method"]
    attributes: dict[str, AttributeValue] = {
        "http.request.method": method if method in _METHODS else "_OTHER",
        "url.scheme": scope["scheme"],
        "url.path": _path(scope),
        "network.protocol.version": scope["http_version"],
    }
    if method not in _METHODS:
        attributes["http.request.method_original"] = method[:32]
    if server := scope.get("server"):
        attributes["server.address"], port = server
        if port is not None:  # None: a Unix socket
            attributes["server.port"] = port
    if request_id := request_id_var.get():
        attributes["crm.request.id"] = request_id
    return attributes


def _complete(span: Span, method: str, route: str | None, status: int | None, error: str | None) -> None:
    attributes: dict[str, AttributeValue] = {}
    known = method if method in _METHODS else "HTTP"
    span.update_name(f"{known} {route}" if route else known)
    if route:
        attributes["http.route"] = route
    if status is not None:
        attributes["http.response.status_code"] = status
    if error is not None:
        attributes["error.type"] = error
        span.set_status(StatusCode.ERROR)
    span.set_attributes(attributes)
