"""A stored answer's head, with all that later requests ask of it worked out once. Pure."""

from typing import Final

from services.gateway.caching.http.dates import parse_date, write_date
from services.gateway.caching.http.directives import AnswerDirectives
from services.gateway.caching.http.fields import Fields
from services.gateway.caching.http.freshness import (
    SECOND_NS,
    Freshness,
    Times,
    date_of,
    forbids_stale,
    initial_age_ns,
)
from services.gateway.caching.http.keys import Selecting
from services.gateway.caching.http.validators import entity_tag
from services.gateway.protocol.fields import HOP_BY_HOP, name_of

# RFC 9111, 3.1: of the connection, or of the proxy. Age is told anew with every use (5.1).
_NOT_STORED: Final = HOP_BY_HOP | {b"proxy-authentication-info", b"age"}
_MOST_DIGITS: Final = 18


class StoredAnswer:
    """The head of a stored answer that is complete; its body lies with the store.

    `head` are its header lines, each with its line end, with `Date` and without `Age`; `length` is the body's in
    bytes. It was generated at `born_ns` and is fresh before `fresh_until_ns`. A plain request may be answered
    with it before `usable_until_ns`; `revalidate_until_ns` and `error_until_ns` end what RFC 5861 permits.
    Nanoseconds are of a monotonic clock.
    """

    __slots__ = (
        "born_ns",
        "conditions",
        "date_s",
        "directives",
        "error_until_ns",
        "etag",
        "fresh_until_ns",
        "freshness",
        "head",
        "last_modified_s",
        "length",
        "must_revalidate",
        "received_ns",
        "revalidate_until_ns",
        "selecting",
        "shared",
        "status",
        "usable_until_ns",
        "vary",
        "wall_s",
    )

    def __init__(self, plan: "StorePlan", length: int) -> None:
        self.status = plan.status
        self.head = plan.head
        self.length = length
        self.directives = directives = plan.directives
        self.freshness = plan.freshness
        self.shared = plan.shared
        self.vary = plan.vary
        self.selecting = plan.selecting
        self.received_ns = plan.received_ns
        self.wall_s = plan.wall_s
        self.date_s = plan.date_s
        self.etag = plan.etag
        self.last_modified_s = plan.last_modified_s
        self.conditions = plan.conditions
        self.born_ns = plan.born_ns
        self.fresh_until_ns = fresh = plan.born_ns + plan.freshness.lifetime_s * SECOND_NS
        self.must_revalidate = forbids_stale(directives, shared=plan.shared)
        self.usable_until_ns = 0 if directives.no_cache else fresh
        self.revalidate_until_ns = self.error_until_ns = fresh
        if not self.must_revalidate:
            self.revalidate_until_ns += directives.stale_while_revalidate * SECOND_NS
            self.error_until_ns += directives.stale_if_error * SECOND_NS

    def age_s(self, now_ns: int) -> int:
        """`current_age` in seconds (RFC 9111, 4.2.3), as `Age` tells it."""
        return max(0, now_ns - self.born_ns) // SECOND_NS

    def ttl_s(self, now_ns: int) -> int:
        """How much longer it is fresh, in seconds, negative when it is stale (RFC 9211, 2.4)."""
        return (self.fresh_until_ns - now_ns) // SECOND_NS


class StorePlan:
    """What will be stored of an answer once all of its body has come; a body that is cut short is not stored.

    An incomplete answer could only serve ranges (RFC 9111, 3.3), and trailers must not become header fields
    (3.1): both are let go.
    """

    __slots__ = (
        "born_ns",
        "conditions",
        "date_s",
        "declared_length",
        "directives",
        "etag",
        "freshness",
        "head",
        "last_modified_s",
        "reason",
        "received_ns",
        "selecting",
        "shared",
        "status",
        "vary",
        "wall_s",
    )

    def __init__(
        self,
        status: int,
        fields: Fields,
        head: bytes,
        times: Times,
        *,
        directives: AnswerDirectives,
        freshness: Freshness,
        shared: bool,
        vary: tuple[bytes, ...],
        selecting: Selecting,
    ) -> None:
        left_out = unstored(directives)
        self.status = status
        self.directives = directives
        self.freshness = freshness
        self.shared = shared
        self.vary = vary
        self.selecting = selecting
        self.received_ns = times.received_ns
        self.wall_s = times.wall_s
        self.born_ns = times.received_ns - initial_age_ns(fields, times)
        self.date_s = date_of(fields, times.wall_s)
        self.head = stored_head(head, left_out, fields, times.wall_s)
        self.etag = None if b"etag" in left_out else entity_tag(fields.get(b"etag"))
        modified = None if b"last-modified" in left_out else fields.get(b"last-modified")
        self.last_modified_s = None if modified is None else parse_date(modified, times.wall_s)
        # A 304 confirms nothing but a 200 (RFC 9111, 4.3.4).
        sound = modified if self.last_modified_s is not None else None
        self.conditions = _conditions(self.etag, sound) if status == 200 else ()
        self.declared_length = _declared_length(fields)
        self.reason = f"It is stored, fresh for {freshness.lifetime_s} s by {freshness.source}."

    def complete(self, length: int) -> StoredAnswer | None:
        """The stored answer, whose body came to `length` bytes; None when that is not all of it (3.3)."""
        if self.declared_length is not None and self.declared_length != length:
            return None
        return StoredAnswer(self, length)


def unstored(directives: AnswerDirectives) -> frozenset[bytes]:
    """The fields that are not stored (RFC 9111, 3.1), those among them that qualified directives list.

    What `no-cache` lists may not be used again without validation (5.2.2.4), and is left out as well: it is
    there again when a validation brings it.
    """
    listed = directives.no_cache_fields | directives.private_fields
    return _NOT_STORED | listed if listed else _NOT_STORED


def stored_head(head: bytes, left_out: frozenset[bytes], fields: Fields, wall_s: int) -> bytes:
    """The lines to store, with a `Date` that is one (RFC 9110, 6.6.1)."""
    dated = parse_date(fields.get(b"date", b""), wall_s) is not None and b"date" not in left_out
    if not dated:
        left_out |= {b"date"}
    lines = [line for line in head.split(b"\r\n") if line and name_of(line) not in left_out]
    if not dated:
        lines.append(b"date: " + write_date(wall_s))
    return b"\r\n".join(lines) + b"\r\n"


def _conditions(etag: bytes | None, modified: bytes | None) -> tuple[bytes, ...]:
    """What asks whether the answer still stands (RFC 9111, 4.3.1): both, where it has both."""
    lines = []
    if etag is not None:
        lines.append(b"if-none-match: " + etag)
    if modified is not None:
        lines.append(b"if-modified-since: " + modified)
    return tuple(lines)


def _declared_length(fields: Fields) -> int | None:
    length = fields.get(b"content-length")
    return int(length) if length is not None and length.isdigit() and len(length) <= _MOST_DIGITS else None
