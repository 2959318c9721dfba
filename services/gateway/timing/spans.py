"""The spans of one finished request: SERVER for the gateway's hop, CLIENT for each attempt. Pure.

Made in batches off the requests' path, from what was remembered. Names and attributes are OpenTelemetry's stable
HTTP conventions; besides them `crm.latency.*` holds the terms of the span's own duration and what they are made
of, and `crm.service.*` what the replica said of its own time, as it said it.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import compress
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
from shared.telemetry.methods import OTHER, SPELLINGS, original
from shared.telemetry.redaction import plain_path, plain_target
from shared.telemetry.spans import CommonAttributes, SpanEvent, SpanRecord

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
    name = _name(request.method, request.template)
    spans = [_server_span(request, name, found)]
    counted = {id(attempt) for attempt in critical_path(request.attempts)}
    for number, attempt in enumerate(request.attempts):
        spans.append(_attempt_span(request, attempt, name, number, id(attempt) in counted))
    return spans


class RequestSpans:
    """The same, made when somebody iterates: the exporting thread, so that the event loop need not wait for it."""

    __slots__ = ("_request",)

    def __init__(self, request: FinishedRequest) -> None:
        self._request = request

    def __len__(self) -> int:
        return 1 + len(self._request.attempts)

    def __iter__(self) -> Iterator[SpanRecord]:
        return iter(spans_of(self._request))


def _server_span(request: FinishedRequest, name: str, components: Components) -> SpanRecord:
    failure = failed(request.status, request.error)
    attributes: Attributes = {
        "url.path": plain_path(request.path.decode("latin-1")),
        "crm.request.id": request.request_id.decode("latin-1"),
    }
    _add_method(attributes, request.method)
    dominant = _add_latency(attributes, components)
    offset_ns = request.offset_ns
    return SpanRecord(
        request.trace_id,
        request.span_id,
        request.parent_id,
        SpanKind.SERVER,
        name,
        request.received_ns + offset_ns,
        request.done_ns + offset_ns,
        attributes,
        [(name, at_ns + offset_ns, why) for name, at_ns, why in request.decisions],
        "" if failure else None,
        request.trace_state,
        _common_to_requests(
            SPELLINGS.get(request.method, OTHER),
            request.http10,
            request.template,
            request.upstream,
            request.server_address,
            request.server_port,
            request.status,
            (request.error or str(request.status)) if failure else "",
            request.kept,
            dominant,
        ),
    )


@lru_cache(maxsize=1_024)
def _common_to_requests(
    method: str,
    http10: bool,
    template: str,
    upstream: str,
    address: str,
    port: int,
    status: int,
    failure: str,
    kept: str,
    dominant: str,
) -> CommonAttributes:
    attributes: Attributes = {
        "http.request.method": method,
        "url.scheme": "http",
        "network.protocol.version": "1.0" if http10 else "1.1",
        "crm.trace.kept": kept,
        "crm.latency.dominant": dominant,
    }
    if template:
        attributes["http.route"] = template
    if upstream:
        attributes["crm.upstream.name"] = upstream
    if address:
        attributes["server.address"] = address
        attributes["server.port"] = port
    if status:
        attributes["http.response.status_code"] = status
    if failure:
        attributes["error.type"] = failure
    return CommonAttributes(attributes)


def _attempt_span(
    request: FinishedRequest, attempt: Attempt, name: str, number: int, counted: bool
) -> SpanRecord:
    offset_ns = request.offset_ns
    attributes: Attributes = {"url.full": _url(attempt, request.target.decode("latin-1"))}
    _add_method(attributes, request.method)
    dominant = _add_latency(attributes, attempt_components(attempt, request.uploaded_ns))
    verdict = _add_service(attributes, attempt)
    failure = attempt.outcome != OK or attempt.status >= 400
    return SpanRecord(
        request.trace_id,
        # Of an attempt that was never sent nobody else knows an id: any will do, as long as it stays the same.
        attempt.span_id or request.span_id ^ (number + 1) or 1,
        request.span_id,
        SpanKind.CLIENT,
        name,
        attempt.asked_ns + offset_ns,
        attempt.ended_ns + offset_ns,
        attributes,
        _balancing(attempt, offset_ns),
        attempt.detail if failure else None,
        request.trace_state,
        _common_to_attempts(
            SPELLINGS.get(request.method, OTHER),
            request.template,
            request.upstream,
            attempt.host,
            attempt.port,
            attempt.kind,
            _OUTCOMES[attempt.outcome],
            attempt.status,
            number,
            counted,
            attempt.sent_ns != 0 and attempt.connected_ns == 0,
            verdict,
            dominant,
        ),
    )


@lru_cache(maxsize=4_096)
def _common_to_attempts(
    method: str,
    template: str,
    upstream: str,
    host: str,
    port: int,
    kind: str,
    outcome: str,
    status: int,
    number: int,
    counted: bool,
    reused: bool,
    verdict: str,
    dominant: str,
) -> CommonAttributes:
    attributes: Attributes = {
        "http.request.method": method,
        "server.address": host,
        "server.port": port,
        "url.template": template,
        "crm.upstream.name": upstream,
        "crm.attempt.kind": kind,
        "crm.attempt.outcome": outcome,
        "crm.attempt.counted": counted,
        "crm.connection.reused": reused,
        "crm.latency.dominant": dominant,
    }
    if number:
        attributes["http.request.resend_count"] = number
    if status:
        attributes["http.response.status_code"] = status
    # The convention's error.type: the status where there is one, else how the attempt ended.
    if status >= 400:
        attributes["error.type"] = str(status)
    elif outcome != OK.label:
        attributes["error.type"] = outcome
    if verdict:
        attributes["crm.service.terms"] = verdict
    return CommonAttributes(attributes)


def _url(attempt: Attempt, target: str) -> str:
    return f"http://{attempt.host}:{attempt.port}{plain_target(target)}"


@lru_cache(maxsize=1_024)
def _name(method: bytes, template: str) -> str:
    known = SPELLINGS.get(method, "HTTP")
    return f"{known} {template}" if template else known


def _add_method(attributes: Attributes, method: bytes) -> None:
    """One that nobody knows, as it was sent: `http.request.method` says only that it is another."""
    if method not in SPELLINGS:
        attributes["http.request.method_original"] = original(method)


def _add_latency(attributes: Attributes, components: Components) -> str:
    """The terms, and those components that are not 0; returns the name of the largest term."""
    latency = components.latency
    processing_ns, network_ns, system_ns = latency
    attributes["crm.latency.processing_ns"] = processing_ns
    attributes["crm.latency.network_ns"] = network_ns
    attributes["crm.latency.system_ns"] = system_ns
    attributes["crm.latency.total_ns"] = processing_ns + network_ns + system_ns
    attributes.update(compress(zip(_COMPONENTS, components, strict=True), components))
    return latency.dominant


def _add_service(attributes: Attributes, attempt: Attempt) -> str:
    """What the replica said of its own time; returns what is to be thought of it."""
    if attempt.terms is None:
        if not attempt.first_byte_ns:
            return ""
        return "malformed" if attempt.malformed_terms else "missing"
    told: Sequence[int] = attempt.terms
    if sum(told) <= attempt.first_byte_ns - attempt.sent_ns:
        verdict = "told"
    else:
        verdict = "overstated"
        told = [min(value, _LARGEST) for value in told]
    attributes.update(zip(_SERVICE, told, strict=True))
    return verdict


def _balancing(attempt: Attempt, offset_ns: int) -> Sequence[SpanEvent]:
    if not attempt.reason:
        return ()
    attributes: Attributes = {
        "crm.balancing.reason": attempt.reason,
        "crm.balancing.candidates": attempt.candidates,
    }
    return (("balance", attempt.asked_ns + offset_ns, attributes),)
