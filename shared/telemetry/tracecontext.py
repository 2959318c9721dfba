"""W3C Trace Context: the `traceparent` and `tracestate` header fields (Recommendation, level 1 and 2).

Own code rather than the API's propagator, because that one takes the first of several `traceparent`
fields and logs each bad member, which lets a caller fill the log.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from opentelemetry.trace import SpanContext, TraceFlags, TraceState

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
# As every current sender writes it: read without the detour through text.
_USUAL = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_SIMPLE_KEY = r"[a-z][a-z0-9_*/-]{0,255}"
_TENANT_KEY = r"[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13}"
_MEMBER = re.compile(
    rf"({_SIMPLE_KEY}|{_TENANT_KEY})=([\x20-\x2b\x2d-\x3c\x3e-\x7e]{{0,255}}[\x21-\x2b\x2d-\x3c\x3e-\x7e])"
)
_MOST_MEMBERS = 32
# A participant must carry 512 characters; to get below, members of more than 128 go first (§3.3.1.5).
_LONGEST_STATE = 512
_LONG_MEMBER = 128
_KNOWN_FLAGS = 0b11  # sampled, and level 2's "random trace id"

Headers = Sequence[tuple[bytes, bytes]]


class Parent(NamedTuple):
    """The span that a request continues, as the caller named it; `state` is its `tracestate`, cleaned."""

    trace_id: int
    span_id: int
    flags: int
    state: str


def remote_parent(headers: Headers) -> Parent | None:
    """The caller's span as the ASGI header list names it; None when it names none, or a malformed one."""
    parents = [value for name, value in headers if name == b"traceparent"]
    if len(parents) != 1:  # several fields cannot all be right, and no rule says which one is
        return None
    usual = _USUAL.fullmatch(parents[0])
    if usual is not None:
        trace_id, span_id, flags = usual.groups()
        ids = _valid(int(trace_id, 16), int(span_id, 16), int(flags, 16))
    else:
        ids = _read(parents[0].decode("latin-1"))
    if ids is None:
        return None
    states = [value.decode("latin-1") for name, value in headers if name == b"tracestate"]
    return Parent(*ids, parse_state(states).to_header() if states else "")


def parse(traceparent: str, tracestate: Sequence[str] = ()) -> SpanContext | None:
    """Read the two fields; None when `traceparent` is malformed (the caller then starts a new trace)."""
    ids = _read(traceparent)
    if ids is None:
        return None
    trace_id, span_id, flags = ids
    state = parse_state(tracestate) if tracestate else None
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags), trace_state=state)


def _read(traceparent: str) -> tuple[int, int, int] | None:
    """Trace id, span id and known flags."""
    match = _TRACEPARENT.fullmatch(traceparent.strip(" \t"))
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    # A later version may append fields, version 00 may not, and ff is forbidden.
    if version == "ff" or (version == "00" and rest is not None):
        return None
    return _valid(int(trace_id, 16), int(span_id, 16), int(flags, 16))


def _valid(trace_id: int, span_id: int, flags: int) -> tuple[int, int, int] | None:
    """Neither id may be all zeros; unknown flags are not passed on."""
    return (trace_id, span_id, flags & _KNOWN_FLAGS) if trace_id and span_id else None


def parse_state(fields: Sequence[str]) -> TraceState:
    """The members of all `tracestate` fields in order; empty when any is malformed or there are over 32."""
    members: dict[str, str] = {}
    for text in ",".join(fields).split(","):
        member = text.strip(" \t")
        if not member:
            continue  # empty members are allowed
        match = _MEMBER.fullmatch(member)
        if match is None or match[1] in members or len(members) == _MOST_MEMBERS:
            return TraceState()
        members[match[1]] = match[2]
    return TraceState(_within_limit(list(members.items())))


def _within_limit(members: list[tuple[str, str]]) -> list[tuple[str, str]]:
    def length(members: list[tuple[str, str]]) -> int:
        return sum(len(key) + len(value) + 2 for key, value in members) - 1

    if length(members) > _LONGEST_STATE:
        members = [pair for pair in members if len(pair[0]) + len(pair[1]) < _LONG_MEMBER]
    while length(members) > _LONGEST_STATE:
        members.pop()  # the rightmost member is the oldest
    return members


def traceparent(context: SpanContext) -> str:
    """The `traceparent` field (version 00) that names this span as the parent."""
    return write_traceparent(context.trace_id, context.span_id, context.trace_flags)


def write_traceparent(trace_id: int, span_id: int, flags: int) -> str:
    """The `traceparent` field (version 00) that names a span as the parent."""
    return f"00-{trace_id:032x}-{span_id:016x}-{flags & _KNOWN_FLAGS:02x}"
