"""Where traces come from: Jaeger's API v3, files of OTLP JSON, and the gateway's own buffer."""

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2

from cli.gateway import Gateway
from cli.trace_tree import Event, Span

_KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
_ERROR = 2  # STATUS_CODE_ERROR


class SourceError(Exception):
    """There is no trace to show; the text is for people."""


def from_file(path: Path) -> list[Span]:
    """The spans in a file of OTLP JSON: one document, or one per line as collectors write them."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} cannot be read: {error}") from None
    return _spans(text, str(path))


def from_jaeger(url: str, trace_id: str) -> list[Span]:
    """The spans of one trace as they were stored, without Jaeger's correction of clocks."""
    where = f"{url.rstrip('/')}/api/v3/traces/{trace_id}"
    try:
        # The name in capitals is today's; Jaeger before 2.19 knows the other one only.
        query = {"rawTraces": "true", "raw_traces": "true"}
        response = httpx2.get(where, params=query, timeout=30)
    except (httpx2.TransportError, httpx2.InvalidURL) as error:
        raise SourceError(f"Jaeger at {url} does not answer: {error}") from None
    if response.status_code == 404:
        raise SourceError(
            f"Jaeger has no trace {trace_id}: it may not have been sampled, or not have arrived yet."
        )
    if response.status_code != 200:
        raise SourceError(f"Jaeger answers {response.status_code}: {_plain(response.text)}")
    return _spans(response.text, where)


def from_gateway(gateway: Gateway, trace_id: str) -> list[Span]:
    """The gateway's spans of one trace, from its buffer. Raises `GatewayError`."""
    told = gateway.request("GET", f"traces/{trace_id}").json()
    return [_from_buffer(span) for request in told["requests"] for span in request["spans"]]


def _from_buffer(span: Mapping[str, Any]) -> Span:
    return Span(
        trace_id=span["trace_id"],
        span_id=span["span_id"],
        parent_id=span["parent_span_id"] or "",
        service=span["service"],
        kind=span["kind"],
        name=span["name"],
        start_ns=span["start_unix_ns"],
        end_ns=span["end_unix_ns"],
        attributes=span["attributes"],
        events=tuple(Event(one["name"], one["time_unix_ns"], one["attributes"]) for one in span["events"]),
        error=span["error"],
    )


def _spans(text: str, where: str) -> list[Span]:
    try:
        found = [span for document in _documents(text) for span in _of_document(document)]
    except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
        raise SourceError(f"{where} is not OTLP JSON: {error}") from None
    if not found:
        raise SourceError(f"There are no spans in {where}.")
    return found


def _documents(text: str) -> Iterator[Any]:
    """One document after the other, with white space between them."""
    decoder = json.JSONDecoder()
    at = 0
    while rest := text[at:].lstrip():
        document, length = decoder.raw_decode(rest)
        at = len(text) - len(rest) + length
        yield document


def _of_document(document: Any) -> Iterator[Span]:
    traces = document.get("result", document)  # as Jaeger wraps what it streams
    if "resourceSpans" not in traces:
        raise ValueError("there is no resourceSpans in it")
    for group in traces["resourceSpans"]:
        service = _attributes(group.get("resource", {})).get("service.name", "unknown")
        for scoped in group.get("scopeSpans", ()):
            for span in scoped.get("spans", ()):
                yield _from_otlp(span, str(service))


def _from_otlp(span: Mapping[str, Any], service: str) -> Span:
    status = span.get("status", {})
    code = status.get("code", 0)
    return Span(
        trace_id=_id(span["traceId"], 16),
        span_id=_id(span["spanId"], 8),
        parent_id=_id(span.get("parentSpanId", ""), 8),
        service=service,
        kind=_kind(span.get("kind", 0)),
        name=str(span.get("name", "")),
        start_ns=int(span["startTimeUnixNano"]),
        end_ns=int(span["endTimeUnixNano"]),
        attributes=_attributes(span),
        events=tuple(
            Event(str(one.get("name", "")), int(one.get("timeUnixNano", 0)), _attributes(one))
            for one in span.get("events", ())
        ),
        error=str(status.get("message", "")) if code in (_ERROR, "STATUS_CODE_ERROR") else None,
    )


def _kind(value: int | str) -> str:
    return value.removeprefix("SPAN_KIND_") if isinstance(value, str) else _KINDS[value]


def _id(text: str, size: int) -> str:
    """In hexadecimal, as OTLP has it, or from base64, as protobuf's own JSON has every byte string."""
    try:
        raw = bytes.fromhex(text) if len(text) == 2 * size else base64.b64decode(text, validate=True)
    except ValueError:
        raw = b"?"
    if raw and len(raw) != size:
        raise ValueError(f"{_plain(text)!r} is no id")
    return raw.hex() if any(raw) else ""


def _attributes(holder: Mapping[str, Any]) -> dict[str, Any]:
    return {pair["key"]: _value(pair.get("value", {})) for pair in holder.get("attributes", ())}


def _value(value: Mapping[str, Any]) -> Any:
    if "intValue" in value:
        return int(value["intValue"])
    if "arrayValue" in value:
        return [_value(item) for item in value["arrayValue"].get("values", ())]
    if "kvlistValue" in value:
        return {pair["key"]: _value(pair.get("value", {})) for pair in value["kvlistValue"].get("values", ())}
    return next(iter(value.values()), None)


def _plain(text: str) -> str:
    return " ".join(text.split())[:200]
