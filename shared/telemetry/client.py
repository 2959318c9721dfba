"""Calls to other services: their time, their CLIENT spans, and the trace context that goes with them.

    with client_span(telemetry, method="GET", url=url, resend_count=1) as span:
        inject(span, headers)
        answer = await client.request(...)
        span.answered(answer.status_code, answer.headers.get("x-kontor-terms", ""))

One span per attempt: a retry is a second span with `http.request.resend_count`.
"""

from collections.abc import MutableMapping
from time import perf_counter_ns
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from opentelemetry.trace import SpanKind
from opentelemetry.util.types import AttributeValue

from shared.telemetry.clocks import wall_offset_ns
from shared.telemetry.downstream import Call
from shared.telemetry.redaction import plain_url
from shared.telemetry.request import RequestContext, current_request
from shared.telemetry.sampling import sampled
from shared.telemetry.server import type_name
from shared.telemetry.setup import Telemetry
from shared.telemetry.spans import Attributes, SpanEvent, SpanRecord, new_span_id, new_trace_id
from shared.telemetry.terms import read_terms
from shared.telemetry.tracecontext import write_traceparent


class ClientSpan:
    """One attempt. Within a request its time is the request's `downstream`, recorded or not."""

    __slots__ = (
        "_attributes",
        "_call",
        "_error",
        "_events",
        "_name",
        "_offset_ns",
        "_parent_id",
        "_request",
        "_telemetry",
        "flags",
        "span_id",
        "trace_id",
        "trace_state",
    )

    def __init__(self, telemetry: Telemetry, name: str, attributes: dict[str, AttributeValue]) -> None:
        self._telemetry = telemetry
        self._name = name
        self._attributes = attributes
        self._events: list[SpanEvent] = []
        self._error: str | None = None
        self._call = Call(0)
        request = self._request = current_request.get()
        self.trace_id = self._parent_id = self.flags = self._offset_ns = 0
        self.trace_state = ""
        if request is not None:
            self.trace_id, self._parent_id = request.trace_id, request.span_id
            self.flags, self.trace_state = request.flags, request.trace_state
            self._offset_ns = request.offset_ns
        elif telemetry.outbox is not None:
            self.trace_id = new_trace_id()
            self.flags = int(sampled(self.trace_id, telemetry.share))
            self._offset_ns = wall_offset_ns()
        self.span_id = new_span_id() if self.recorded else self._parent_id

    @property
    def recorded(self) -> bool:
        """Whether a span will be recorded; what is called belongs under it then, else under the request's own."""
        return self._telemetry.outbox is not None and bool(self.flags & 1)

    def answered(self, status: int, terms: str = "") -> None:
        """Note the answer's status, and its `x-kontor-terms` where it told them.

        400 and above makes the attempt an error, as the convention has it.
        """
        told = read_terms(terms.encode("latin-1"))
        if told is not None:
            self._call.latency = told.latency
        self._attributes["http.response.status_code"] = status
        if status >= 400:
            self._attributes["error.type"] = str(status)
            self._error = ""

    def event(self, name: str, attributes: Attributes) -> None:
        """Note a decision taken for this attempt, such as the replica that was chosen and why."""
        self._events.append((name, perf_counter_ns() + self._offset_ns, attributes))

    def __enter__(self) -> Self:
        self._call.start = perf_counter_ns()
        if self._request is not None:
            self._request.watch.calls.append(self._call)
            self._request.watch.calls_open += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end = self._call.end = perf_counter_ns()
        if self._request is not None:
            self._request.watch.calls_open -= 1
        if not self.recorded:
            return
        if error is not None:
            self._attributes["error.type"] = type_name(error)
            self._error = ""
        self._put(self._record(self._call.start, end))

    def _record(self, start: int, end: int) -> SpanRecord:
        return SpanRecord(
            self.trace_id,
            self.span_id,
            self._parent_id,
            SpanKind.CLIENT,
            self._name,
            start + self._offset_ns,
            end + self._offset_ns,
            self._attributes,
            self._events,
            self._error,
            self.trace_state,
        )

    def _put(self, record: SpanRecord) -> None:
        request: RequestContext | None = self._request
        if request is not None:
            request.spans.append(record)
        elif self._telemetry.outbox is not None:
            self._telemetry.outbox.put([record])


def client_span(
    telemetry: Telemetry,
    *,
    method: str,
    url: str,
    resend_count: int = 0,
    template: str | None = None,
    attributes: Attributes | None = None,
) -> ClientSpan:
    """The span of one attempt to send `method` to `url` (absolute).

    `resend_count` is 0 for the first attempt. `template` is the path's low-cardinality form, used in the
    span's name. Credentials and the query's values do not reach the span.
    """
    parts = urlsplit(url)
    facts: dict[str, AttributeValue] = {
        "http.request.method": method,
        "url.full": plain_url(url),
        "server.address": parts.hostname or "",
        "server.port": parts.port or (443 if parts.scheme == "https" else 80),
        **(attributes or {}),
    }
    if resend_count:
        facts["http.request.resend_count"] = resend_count
    if template:
        facts["url.template"] = template
    return ClientSpan(telemetry, f"{method} {template}" if template else method, facts)


def inject(span: ClientSpan, headers: MutableMapping[str, str]) -> None:
    """Put the span's `traceparent` and `tracestate` into headers keyed in lower case.

    Whatever trace context they held is replaced, as it named another parent.
    """
    headers.pop("traceparent", None)
    headers.pop("tracestate", None)
    if span.trace_id:
        headers["traceparent"] = write_traceparent(span.trace_id, span.span_id, span.flags)
        if span.trace_state:
            headers["tracestate"] = span.trace_state
