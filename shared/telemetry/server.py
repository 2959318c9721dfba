"""Every HTTP request, timed and told: the service's terms on the answer, one SERVER span, one call of `served`.

Raw ASGI, outermost, so that nothing a request costs is missed. Names and attributes: OpenTelemetry's stable semantic
conventions for HTTP server spans. Left out on purpose because they are personal data: the client's address, the user
agent and the query string.
"""

from collections.abc import Awaitable, Callable, Collection
from functools import lru_cache
from time import perf_counter_ns
from types import CoroutineType
from typing import Final, NamedTuple

from opentelemetry.trace import SpanKind
from opentelemetry.util.types import AttributeValue

from shared.asgi import App, Message, Receive, Scope, Send
from shared.telemetry.driving import driven
from shared.telemetry.methods import OTHER, SPELLINGS, original
from shared.telemetry.redaction import plain_path
from shared.telemetry.request import RequestContext, current_request
from shared.telemetry.sampling import sampled
from shared.telemetry.setup import Telemetry
from shared.telemetry.spans import CommonAttributes, SpanRecord, new_span_id, new_trace_id
from shared.telemetry.stopwatch import LoopWork, Stopwatch
from shared.telemetry.terms import TERMS_HEADER, ServiceTerms, write_terms
from shared.telemetry.tracecontext import remote_parent

RouteOf = Callable[[Scope], str | None]

RECEIVED: Final = "received_ns"
"""Where the server's protocol leaves, in the scope, the monotonic reading of the request's first bytes."""

_SAMPLED: Final = 1
_RANDOM: Final = 2  # the flag of W3C's level 2: the trace id is random


class ServedRequest(NamedTuple):
    """A request as it ended, for the access log and the metrics.

    `duration_ns` runs from the first bytes to the end of the answer; it is the sum of the terms, and the span's
    duration. `done_ns` is the monotonic reading at its end. `status` is None when the client got no answer at all,
    `error` the convention's `error.type`. Both ids are 0 where there is no trace; `recorded` says whether there is a
    span.
    """

    method: str
    path: str
    route: str | None
    status: int | None
    duration_ns: int
    error: str | None
    terms: ServiceTerms
    request_id: str | None
    trace_id: int
    span_id: int
    recorded: bool
    done_ns: int


def matched_route(scope: Scope) -> str | None:
    """The template of the route that FastAPI or Starlette chose, such as `/v1/accounts/{id}`.

    The route of an included router knows only its own part of the path; FastAPI keeps the whole in the
    effective context beside it.
    """
    effective = scope.get("fastapi", {}).get("effective_route_context")
    path = getattr(effective or scope.get("route"), "path", None)
    return path if isinstance(path, str) else None


class ServerSpans:
    """Wraps an ASGI application; WebSocket and lifespan pass untouched, and so do the paths `unseen`, for probes.

    The answer's head tells the terms by `x-kontor-terms`. An answer that is handed over in one go ends with its head;
    what streams later counts for the span and for `served`, which is called exactly once, whatever
    happens, while the request is still the current one.

    The caller's `traceparent` is continued, its `sampled` flag included: a service is called by the gateway, which
    has decided. Without one, or with a malformed one, a new trace begins, recorded by the share. `work` is the
    process's, shared with the server's protocol.
    """

    def __init__(
        self,
        app: App,
        telemetry: Telemetry,
        route_of: RouteOf = matched_route,
        *,
        served: Callable[[ServedRequest], None] | None = None,
        unseen: Collection[str] = (),
        work: LoopWork | None = None,
    ) -> None:
        self._app = app
        self._telemetry = telemetry
        self._route_of = route_of
        self._served = served
        self._unseen = unseen
        self._work = work or LoopWork()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["path"] in self._unseen:
            await self._app(scope, receive, send)
            return
        now = perf_counter_ns()
        watch = Stopwatch(scope.get(RECEIVED, now), now, self._work)
        context = RequestContext(watch)
        parent_id = self._place(context, scope)
        exchange = _Exchange(watch, send)
        token = current_request.set(context)
        try:
            answering = self._app(scope, receive, exchange.send)
            if not isinstance(answering, CoroutineType):
                answering = _awaited(answering)
            await driven(watch, answering)
        except BaseException as error:
            exchange.failed(error)
            raise
        finally:
            ended = perf_counter_ns()
            self._finish(scope, exchange, context, parent_id)
            current_request.reset(token)
            self._work.ended(ended, perf_counter_ns())

    def _place(self, context: RequestContext, scope: Scope) -> int:
        """Where the request stands in which trace; gives the parent's id."""
        parent = remote_parent(scope["headers"])
        outbox = self._telemetry.outbox
        if parent is not None:
            context.trace_id, context.span_id, context.flags, context.trace_state = parent
            if outbox is None:
                return 0  # the caller's span is what work of this request belongs under
            parent_id = parent.span_id
        elif outbox is None:
            return 0
        else:
            context.trace_id, parent_id = new_trace_id(), 0
            context.flags = _RANDOM | sampled(context.trace_id, self._telemetry.share)
        context.span_id = new_span_id()
        if context.flags & _SAMPLED:
            context.record()
        return parent_id

    def _finish(self, scope: Scope, exchange: "_Exchange", context: RequestContext, parent_id: int) -> None:
        terms = exchange.terms_at_end()
        error = exchange.error
        if error is None and exchange.status is not None and exchange.status >= 500:
            error = str(exchange.status)
        raw: bytes | None = scope.get("raw_path")
        served = ServedRequest(
            scope["method"],
            plain_path(raw.decode("latin-1") if raw is not None else scope["path"]),
            self._route_of(scope),
            exchange.status,
            terms.total_ns,
            error,
            terms,
            scope.get("request_id"),
            context.trace_id,
            context.span_id,
            context.recorded,
            context.watch.received + terms.total_ns,
        )
        if context.recorded and (outbox := self._telemetry.outbox) is not None:
            start_ns = context.watch.received + context.offset_ns
            context.spans.append(_span(served, scope, context, parent_id, start_ns))
            outbox.put(tuple(context.spans))  # whatever the request has left running may still add to them
        if self._served is not None:
            self._served(served)


