"""Whether an answer may be stored (RFC 9111, 3). Pure."""

from typing import Final

from services.gateway.caching.http.directives import AnswerDirectives, request_directives
from services.gateway.caching.http.fields import Fields
from services.gateway.caching.http.freshness import HEURISTIC_STATUSES
from services.gateway.caching.http.outcomes import Refusal
from services.gateway.caching.http.stored import unstored

UNDERSTOOD: Final = HEURISTIC_STATUSES - {206} | {302, 303, 307, 451}
"""The statuses whose rules the cache knows, and the only ones it stores.

RFC 9111, 3 would let others be stored that say how long. But 400, 408, 413, 417, 431, 412, 416, 429 and 5xx often
owe themselves to something in the request that is in no key: who sends an oversized header would take the page
away from everyone else (https://cpdos.org). 206 and 304 are no answers of their own.
"""

# Bodies of GET, and fields by which some frameworks exchange target or method: parts of the request in no key.
UNKEYED: Final = frozenset(
    {
        b"content-length",
        b"transfer-encoding",
        b"x-http-method",
        b"x-http-method-override",
        b"x-method-override",
        b"x-original-url",
        b"x-rewrite-url",
    }
)
_CREDENTIALS: Final = frozenset({b"authorization", b"x-api-key"})

_METHOD: Final = Refusal("method", "Only answers to GET are stored.")
_STATUS: Final = Refusal("status", "Answers of this status are not stored.")
REQUEST_NO_STORE: Final = Refusal("request-no-store", "The request says no-store.")
_NO_STORE: Final = Refusal("no-store", "The answer says no-store.")
_PRIVATE: Final = Refusal("private", "The answer is private and the route's cache shared.")
_AUTHORIZED: Final = Refusal(
    "authorization",
    "The request had credentials, and the answer has none of public, must-revalidate and s-maxage.",
)
_SET_COOKIE: Final = Refusal("set-cookie", "The answer sets a cookie, which is for one caller once.")
_NOT_CACHEABLE: Final = Refusal(
    "no-freshness", "Neither the answer nor its status says that it may be stored."
)
_PARTIAL: Final = Refusal("partial", "It is only a part of an answer.")
_UNKEYED: Final = Refusal("unkeyed-input", "The request has a body or an override, which no key holds.")


def why_not(
    method: bytes,
    request: Fields,
    status: int,
    answer: Fields,
    directives: AnswerDirectives,
    *,
    shared: bool,
    targeted: bool = False,
) -> Refusal | None:
    """Why an answer must not be stored, or None when it may be (RFC 9111, 3).

    `shared` is False for a cache of one principal's answers: `private` and `Authorization` are then no
    obstacle, and `s-maxage` is not for it. `targeted` says that a targeted field governs (RFC 9213, 2.2).

    An answer with `Set-Cookie` is not stored in either: RFC 9111, 7.3 leaves it to the cache, and a session that
    comes up again, or at another caller, does more harm than the fetch. A qualified `no-cache` or `private`
    that lists the field has it removed, and then the rest may be stored.
    """
    if method != b"GET":
        return _METHOD
    if status not in UNDERSTOOD:
        return _STATUS
    if request_directives(request).no_store:
        return REQUEST_NO_STORE
    return (
        _why_not_by_request(request)
        or _why_not_by_directives(request, directives, shared=shared)
        or _why_not_by_fields(status, answer, directives, shared=shared, targeted=targeted)
    )


def _why_not_by_request(request: Fields) -> Refusal | None:
    return _UNKEYED if has_unkeyed(request) else None


def has_unkeyed(request: Fields) -> bool:
    """Whether something in the request that no key holds may decide the answer."""
    if request.keys().isdisjoint(UNKEYED):
        return False
    return any(name in request and (name != b"content-length" or request[name] != b"0") for name in UNKEYED)


def _why_not_by_directives(request: Fields, directives: AnswerDirectives, *, shared: bool) -> Refusal | None:
    # 5.2.2.3: whoever knows the status's rules heeds must-understand rather than the no-store beside it.
    if directives.no_store and not directives.must_understand:
        return _NO_STORE
    if not shared:
        return None
    if directives.private:
        return _PRIVATE
    if not _CREDENTIALS.isdisjoint(request) and not _for_all(directives):
        return _AUTHORIZED
    return None


def _for_all(directives: AnswerDirectives) -> bool:
    """Whether answers to requests with credentials may be stored (3.5)."""
    return directives.public or directives.must_revalidate or directives.s_maxage_sound


def _why_not_by_fields(
    status: int, answer: Fields, directives: AnswerDirectives, *, shared: bool, targeted: bool
) -> Refusal | None:
    if b"content-range" in answer:
        return _PARTIAL
    if b"set-cookie" in answer and b"set-cookie" not in unstored(directives):
        return _SET_COOKIE
    cacheable = (
        directives.public
        or directives.max_age is not None
        or (b"expires" in answer and not targeted)
        or (shared and directives.s_maxage is not None)
        or (not shared and directives.private)
        or status in HEURISTIC_STATUSES
    )
    return None if cacheable else _NOT_CACHEABLE
