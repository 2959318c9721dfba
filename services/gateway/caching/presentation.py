"""What callers get of a stored answer: its head and body or a part of them, and the lines about it. Pure."""

from functools import lru_cache
from http import HTTPStatus
from typing import Final

from services.gateway.caching.http.cache_status import CacheStatus
from services.gateway.caching.http.conditions import presented_head
from services.gateway.caching.http.outcomes import Form, Forwarded, Presentation
from services.gateway.caching.http.stored import StoredAnswer
from services.gateway.caching.http.structured import TARGETS
from services.gateway.protocol.fields import name_of

STATUS: Final = CacheStatus("kontor")
SECOND_STATUS: Final = CacheStatus("kontor-shared")
"""Of the second level, which is a cache of its own, nearer to the origin (RFC 9211, 2)."""

# Of one answer and not of the next: the time it took, and what only the gateway was told.
_NOT_AGAIN: Final = frozenset({b"server-timing", b"cache-status", *TARGETS})
_KNOWN_STATUSES: Final = frozenset(HTTPStatus)


def presented(stored: StoredAnswer, presentation: Presentation, content: bytes) -> tuple[int, bytes, bytes]:
    """Status, header lines and body of what a caller gets of a stored answer."""
    head = again(presented_head(stored, presentation))
    form = presentation.form
    if form is Form.WHOLE:
        return stored.status, head, content
    if form is Form.NOT_MODIFIED:
        return 304, head, b""
    if form is Form.UNSATISFIABLE:
        return 416, head + b"content-length: 0\r\n", b""
    part = content[presentation.first : presentation.last + 1]
    return 206, head + b"content-length: %d\r\n" % len(part), part


def again(head: bytes) -> bytes:
    """The header lines without those that were true only the first time."""
    lines = [line for line in head.split(b"\r\n") if line and name_of(line) not in _NOT_AGAIN]
    return b"".join([line + b"\r\n" for line in lines])


def status_line(status: int) -> bytes:
    """Without its line end."""
    phrase = HTTPStatus(status).phrase if status in _KNOWN_STATUSES else ""
    return b"HTTP/1.1 %d %b" % (status, phrase.encode("ascii"))


def about(age_s: int, member: bytes) -> bytes:
    """The lines about an answer that was stored; `member` is of `Cache-Status`."""
    return b"age: %d\r\ncache-status: %b\r\n" % (age_s, member)


@lru_cache(maxsize=4096)
def about_hit(age_s: int, ttl_s: int) -> bytes:
    """The same of all hits that were stored in the same second for as long."""
    return about(age_s, STATUS.hit(ttl_s))


def about_shared(age_s: int, ttl_s: int) -> bytes:
    """The same of one that the second level had."""
    return about(age_s, SECOND_STATUS.hit(ttl_s) + b", " + STATUS.forwarded(Forwarded.MISS, stored=True))


def cache_status_line(member: bytes) -> bytes:
    """The line about an answer that was not stored before."""
    return b"cache-status: " + member + b"\r\n"
