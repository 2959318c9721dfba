"""The caller's `traceparent` and `tracestate`, read from bytes (W3C Trace Context, level 1 and 2). Pure.

The suite's own reader (`shared.telemetry.tracecontext`) makes objects of the SDK; this one says the same of
the same bytes for a tenth of the cost, which a test holds it to.

A field that came several times arrives here joined by commas: `tracestate` may be sent so, `traceparent` may
not, and as nobody can say which of several is right, a trace begins anew.
"""

import re
from typing import Final

from shared.alphabets import alphabet

_LENGTH: Final = 55
_WRITTEN: Final = alphabet(b"0123456789abcdef-")
# Sampled, and level 2's "random trace id": other flags are not passed on (3.2.2.5).
_KNOWN_FLAGS: Final = {b"%02x" % flags: b"%02x" % (flags & 3) for flags in range(256)}
_RANDOM_FLAGS: Final = frozenset({None, b"02", b"03"})
_NO_TRACE: Final = b"0" * 32
_NO_SPAN: Final = b"0" * 16

_MEMBER: Final = re.compile(
    rb"([a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    rb"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_MOST_MEMBERS: Final = 32
# A participant must carry 512 characters; to get below, members of more than 128 go first (3.3.1.5).
_LONGEST_STATE: Final = 512
_LONG_MEMBER: Final = 128


def read_traceparent(value: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Trace id, span id and flags in hexadecimal, or None when the caller names no parent."""
    parts = value.split(b"-", 4)
    if len(parts) == 5:
        # A later version may append fields, version 00 may not; several values are joined by commas.
        if parts[0] == b"00" or b"," in parts[4] or b"\n" in parts[4]:
            return None
        value = value[:_LENGTH]
    elif len(parts) != 4:
        return None
    version, trace_id, span_id, flags = parts[:4]
    if len(version) != 2 or len(trace_id) != 32 or len(span_id) != 16 or len(flags) != 2:
        return None
    # Version ff is forbidden, and no id may be all zeros.
    if value.translate(_WRITTEN) != value or version == b"ff" or trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return trace_id, span_id, _KNOWN_FLAGS[flags]


def read_tracestate(value: bytes) -> bytes:
    """The members to pass on, or nothing when any is malformed, comes twice, or there are over 32.

    Only for a request whose `traceparent` was accepted: without it the state belongs to no trace.
    """
    members: dict[bytes, bytes] = {}
    for text in value.split(b","):
        member = text.strip(b" \t")
        if not member:
            continue  # empty members are allowed
        match = _MEMBER.fullmatch(member)
        if match is None or match[1] in members or len(members) == _MOST_MEMBERS:
            return b""
        members[match[1]] = member
    return _within_limit(list(members.values()))


def onward_flags(callers: bytes | None, recorded: bool) -> bytes:
    """The flags that services get, whose `sampled` they trust.

    Whether it is recorded is the gateway's own decision, whatever the caller said. That the trace id is random is
    true of ours (`callers` is None), and of a caller's as far as it says so.
    """
    if callers in _RANDOM_FLAGS:
        return b"03" if recorded else b"02"
    return b"01" if recorded else b"00"


def _within_limit(members: list[bytes]) -> bytes:
    state = b",".join(members)
    if len(state) > _LONGEST_STATE:
        members = [member for member in members if len(member) <= _LONG_MEMBER]
        state = b",".join(members)
    while len(state) > _LONGEST_STATE:
        members.pop()  # the rightmost member is the oldest
        state = b",".join(members)
    return state
