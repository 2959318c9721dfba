"""The spans of one finished request: SERVER for the gateway's hop, CLIENT for each attempt. Pure.

Made in batches off the requests' path, from what was remembered. Names and attributes are OpenTelemetry's stable
HTTP conventions; besides them `crm.latency.*` holds the terms of the span's own duration and what they are made
of, and `crm.service.*` what the replica said of its own time, as it said it.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from opentelemetry.trace import SpanKind
from opentelemetry.util.types import AttributeValue

from services.gateway.resilience.ledger import OK, Outcome
from services.gateway.timing.finished import Attempt, FinishedRequest
from services.gateway.timing.terms import (
    Components,
    attempt_components,
    components_of,
    critical_path,
)
from shared.telemetry.redaction import plain_path, plain_url
from shared.telemetry.spans import SpanEvent, SpanRecord

# The convention wants a bounded set: anything else is `_OTHER`, and its span is called `HTTP`.
_METHODS: Final = {
    name: name.decode()
    for name in (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"PATCH", b"QUERY")
}
# Ends that are failures although their status, which may have gone out already, says nothing of it.
_FAILED: Final = frozenset({"client_left", "cut_short"})
_OUTCOMES: Final = tuple(outcome.label for outcome in Outcome)
_COMPONENTS: Final = tuple(f"crm.latency.{name}_ns" for name in Components._fields)
_SERVICE: Final = tuple(
    f"crm.service.{name}_ns"
    for name in (
        "queue",
        "db_wait",
        "db",
        "processing",
        "sched",
        "down_processing",
        "down_network",
        "down_system",
    )
)
_LARGEST: Final = (1 << 63) - 1
"""More does not fit into an attribute, whatever a service may claim."""

Attributes = dict[str, AttributeValue]


def failed(status: int, error: str) -> bool:
    """Whether a request counts as an error of the suite: what a caller does wrong is none."""
    return status >= 500 or error in _FAILED


def spans_of(request: FinishedRequest, components: Components | None = None) -> list[SpanRecord]:
    """The SERVER span, which lasts exactly `total_ns`, and a CLIENT span for each attempt.

    `components` are those of the request, if they are known already.
    """
    found = components if components is not None else components_of(request)
    counted = critical_path(request.attempts)
    attempts = (
        _attempt_span(request, attempt, number, any(attempt is one for one in counted))
        for number, attempt in enumerate(request.attempts)
    )
    return [_server_span(request, found), *attempts]


def _server_span(request: FinishedRequest, components: Components) -> SpanRecord:
    template = request.template
    attributes: Attributes = {
        "http.request.method": _METHODS.get(request.method, "_OTHER"),
        "url.scheme": "http",
        "url.path": plain_path(request.path.decode("latin-1")),
        "network.protocol.version": "1.0" if request.http10 else "1.1",
        "crm.request.id": request.request_id.decode("latin-1"),
        "crm.trace.kept": request.kept,
    }
    _add_latency(attributes, components)
    if request.method not in _METHODS:
        attributes["http.request.method_original"] = request.method.decode("latin-1")[:32]
    if template:
        attributes["http.route"] = template
    if request.upstream:
        attributes["crm.upstream.name"] = request.upstream
    if request.server_address:
        attributes["server.address"] = request.server_address
        attributes["server.port"] = request.server_port
    if request.status:
        attributes["http.response.status_code"] = request.status
    failure = failed(request.status, request.error)
    if failure:
        attributes["error.type"] = request.error or str(request.status)
    return SpanRecord(
        trace_id=request.trace_id,
        span_id=request.span_id,
        parent_id=request.parent_id,
        kind=SpanKind.SERVER,
        name=_name(request),
        start_ns=request.received_ns + request.offset_ns,
        end_ns=request.done_ns + request.offset_ns,
        attributes=attributes,
        events=tuple(_decisions(request)),
        error="" if failure else None,
        trace_state=request.trace_state,
    )


def _attempt_span(request: FinishedRequest, attempt: Attempt, number: int, counted: bool) -> SpanRecord:
    offset_ns = request.offset_ns
    attributes: Attributes = {
        "http.request.method": _METHODS.get(request.method, "_OTHER"),
        "url.full": _url(attempt, request.target.decode("latin-1")),
        "server.address": attempt.host,
        "server.port": attempt.port,
        "url.template": request.template,
        "crm.upstream.name": request.upstream,
        "crm.attempt.kind": attempt.kind,
        "crm.attempt.outcome": _OUTCOMES[attempt.outcome],
        "crm.attempt.counted": counted,
        "crm.connection.reused": attempt.sent_ns != 0 and attempt.connected_ns == 0,
    }
    _add_latency(attributes, attempt_components(attempt, request.uploaded_ns))
    _add_service(attributes, attempt)
    if number:
        attributes["http.request.resend_count"] = number
    if attempt.status:
        attributes["http.response.status_code"] = attempt.status
    failure = attempt.outcome != OK or attempt.status >= 400
    if failure:
        # The convention's error.type: the status where there is one, else how the attempt ended.
        attributes["error.type"] = (
            str(attempt.status) if attempt.status >= 400 else _OUTCOMES[attempt.outcome]
        )
    return SpanRecord(
        trace_id=request.trace_id,
        # Of an attempt that was never sent nobody else knows an id: any will do, as long as it stays the same.
        span_id=attempt.span_id or request.span_id ^ (number + 1) or 1,
        parent_id=request.span_id,
        kind=SpanKind.CLIENT,
        name=_name(request),
        start_ns=attempt.asked_ns + offset_ns,
        end_ns=attempt.ended_ns + offset_ns,
        attributes=attributes,
        events=tuple(_balancing(attempt, offset_ns)),
        error=attempt.detail if failure else None,
        trace_state=request.trace_state,
    )


def _url(attempt: Attempt, target: str) -> str:
    host = f"http://{attempt.host}:{attempt.port}"
    return plain_url(host + target) if "?" in target else host + plain_path(target)


def _name(request: FinishedRequest) -> str:
    method = _METHODS.get(request.method, "HTTP")
    return f"{method} {request.template}" if request.template else method


def _add_latency(attributes: Attributes, components: Components) -> None:
    """The terms, and those components that are not 0."""
    latency = components.latency
    processing_ns, network_ns, system_ns = latency
    attributes["crm.latency.processing_ns"] = processing_ns
    attributes["crm.latency.network_ns"] = network_ns
    attributes["crm.latency.system_ns"] = system_ns
    attributes["crm.latency.total_ns"] = processing_ns + network_ns + system_ns
    attributes["crm.latency.dominant"] = latency.dominant
    for name, value in zip(_COMPONENTS, components, strict=True):
        if value:
            attributes[name] = value


def _add_service(attributes: Attributes, attempt: Attempt) -> None:
    """What the replica said of its own time, and what is to be thought of it."""
    if attempt.terms is None:
        if attempt.first_byte_ns:
            attributes["crm.service.terms"] = "malformed" if attempt.malformed_terms else "missing"
        return
    told: Sequence[int] = attempt.terms
    passed_ns = attempt.first_byte_ns - attempt.sent_ns
    attributes["crm.service.terms"] = "told" if sum(told) <= passed_ns else "overstated"
    if max(told) > _LARGEST:
        told = [min(value, _LARGEST) for value in told]
    attributes.update(zip(_SERVICE, told, strict=True))


def _decisions(request: FinishedRequest) -> Iterator[SpanEvent]:
    for name, at_ns, attributes in request.decisions:
        yield name, at_ns + request.offset_ns, attributes


def _balancing(attempt: Attempt, offset_ns: int) -> Iterator[SpanEvent]:
    if attempt.reason:
        attributes: Attributes = {
            "crm.balancing.reason": attempt.reason,
            "crm.balancing.candidates": attempt.candidates,
        }
        yield "balance", attempt.asked_ns + offset_ns, attributes
