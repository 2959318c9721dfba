"""Whether a stored answer may be used for a request, and what a validation makes of it. Pure.

RFC 9111, 4 and RFC 5861.
"""

from collections.abc import Sequence
from typing import Final

from services.gateway.caching.http.dates import parse_date
from services.gateway.caching.http.directives import RequestDirectives
from services.gateway.caching.http.fields import Fields
from services.gateway.caching.http.freshness import SECOND_NS, satisfies
from services.gateway.caching.http.keys import recency
from services.gateway.caching.http.stored import StoredAnswer
from services.gateway.caching.http.validators import entity_tag, is_strong, same_weakly
from services.gateway.protocol.fields import name_of

ERRORS: Final = frozenset({500, 502, 503, 504})
"""The failures that `stale-if-error` speaks of (RFC 5861, 4)."""

# RFC 9111, 3.2: the body that is stored has these, whatever a 304 says of them.
_OF_THE_BODY: Final = frozenset(
    {b"content-length", b"content-encoding", b"content-range", b"content-md5", b"etag", b"transfer-encoding"}
)


def usable(asked: RequestDirectives, stored: StoredAnswer, now_ns: int) -> bool:
    """Whether it may be used without validation (4; 5.2.1)."""
    if stored.directives.no_cache:
        return False
    lifetime_ns = stored.fresh_until_ns - stored.born_ns
    return satisfies(asked, now_ns - stored.born_ns, lifetime_ns, may_be_stale=not stored.must_revalidate)


def usable_while_revalidated(asked: RequestDirectives, stored: StoredAnswer, now_ns: int) -> bool:
    """Whether it may be used stale while it is validated aside (RFC 5861, 3).

    Not for who asks for freshness: `max-age`, `min-fresh` and `no-cache` say that stale is not wanted (5.2.1).
    """
    if asked.no_cache or asked.min_fresh or asked.max_age is not None:
        return False
    return stored.fresh_until_ns <= now_ns < stored.revalidate_until_ns


def usable_on_error(asked: RequestDirectives, stored: StoredAnswer, now_ns: int) -> bool:
    """Whether it may be used stale in place of an error (RFC 5861, 4).

    Only for as long as the answer permits; what the request says can shorten that, not lengthen it.
    """
    if asked.no_cache or stored.directives.no_cache:
        return False
    until_ns = stored.error_until_ns
    if asked.stale_if_error is not None:
        until_ns = min(until_ns, stored.fresh_until_ns + asked.stale_if_error * SECOND_NS)
    return now_ns < until_ns


def identified(variants: Sequence[StoredAnswer], answer: Fields, wall_s: int) -> tuple[StoredAnswer, ...]:
    """The stored answers that a 304 confirms (4.3.4); none when it speaks of something else.

    With a strong tag all that have it, with a weak validator the latest that has it, and without any validator
    the only one, if that has none either.
    """
    whole = [stored for stored in variants if stored.status == 200]
    tag = entity_tag(answer.get(b"etag"))
    if tag is not None and is_strong(tag):
        return tuple([stored for stored in whole if stored.etag == tag])
    if tag is not None:
        return _latest([each for each in whole if each.etag is not None and same_weakly(each.etag, tag)])
    if b"last-modified" in answer:
        modified_s = parse_date(answer[b"last-modified"], wall_s)
        return _latest(
            [each for each in whole if modified_s is not None and each.last_modified_s == modified_s]
        )
    only = (
        len(variants) == 1 and len(whole) == 1 and whole[0].etag is None and whole[0].last_modified_s is None
    )
    return tuple(whole) if only else ()


def _latest(matching: Sequence[StoredAnswer]) -> tuple[StoredAnswer, ...]:
    return (max(matching, key=recency),) if matching else ()


def updated_head(stored: StoredAnswer, fields: Fields, head: bytes) -> bytes:
    """The stored header lines with those of a 304, or of a HEAD's answer, in their place (3.2; 4.3.4; 4.3.5).

    `head` are the new lines and `fields` the same, read. Fields of the stored body stay.
    """
    kept = [
        line
        for line in stored.head.split(b"\r\n")
        if line and ((name := name_of(line)) not in fields or name in _OF_THE_BODY)
    ]
    new = [line for line in head.split(b"\r\n") if line and name_of(line) not in _OF_THE_BODY]
    return b"".join([line + b"\r\n" for line in (*kept, *new)])


def confirmed_by_head(stored: StoredAnswer, answer: Fields, wall_s: int) -> bool:
    """Whether the answer to a HEAD is that of the same representation (4.3.5); if not, the stored one is stale."""
    if b"etag" in answer and entity_tag(answer[b"etag"]) != stored.etag:
        return False
    if b"last-modified" in answer and parse_date(answer[b"last-modified"], wall_s) != stored.last_modified_s:
        return False
    return answer.get(b"content-length", b"%d" % stored.length) == b"%d" % stored.length
