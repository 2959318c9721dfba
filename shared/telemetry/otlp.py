"""Span records as OTLP: the bytes of an ExportTraceServiceRequest (opentelemetry-proto 1, protobuf's wire format).

The SDK makes an object of each span, a message of each attribute, and bytes of those: 100 µs for the two spans of a
read, on the core that serves. Here each span is written straight down in a tenth of that; tests hold every byte's
meaning to the official decoder and to what the SDK writes.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from struct import Struct
from typing import Any, Final

from opentelemetry.trace import SpanKind
from opentelemetry.util.types import AttributeValue

from shared.telemetry.spans import SpanEvent, SpanRecord

_U64: Final = (1 << 64) - 1
_KINDS: Final = {kind: kind.value + 1 for kind in SpanKind}
"""OTLP keeps 0 for the unspecified; otherwise the order is the same."""
_TIMES: Final = Struct("<BQBQ")
_TIME: Final = Struct("<BQ")
_DOUBLE: Final = Struct("<Bd")
_LOCAL_PARENT: Final = b"\x85\x01" + (0x100).to_bytes(4, "little")
_REMOTE_PARENT: Final = b"\x85\x01" + (0x300).to_bytes(4, "little")
"""`flags`: whether the parent is another process's is known, and is it."""
_UNSET: Final = b"\x7a\x00"
_ERROR: Final = b"\x18\x02"


class OtlpEncoder:
    """Of one process: everything but the spans is written once."""

    def __init__(self, resource: Mapping[str, AttributeValue], scope: str, version: str) -> None:
        attributes = b"".join(_attribute(b"\x0a", name, value) for name, value in resource.items())
        self._resource = _field(b"\x0a", attributes)
        self._scope = _field(b"\x0a", _text(b"\x0a", scope) + _text(b"\x12", version))

    def request(self, spans: Iterable[bytes]) -> bytes:
        """A whole request, of spans that `span` has written."""
        scope_spans = self._scope + b"".join(spans)
        return _field(b"\x0a", self._resource + _field(b"\x12", scope_spans))


def span(record: SpanRecord) -> bytes:
    """One span, as a member of its scope's list."""
    trace_id, span_id, parent_id, kind, name, start_ns, end_ns, attributes, events, error, state = record
    remote = parent_id and kind is SpanKind.SERVER
    parts = [
        b"\x0a\x10",
        trace_id.to_bytes(16, "big"),
        b"\x12\x08",
        span_id.to_bytes(8, "big"),
        b"\x22\x08" + parent_id.to_bytes(8, "big") if parent_id else b"",
        _text(b"\x1a", state) if state else b"",
        _text(b"\x2a", name),
        b"\x30",
        _varint(_KINDS[kind]),
        _TIMES.pack(0x39, start_ns, 0x41, end_ns),
        *[_attribute(b"\x4a", key, value) for key, value in attributes.items()],
        *[_event(event) for event in events],
        _UNSET if error is None else _field(b"\x7a", (_text(b"\x12", error) if error else b"") + _ERROR),
        _REMOTE_PARENT if remote else _LOCAL_PARENT,
    ]
    return _field(b"\x12", b"".join(parts))


def _event(event: SpanEvent) -> bytes:
    name, at_ns, attributes = event
    members = [_attribute(b"\x1a", key, value) for key, value in attributes.items()]
    return _field(b"\x5a", _TIME.pack(0x09, at_ns) + _text(b"\x12", name) + b"".join(members))


def _attribute(tag: bytes, key: str, value: AttributeValue) -> bytes:
    if type(value) is str:
        return _text_attribute(tag, key, value)
    if type(value) is int:
        number = _varint(value & _U64)
        return _field(tag, b"%b\x12%c\x18%b" % (_key(key), len(number) + 1, number))
    return _field(tag, _key(key) + _field(b"\x12", _value(value)))


@lru_cache(maxsize=4_096)
def _text_attribute(tag: bytes, key: str, value: str) -> bytes:
    """Most texts are one of a few: methods, routes, hosts."""
    return _field(tag, _key(key) + _field(b"\x12", _value(value)))


def _value(value: Any) -> bytes:
    """Of one of the types that an attribute can have."""
    if isinstance(value, str):
        return _text(b"\x0a", value)
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        return b"\x18" + _varint(value & _U64)
    if isinstance(value, float):
        return _DOUBLE.pack(0x21, value)
    return _field(b"\x2a", b"".join([_field(b"\x0a", _value(member)) for member in value]))


@lru_cache(maxsize=1_024)
def _key(key: str) -> bytes:
    return _text(b"\x0a", key)


def _text(tag: bytes, text: str) -> bytes:
    return _field(tag, text.encode("utf-8", "replace"))


def _field(tag: bytes, content: bytes) -> bytes:
    """A length-delimited field."""
    length = len(content)
    if length < 0x80:
        return b"%b%c%b" % (tag, length, content)
    return tag + _varint(length) + content


def _varint(number: int) -> bytes:
    if number < 0x80:
        return b"%c" % number
    if number < 0x4000:
        return b"%c%c" % (number & 0x7F | 0x80, number >> 7)
    if number < 0x20_0000:
        return b"%c%c%c" % (number & 0x7F | 0x80, number >> 7 & 0x7F | 0x80, number >> 14)
    written = bytearray()
    while number >= 0x80:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)
