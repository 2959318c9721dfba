"""Requests and answers for the tests of HTTP caching, in few words."""

from typing import Any

from services.gateway.caching.http.dates import write_date
from services.gateway.caching.http.decision import (
    DEFAULT_RULES,
    Renewal,
    Rules,
    on_answer,
    on_not_modified,
    on_request,
)
from services.gateway.caching.http.freshness import SECOND_NS, Times
from services.gateway.caching.http.outcomes import Decision, Refusal
from services.gateway.caching.http.stored import StoredAnswer, StorePlan
from services.gateway.protocol.fields import read_fields

NOW_NS = 1_000_000 * SECOND_NS
WALL_S = 1_792_000_000
BODY_LENGTH = 10


def date(offset_s: int = 0) -> bytes:
    """An HTTP date so many seconds after the answer comes."""
    return write_date(WALL_S + offset_s)


def block(*lines: bytes) -> bytes:
    return b"".join([line + b"\r\n" for line in lines])


def times(delay_s: int = 0, after_s: int = 0) -> Times:
    """Of an answer that came `after_s` later than `NOW_NS`, `delay_s` after it was asked for."""
    received_ns = NOW_NS + after_s * SECOND_NS
    return Times(received_ns - delay_s * SECOND_NS, received_ns, WALL_S + after_s)


def plan(
    *lines: bytes,
    status: int = 200,
    method: bytes = b"GET",
    request: tuple[bytes, ...] = (),
    shared: bool = True,
    delay_s: int = 0,
    after_s: int = 0,
    dated: bool = True,
    rules: Rules = DEFAULT_RULES,
) -> StorePlan | Refusal:
    """What becomes of an answer with these header lines; `dated` gives it the `Date` of its arrival."""
    every = (*lines, b"Date: " + date(after_s)) if dated else lines
    return on_answer(
        method,
        read_fields(request),
        status,
        read_fields(every),
        block(*every),
        times(delay_s, after_s),
        shared=shared,
        rules=rules,
    )


def refused(*lines: bytes, **how: Any) -> str | None:
    """The code with which an answer is refused, None when it is stored."""
    outcome = plan(*lines, **how)
    return outcome.code if isinstance(outcome, Refusal) else None


def stored(*lines: bytes, length: int = BODY_LENGTH, **how: Any) -> StoredAnswer:
    """The stored answer with these header lines."""
    outcome = plan(*lines, **how)
    assert isinstance(outcome, StorePlan), outcome.reason
    answer = outcome.complete(length)
    assert answer is not None
    return answer


def ask(
    *variants: StoredAnswer,
    fields: tuple[bytes, ...] = (),
    after_s: float = 0,
    method: bytes = b"GET",
    rules: Rules = DEFAULT_RULES,
) -> Decision:
    """The decision on a request with these header lines, so long after the answers came."""
    return on_request(method, read_fields(fields), variants, NOW_NS + int(after_s * SECOND_NS), rules)


def confirm(
    *variants: StoredAnswer, lines: tuple[bytes, ...], fields: tuple[bytes, ...] = (), after_s: int = 0
) -> tuple[Renewal, ...]:
    """What a 304 with these header lines makes of stored answers."""
    return on_not_modified(
        variants, read_fields(fields), read_fields(lines), block(*lines), times(0, after_s)
    )
