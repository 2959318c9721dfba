"""The caller's `traceparent`, read from bytes (W3C Trace Context). Pure.

The suite's own reader (`shared.telemetry.tracecontext`) makes objects of the SDK; this one says the same of
the same bytes for a tenth of the cost, which a test holds it to.
"""

import re
from typing import Final

_TRACEPARENT: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
# Sampled, and level 2's "random trace id": other flags are not passed on (3.2.2.5).
_KNOWN_FLAGS: Final = {b"%02x" % flags: b"%02x" % (flags & 3) for flags in range(256)}
_NO_TRACE: Final = b"0" * 32
_NO_SPAN: Final = b"0" * 16


def read_traceparent(value: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Trace id, span id and flags in hexadecimal, or None when the caller names no parent."""
    match = _TRACEPARENT.fullmatch(value)
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    # A later version may append fields, version 00 may not, and ff is forbidden; no id may be all zeros.
    if version == b"ff" or (version == b"00" and rest is not None):
        return None
    if trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return trace_id, span_id, _KNOWN_FLAGS[flags]
