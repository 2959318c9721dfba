"""CLIENT spans of outgoing HTTP attempts, and the trace context that goes with them.

    with client_span(telemetry, method="GET", url=url, resend_count=1) as span:
        inject(span, headers)
        answer = await client.request(...)
        span.answered(answer.status_code)

One span per attempt: a retry is a second span with `http.request.resend_count`.
"""

from collections.abc import MutableMapping
from time import perf_counter_ns
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from opentelemetry.trace import Span, SpanContext, SpanKind, StatusCode, get_current_span
from opentelemetry.util.types import AttributeValue

from shared.telemetry.clock import wall_time
from shared.telemetry.redaction import plain_url
from shared.telemetry.server import type_name
from shared.telemetry.setup import Telemetry
from shared.telemetry.spans import Attributes
from shared.telemetry.tracecontext import traceparent


class ClientSpan:
    """One attempt; this form records nothing and only passes the current trace through."""

    __slots__ = ()

    @property
    def context(self) -> SpanContext:
        """The span that the called service continues; invalid when there is no trace at all."""
        return get_current_span().get_span_context()

    def answered(self, status: int) -> None:
        """Note the answer's status; 400 and above makes the attempt an error, as the convention has it."""

    def event(self, name: str, attributes: Attributes) -> None:
        """Note a decision taken for this attempt, such as the replica that was chosen and why."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave; exceptions go on."""


class _RecordedClientSpan(ClientSpan):
    __slots__ = ("_span",)

    def __init__(self, span: Span) -> None:
        self._span = span

    @property
    def context(self) -> SpanContext:
        return self._span.get_span_context()

    def answered(self, status: int) -> None:
        self._span.set_attribute("http.response.status_code", status)
        if status >= 400:
            self._span.set_attribute("error.type", str(status))
            self._span.set_status(StatusCode.ERROR)

    def event(self, name: str, attributes: Attributes) -> None:
        self._span.add_event(name, attributes, wall_time(perf_counter_ns()))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._span.set_attribute("error.type", type_name(error))
            self._span.set_status(StatusCode.ERROR)
        self._span.end(wall_time(perf_counter_ns()))


_PASSING = ClientSpan()


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
    if not telemetry.recording:
        return _PASSING
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
    name = f"{method} {template}" if template else method
    span = telemetry.start_span(name, SpanKind.CLIENT, facts, start_time=wall_time(perf_counter_ns()))
    return _RecordedClientSpan(span)


def inject(span: ClientSpan, headers: MutableMapping[str, str]) -> None:
    """Put the span's `traceparent` and `tracestate` into headers keyed in lower case.

    Whatever trace context they held is replaced, as it named another parent.
    """
    headers.pop("traceparent", None)
    headers.pop("tracestate", None)
    context = span.context
    if context.is_valid:
        headers["traceparent"] = traceparent(context)
        if context.trace_state:
            headers["tracestate"] = context.trace_state.to_header()
