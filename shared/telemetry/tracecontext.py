"""W3C Trace Context: the `traceparent` and `tracestate` header fields (Recommendation, level 1 and 2).

Own code rather than the API's propagator, because that one takes the first of several `traceparent`
fields and logs each bad member, which lets a caller fill the log.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

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

    @property
    def traceparent(self) -> str:
        """The field that names it, as version 00."""
        return write_traceparent(self.trace_id, self.span_id, self.flags)


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
    return Parent(*ids, parse_state(states) if states else "")


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


def parse_state(fields: Sequence[str]) -> str:
    """The members of all `tracestate` fields in order, as one; empty when any is malformed or there are over 32."""
    members: dict[str, str] = {}
    for text in ",".join(fields).split(","):
        member = text.strip(" \t")
        if not member:
            continue  # empty members are allowed
        match = _MEMBER.fullmatch(member)
        if match is None or match[1] in members or len(members) == _MOST_MEMBERS:
            return ""
        members[match[1]] = member
    return _within_limit(list(members.values()))


def _within_limit(members: list[str]) -> str:
    state = ",".join(members)
    if len(state) > _LONGEST_STATE:
        members = [member for member in members if len(member) <= _LONG_MEMBER]
        state = ",".join(members)
    while len(state) > _LONGEST_STATE:
        members.pop()  # the rightmost member is the oldest
        state = ",".join(members)
    return state


def write_traceparent(trace_id: int, span_id: int, flags: int) -> str:
    """The `traceparent` field (version 00) that names a span as the parent."""
    return f"00-{trace_id:032x}-{span_id:016x}-{flags & _KNOWN_FLAGS:02x}"