async def _awaited(answering: Awaitable[None]) -> None:
    """Only a coroutine has steps; an application may give any awaitable."""
    await answering


class _Exchange:
    """What is seen of one request's answer as it passes."""

    __slots__ = ("_send", "_steps_at_head", "_terms", "_watch", "error", "status")

    def __init__(self, watch: Stopwatch, send: Send) -> None:
        self.status: int | None = None
        self.error: str | None = None
        self._watch = watch
        self._send = send
        self._terms: ServiceTerms | None = None
        self._steps_at_head = -1

    def send(self, message: Message) -> Awaitable[None]:
        """ASGI. The clock is read before anything is written: afterwards the caller may have it already."""
        kind = message["type"]
        if kind == "http.response.start":
            terms = self._watch.lap(perf_counter_ns())
            self.status = message["status"]
            message["headers"] = [*message["headers"], (TERMS_HEADER, write_terms(terms))]
            self._terms = terms
            self._steps_at_head = self._watch.steps
        elif kind == "http.response.body" and not message.get("more_body", False):
            if self._watch.steps != self._steps_at_head:
                self._terms = self._watch.lap(perf_counter_ns())
            self._steps_at_head = _ANSWERED
        return self._send(message)

    def terms_at_end(self) -> ServiceTerms:
        """Of the whole request; of one without a complete answer until now."""
        if self._terms is None or self._steps_at_head != _ANSWERED:
            return self._watch.lap(perf_counter_ns())
        return self._terms

    def failed(self, error: BaseException) -> None:
        """The application has raised."""
        self.error = type_name(error)
        # The server answers an exception with 500 if nothing has been sent; a cancelled request gets
        # no answer.
        if self.status is None and isinstance(error, Exception):
            self.status = 500


_ANSWERED: Final = -2


def type_name(error: BaseException) -> str:
    """The full name of an exception's class, as `error.type` wants it."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _span(
    served: ServedRequest, scope: Scope, context: RequestContext, parent_id: int, start_ns: int
) -> SpanRecord:
    attributes = latency_attributes(served.terms)
    attributes["url.path"] = served.path
    if served.request_id:
        attributes["crm.request.id"] = served.request_id
    known = SPELLINGS.get(served.method, "")
    if not known:
        attributes["http.request.method_original"] = original(served.method)
    host, port = scope.get("server") or ("", None)
    return SpanRecord(
        served.trace_id,
        served.span_id,
        parent_id,
        SpanKind.SERVER,
        f"{known or 'HTTP'} {served.route}" if served.route else known or "HTTP",
        start_ns,
        start_ns + served.duration_ns,
        attributes,
        (),
        None if served.error is None else "",
        context.trace_state,
        _common(
            known,
            scope["scheme"],
            scope["http_version"],
            host,
            port,
            served.route,
            served.status,
            served.error,
        ),
    )


@lru_cache(maxsize=1_024)
def _common(
    method: str,
    scheme: str,
    version: str,
    host: str,
    port: int | None,
    route: str | None,
    status: int | None,
    error: str | None,
) -> CommonAttributes:
    attributes: dict[str, AttributeValue] = {
        "http.request.method": method or OTHER,
        "url.scheme": scheme,
        "network.protocol.version": version,
    }
    if host:
        attributes["server.address"] = host
    if port is not None:  # None: a Unix socket
        attributes["server.port"] = port
    if route:
        attributes["http.route"] = route
    if status is not None:
        attributes["http.response.status_code"] = status
    if error is not None:
        attributes["error.type"] = error
    return CommonAttributes(attributes)


def latency_attributes(terms: ServiceTerms) -> dict[str, AttributeValue]:
    """The formula and what its terms are made of, as a span tells them, in nanoseconds."""
    latency = terms.latency
    processing_ns, network_ns, system_ns = latency
    attributes: dict[str, AttributeValue] = {
        "crm.latency.processing_ns": processing_ns,
        "crm.latency.network_ns": network_ns,
        "crm.latency.system_ns": system_ns,
        "crm.latency.total_ns": processing_ns + network_ns + system_ns,
        "crm.latency.dominant": latency.dominant,
        "crm.latency.queue_ns": terms.queue,
        "crm.latency.db_wait_ns": terms.db_wait,
        "crm.latency.db_ns": terms.db,
        # Not `processing_ns`, which is the formula's: that has the database's execution in it.
        "crm.latency.own_processing_ns": terms.processing,
        "crm.latency.sched_ns": terms.sched,
    }
    if terms.down_processing or terms.down_network or terms.down_system:
        attributes["crm.latency.down_processing_ns"] = terms.down_processing
        attributes["crm.latency.down_network_ns"] = terms.down_network
        attributes["crm.latency.down_system_ns"] = terms.down_system
    return attributes
