"""The spans of one recorded request: SERVER for the gateway's hop, CLIENT for each attempt."""

from time import time_ns
from typing import TYPE_CHECKING

from opentelemetry.trace import NonRecordingSpan, Span, SpanKind, StatusCode, set_span_in_context

from services.gateway.resilience.ledger import OK, Outcome
from shared.telemetry.redaction import plain_path, plain_url
from shared.telemetry.tracecontext import parse, traceparent

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.util.types import AttributeValue

    from services.gateway.exchange import Exchange
    from services.gateway.forwarding.pool import Pool
    from shared.telemetry.setup import Telemetry

# The convention wants a bounded set: anything else is `_OTHER`, and its span is called `HTTP`.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "QUERY"})


class Trace:
    """Begun when a request is admitted, or refused; `finish` ends its SERVER span.

    Spans begin and end at readings of the monotonic clock, turned into wall-clock times by one offset that is
    read once per request, so that durations hold when the wall clock is set.
    """

    __slots__ = (
        "_attempts",
        "_context",
        "_offset",
        "_server",
        "_state",
        "_telemetry",
        "_template",
        "_upstream",
    )

    def __init__(self, telemetry: "Telemetry", exchange: "Exchange", now_ns: int) -> None:
        self._telemetry = telemetry
        self._offset = time_ns() - now_ns
        head = exchange.head
        found = head.fields.found
        parent = parse(
            found.get(b"traceparent", b"").decode("latin-1"),
            [found[b"tracestate"].decode("latin-1")] if b"tracestate" in found else (),
        )
        context: Context | None = (
            set_span_in_context(NonRecordingSpan(parent)) if parent is not None else None
        )
        method = head.method.decode("ascii")
        attributes: dict[str, AttributeValue] = {
            "http.request.method": method if method in _METHODS else "_OTHER",
            "url.scheme": "http",
            "url.path": plain_path(head.path.decode("latin-1")),
            "network.protocol.version": "1.0" if head.http10 else "1.1",
            "crm.request.id": exchange.request_id.decode("latin-1"),
        }
        if method not in _METHODS:
            attributes["http.request.method_original"] = method
        local = exchange.client.transport.get_extra_info("sockname")
        if isinstance(local, tuple):
            attributes["server.address"], attributes["server.port"] = local[0], local[1]
        self._server: Span = telemetry.start_span(
            method,
            SpanKind.SERVER,
            attributes,
            start_time=exchange.received_ns + self._offset,
            context=context,
        )
        self._context = set_span_in_context(self._server)
        self._attempts: dict[bytes, Span] = {}
        self._template = ""
        self._upstream = ""
        self._state = b""

    @property
    def trace_id(self) -> str:
        """In hexadecimal."""
        return f"{self._server.get_span_context().trace_id:032x}"

    def routed(self, exchange: "Exchange") -> None:
        """The route is known."""
        self._template = exchange.route.template
        self._upstream = exchange.route.upstream.name

    def attempt(self, pool: "Pool", exchange: "Exchange", now_ns: int) -> tuple[bytes, bytes]:
        """Begin the CLIENT span of an attempt; gives its id and the trace context to send along."""
        head = exchange.head
        method = head.method.decode("ascii")
        replica = pool.endpoint.replica
        attributes: dict[str, AttributeValue] = {
            "http.request.method": method if method in _METHODS else "_OTHER",
            "url.full": plain_url(f"http://{replica.address}{exchange.target.decode('latin-1')}"),
            "server.address": replica.host,
            "server.port": replica.port,
            "url.template": self._template,
            "crm.upstream.name": self._upstream,
        }
        resend = exchange.attempts - 1
        if resend:
            attributes["http.request.resend_count"] = resend
        span = self._telemetry.start_span(
            f"{method if method in _METHODS else 'HTTP'} {self._template}",
            SpanKind.CLIENT,
            attributes,
            start_time=now_ns + self._offset,
            context=self._context,
        )
        balancer = exchange.route.balancer
        span.add_event(
            "balance",
            {
                "crm.balancing.reason": balancer.why(pool.endpoint, now_ns),
                "crm.balancing.candidates": len(balancer.candidates),
            },
            now_ns + self._offset,
        )
        context = span.get_span_context()
        span_id = b"%016x" % context.span_id
        self._attempts[span_id] = span
        line = b"traceparent: " + traceparent(context).encode("ascii") + b"\r\n"
        if context.trace_state:
            line += b"tracestate: " + context.trace_state.to_header().encode("latin-1") + b"\r\n"
        return span_id, line

    def attempt_ended(self, span_id: bytes, now_ns: int, status: int, outcome: Outcome, detail: str) -> None:
        """An attempt is over."""
        span = self._attempts.pop(span_id, None)
        if span is None:
            return
        if status:
            span.set_attribute("http.response.status_code", status)
        if outcome != OK or status >= 400:
            # The convention's error.type: the status where there is one, else how the attempt ended.
            span.set_attribute("error.type", str(status) if status >= 400 else outcome.label)
            span.set_status(StatusCode.ERROR, detail or None)
        span.end(now_ns + self._offset)

    def event(self, name: str, now_ns: int, attributes: "dict[str, AttributeValue]") -> None:
        """A decision on the way: a retry, a hedge, a refusal, and why."""
        self._server.add_event(name, attributes, now_ns + self._offset)

    def finish(self, exchange: "Exchange") -> None:
        """The exchange is over."""
        span = self._server
        method = exchange.head.method.decode("ascii")
        known = method if method in _METHODS else "HTTP"
        template = exchange.template
        span.update_name(f"{known} {template}" if template else known)
        if template:
            span.set_attribute("http.route", template)
        if exchange.status:
            span.set_attribute("http.response.status_code", exchange.status)
        if exchange.status >= 500 or exchange.error in ("client_left", "cut_short"):
            span.set_attribute("error.type", exchange.error or str(exchange.status))
            span.set_status(StatusCode.ERROR)
        span.end(exchange.done_ns + self._offset)
