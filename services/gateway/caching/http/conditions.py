"""A caller's own preconditions and ranges, answered from a stored answer (RFC 9110, 13 and 14). Pure.

A cache looks at `If-None-Match` and `If-Modified-Since`, and at `If-Range`; `If-Match` and `If-Unmodified-Since` are
the origin's (RFC 9111, 4.3.2), and requests with them are forwarded.
"""

import re
from typing import Final

from services.gateway.caching.http.dates import parse_date
from services.gateway.caching.http.fields import Fields
from services.gateway.caching.http.outcomes import NOT_MODIFIED, UNSATISFIABLE, WHOLE, Form, Presentation
from services.gateway.caching.http.stored import StoredAnswer
from services.gateway.caching.http.validators import is_strong, lists
from services.gateway.protocol.fields import name_of

ORIGIN_ONLY: Final = frozenset({b"if-match", b"if-unmodified-since"})
PRECONDITIONS: Final = frozenset({b"if-none-match", b"if-modified-since", b"if-range", b"range"})
"""The fields that a request is forwarded without when what comes shall be stored whole or validated."""

_ONE_RANGE: Final = re.compile(rb"bytes=[ \t,]*([0-9]*)-([0-9]*)[ \t,]*", re.IGNORECASE)
_MOST_DIGITS: Final = 18
_STRONG_AFTER_S: Final = 1
# What a 304 repeats of a 200 (RFC 9110, 15.4.5), with the last change for who has no tag, and fields for caches.
_TOLD_AGAIN: Final = frozenset(
    {
        *(b"cache-control", b"content-location", b"date", b"etag", b"expires", b"vary", b"last-modified"),
        *(b"cdn-cache-control", b"kontor-cache-control", b"cache-status"),
    }
)
# What describes the representation, which who sent If-Range has already (RFC 9110, 15.3.7).
_KNOWN_TO_IF_RANGE: Final = frozenset(
    {b"content-type", b"content-encoding", b"content-language", b"last-modified"}
)


def present(method: bytes, request: Fields, stored: StoredAnswer) -> Presentation:
    """What of a stored answer a GET or HEAD gets, in the order of RFC 9110, 13.2.2."""
    if not 200 <= stored.status < 300:  # 13.2.1: other answers have no preconditions
        return WHOLE
    if _not_modified(request, stored):
        return NOT_MODIFIED
    # 14.2: only GET has ranges. Of other than a complete 200 nothing is cut out.
    if b"range" not in request or method != b"GET" or stored.status != 200:
        return WHOLE
    return _range(request, stored)


def _not_modified(request: Fields, stored: StoredAnswer) -> bool:
    """RFC 9111, 4.3.2: with `If-None-Match`, `If-Modified-Since` counts for nothing."""
    asked = request.get(b"if-none-match")
    if asked is not None:
        return lists(asked, stored.etag)
    asked = request.get(b"if-modified-since")
    if asked is None:
        return False
    since_s = parse_date(asked, stored.wall_s)
    if since_s is None:
        return False
    changed_s = stored.date_s if stored.last_modified_s is None else stored.last_modified_s
    return changed_s <= since_s


def _range(request: Fields, stored: StoredAnswer) -> Presentation:
    """One range of bytes becomes a part; several, or what is no range, the whole (RFC 9110, 14.2 allows both)."""
    by_if_range = b"if-range" in request
    if by_if_range and not _same_representation(request[b"if-range"], stored):
        return WHOLE
    match = _ONE_RANGE.fullmatch(request[b"range"])
    if match is None or max(map(len, match.groups())) > _MOST_DIGITS:
        return WHOLE
    first, last = match.groups()
    if not first:
        return _suffix(last, stored.length, by_if_range=by_if_range)
    if last and int(last) < int(first):
        return WHOLE  # 14.1.1: invalid, and to be ignored
    if int(first) >= stored.length:
        return UNSATISFIABLE
    end = min(int(last), stored.length - 1) if last else stored.length - 1
    return Presentation(Form.PART, int(first), end, by_if_range=by_if_range)


def _suffix(length: bytes, whole: int, *, by_if_range: bool) -> Presentation:
    """The last so many bytes (RFC 9110, 14.1.2)."""
    if not length:
        return WHOLE
    if int(length) == 0 or whole == 0:
        return UNSATISFIABLE
    return Presentation(Form.PART, max(0, whole - int(length)), whole - 1, by_if_range=by_if_range)


def _same_representation(condition: bytes, stored: StoredAnswer) -> bool:
    """RFC 9110, 13.1.5: a tag by the strong comparison, a date if it is exactly the last change and strong."""
    if condition.startswith((b'"', b"W/")):
        return condition == stored.etag and is_strong(condition)
    at_s = parse_date(condition, stored.wall_s)
    if at_s is None or at_s != stored.last_modified_s:
        return False
    return stored.date_s - at_s >= _STRONG_AFTER_S  # 8.8.2.2


def presented_head(stored: StoredAnswer, presentation: Presentation) -> bytes:
    """The stored header lines that go with a presentation, each with its line end, and its own `Content-Range`.

    `Age`, `Cache-Status` and, but for the whole, `Content-Length` are the caller's to add.
    """
    form = presentation.form
    if form is Form.WHOLE:
        return stored.head
    lines = [line for line in stored.head.split(b"\r\n") if line]
    if form is Form.NOT_MODIFIED:
        kept = [line for line in lines if name_of(line) in _TOLD_AGAIN]
    elif form is Form.UNSATISFIABLE:
        kept = [line for line in lines if name_of(line) in {b"date", b"vary", b"cache-status"}]
        kept.append(b"content-range: bytes */%d" % stored.length)
    else:
        left_out = {b"content-length", *(_KNOWN_TO_IF_RANGE if presentation.by_if_range else ())}
        kept = [line for line in lines if name_of(line) not in left_out]
        kept.append(b"content-range: bytes %d-%d/%d" % (presentation.first, presentation.last, stored.length))
    return b"".join([line + b"\r\n" for line in kept])
