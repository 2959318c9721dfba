"""The cache's decisions on a request, its answer, a validation and a failure: all that the data path calls. Pure.

`Fields` of a request must hold at least `REQUEST_FIELDS` and what stored answers vary by, those of an answer
`ANSWER_FIELDS`; for a validation, all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from services.gateway.caching.http.conditions import ORIGIN_ONLY, PRECONDITIONS, present
from services.gateway.caching.http.directives import (
    NO_REQUEST_DIRECTIVES,
    AnswerDirectives,
    RequestDirectives,
    request_directives,
)
from services.gateway.caching.http.fields import Fields
from services.gateway.caching.http.freshness import Times, freshness
from services.gateway.caching.http.keys import matches, parse_vary, select, selecting
from services.gateway.caching.http.outcomes import (
    FORWARD,
    SERVE,
    SERVE_STALE,
    SERVE_STALE_AND_REVALIDATE,
    UNAVAILABLE,
    VALIDATE,
    WHOLE,
    Decision,
    Forwarded,
    Hit,
    Presentation,
    Refusal,
)
from services.gateway.caching.http.reuse import (
    ERRORS,
    confirmed_by_head,
    identified,
    updated_head,
    usable,
    usable_on_error,
    usable_while_revalidated,
)
from services.gateway.caching.http.stored import StoredAnswer, StorePlan
from services.gateway.caching.http.storing import REQUEST_NO_STORE, UNKEYED, has_unkeyed, why_not
from services.gateway.caching.http.structured import TARGETS, governing
from services.gateway.protocol.fields import read_fields

_METHODS: Final = frozenset({b"GET", b"HEAD"})
# Without these a request takes what there is.
_SPECIAL: Final = frozenset({b"cache-control", b"pragma"}) | PRECONDITIONS | ORIGIN_ONLY | UNKEYED

REQUEST_FIELDS: Final = _SPECIAL | {b"authorization", b"x-api-key"}
ANSWER_FIELDS: Final = frozenset(
    {
        *(b"cache-control", b"expires", b"date", b"age", b"vary", b"etag", b"last-modified"),
        *(b"content-length", b"content-range", b"set-cookie", *TARGETS),
    }
)

_OTHER_METHOD: Final = Decision(
    FORWARD, "Only GET and HEAD are answered from the cache.", forwarded=Forwarded.METHOD
)
_URI_MISS: Final = Decision(FORWARD, "Nothing is stored for this target.", forwarded=Forwarded.URI_MISS)
_VARY_MISS: Final = Decision(
    FORWARD,
    "Answers are stored for this target, but for other values of the fields they vary by.",
    forwarded=Forwarded.VARY_MISS,
)
_BYPASS: Final = Decision(
    FORWARD, "The request has a body or an override, which no key holds.", forwarded=Forwarded.BYPASS
)
_ORIGIN_ONLY: Final = Decision(
    FORWARD, "The request has a precondition that only the service can check.", forwarded=Forwarded.REQUEST
)
_ONLY_IF_CACHED: Final = Decision(UNAVAILABLE, "The request says only-if-cached, and nothing stored will do.")
_VARIES: Final = Refusal("vary", "The answer varies by what no key can hold.")
_USELESS: Final = Refusal("no-use", "It is stale at once, and nothing in it could be validated.")
_ANOTHER: Final = Refusal("changed", "The upstream has another representation now.")


@dataclass(frozen=True, slots=True)
class Rules:
    """What a route may choose.

    `heuristics`: whether a lifetime is guessed where an answer has `Last-Modified` and says nothing (RFC 9111,
    4.2.2). `obey_requests`: whether callers' cache directives count, which RFC 9111, 5.2.1 leaves to the cache.
    `targets`: the targeted fields heeded, the most specific first (RFC 9213, 2.2).
    """

    heuristics: bool = True
    obey_requests: bool = True
    targets: tuple[bytes, ...] = TARGETS


DEFAULT_RULES: Final = Rules()


class Renewal(NamedTuple):
    """A stored answer before and after a validation.

    `after` takes the place of `before`, unless there is a `refusal`: then `after` is for the request alone that
    had it validated, and `before` goes if `dropped`. Of a HEAD that found another representation, both are the
    same.
    """

    before: StoredAnswer
    after: StoredAnswer
    refusal: Refusal | None
    dropped: bool


def on_request(
    method: bytes,
    request: Fields,
    variants: Sequence[StoredAnswer],
    now_ns: int,
    rules: Rules = DEFAULT_RULES,
) -> Decision:
    """What to do with a request, for whose primary key `variants` are stored (RFC 9111, 4)."""
    if method not in _METHODS:
        return _OTHER_METHOD
    if not request.keys().isdisjoint(_SPECIAL):
        return _on_special(method, request, variants, now_ns, rules)
    if not variants:
        return _URI_MISS
    stored: StoredAnswer | None = variants[0]
    if len(variants) > 1 or variants[0].vary:
        stored = select(variants, request)
    if stored is None:
        return _VARY_MISS
    if now_ns < stored.usable_until_ns:
        return Hit(stored)
    return _on_stale(stored, NO_REQUEST_DIRECTIVES, WHOLE, now_ns)


def _on_special(
    method: bytes, request: Fields, variants: Sequence[StoredAnswer], now_ns: int, rules: Rules
) -> Decision:
    if has_unkeyed(request):
        return _BYPASS
    asked = request_directives(request) if rules.obey_requests else NO_REQUEST_DIRECTIVES
    decision = _on_asked(method, request, asked, variants, now_ns)
    if asked.only_if_cached and decision.action in {FORWARD, VALIDATE}:
        return _ONLY_IF_CACHED
    return decision


def _on_asked(
    method: bytes,
    request: Fields,
    asked: RequestDirectives,
    variants: Sequence[StoredAnswer],
    now_ns: int,
) -> Decision:
    if not ORIGIN_ONLY.isdisjoint(request):
        return _ORIGIN_ONLY
    stored = select(variants, request)
    if stored is None:
        return _VARY_MISS if variants else _URI_MISS
    presentation = present(method, request, stored)
    if not usable(asked, stored, now_ns):
        return _on_stale(stored, asked, presentation, now_ns)
    fresh = now_ns < stored.fresh_until_ns
    reason = "The stored answer is fresh." if fresh else "It is stale, but the request says max-stale."
    return Decision(SERVE, reason, stored=stored, presentation=presentation)


def _on_stale(
    stored: StoredAnswer, asked: RequestDirectives, presentation: Presentation, now_ns: int
) -> Decision:
    """What to do where the stored answer must not simply be used."""
    if usable_while_revalidated(asked, stored, now_ns):
        return Decision(
            SERVE_STALE_AND_REVALIDATE,
            "It is stale, but says stale-while-revalidate.",
            stored=stored,
            presentation=presentation,
            conditions=stored.conditions,
        )
    if now_ns < stored.usable_until_ns:
        why, reason = Forwarded.REQUEST, "The stored answer is fresh, but the request asks for a newer one"
    elif stored.directives.no_cache:
        why, reason = Forwarded.STALE, "The stored answer says no-cache"
    else:
        why, reason = Forwarded.STALE, "The stored answer is stale"
    if not stored.conditions:
        return Decision(FORWARD, reason + " and has no validator.", stored=stored, forwarded=why)
    return Decision(
        VALIDATE,
        reason + ": it is validated.",
        stored=stored,
        presentation=presentation,
        forwarded=why,
        conditions=stored.conditions,
    )


def on_answer(
    method: bytes,
    request: Fields,
    status: int,
    answer: Fields,
    head: bytes,
    times: Times,
    *,
    shared: bool,
    rules: Rules = DEFAULT_RULES,
) -> StorePlan | Refusal:
    """What to store of an answer, or why nothing (RFC 9111, 3).

    `head` are the answer's header lines without those of the connection, each with its line end; `shared` is
    what the key's `Audience` says.
    """
    governed = governing(answer, rules.targets)
    refusal = _why_not(method, request, status, answer, governed, shared=shared)
    if refusal is not None:
        return refusal
    plan = _plan(request, status, answer, head, times, governed, shared=shared, rules=rules)
    return plan if plan.freshness.lifetime_s or plan.conditions else _USELESS


def _why_not(
    method: bytes,
    request: Fields,
    status: int,
    answer: Fields,
    governed: tuple[bytes, AnswerDirectives],
    *,
    shared: bool,
) -> Refusal | None:
    name, directives = governed
    targeted = name != b"cache-control"
    refusal = why_not(method, request, status, answer, directives, shared=shared, targeted=targeted)
    return _VARIES if refusal is None and parse_vary(answer.get(b"vary")) is None else refusal


def _plan(
    request: Fields,
    status: int,
    answer: Fields,
    head: bytes,
    times: Times,
    governed: tuple[bytes, AnswerDirectives],
    *,
    shared: bool,
    rules: Rules,
) -> StorePlan:
    name, directives = governed
    vary = parse_vary(answer.get(b"vary")) or ()
    lifetime = freshness(
        directives,
        answer,
        status,
        wall_s=times.wall_s,
        shared=shared,
        targeted=name != b"cache-control",
        heuristics=rules.heuristics,
    )
    return StorePlan(
        status,
        answer,
        head,
        times,
        directives=directives,
        freshness=lifetime,
        shared=shared,
        vary=vary,
        selecting=selecting(vary, request),
    )


def on_not_modified(
    variants: Sequence[StoredAnswer],
    request: Fields,
    answer: Fields,
    head: bytes,
    times: Times,
    rules: Rules = DEFAULT_RULES,
) -> tuple[Renewal, ...]:
    """What a 304 makes of the stored answers of a key (RFC 9111, 4.3.4).

    Nothing, when it speaks of none of them: then the request must be made again without conditions. The
    request's own preconditions are then for `conditions.present` to answer.
    """
    confirmed = identified(variants, answer, times.wall_s)
    return tuple([_renewed(stored, request, answer, head, times, rules) for stored in confirmed])


def on_head_answer(
    variants: Sequence[StoredAnswer],
    request: Fields,
    status: int,
    answer: Fields,
    head: bytes,
    times: Times,
    rules: Rules = DEFAULT_RULES,
) -> tuple[Renewal, ...]:
    """What the answer to a HEAD makes of the stored answers that the same GET would have got (RFC 9111, 4.3.5)."""
    if status != 200:
        return ()
    fitting = [stored for stored in variants if matches(stored, request)]
    return tuple(
        [
            _renewed(stored, request, answer, head, times, rules)
            if confirmed_by_head(stored, answer, times.wall_s)
            else Renewal(stored, stored, _ANOTHER, dropped=True)
            for stored in fitting
        ]
    )


def _renewed(
    stored: StoredAnswer, request: Fields, answer: Fields, head: bytes, times: Times, rules: Rules
) -> Renewal:
    """The stored answer with new header fields, judged anew: a 304 may say that it is not to be kept any more."""
    whole = updated_head(stored, answer, head)
    fields = read_fields(whole.split(b"\r\n")[:-1])
    if b"date" not in answer:
        del fields[b"date"]  # the old one would make it look old
    governed = governing(fields, rules.targets)
    # What the request says of storing concerns this answer, not the one that is stored already (5.2.1.5).
    unasking = {name: value for name, value in request.items() if name != b"cache-control"}
    refusal = _why_not(b"GET", unasking, stored.status, fields, governed, shared=stored.shared)
    plan = _plan(request, stored.status, fields, whole, times, governed, shared=stored.shared, rules=rules)
    if not matches(stored, request):
        # It was stored for another request, whose other fields nobody noted.
        if plan.vary != stored.vary:
            refusal = refusal or _VARIES
        plan.vary, plan.selecting = stored.vary, stored.selecting
    dropped = refusal is not None
    if refusal is None and request_directives(request).no_store:
        refusal = REQUEST_NO_STORE
    return Renewal(stored, StoredAnswer(plan, stored.length), refusal, dropped)


def on_error(
    method: bytes,
    request: Fields,
    stored: StoredAnswer,
    status: int | None,
    now_ns: int,
    rules: Rules = DEFAULT_RULES,
) -> Decision:
    """What to do when the upstream fails while `stored` was being validated (RFC 5861, 4; RFC 9111, 4.2.4).

    `status` is what it answered, None when it did not. The decision is to serve the stored answer, to pass the
    answer on, or, without one, to answer 504.
    """
    asked = request_directives(request) if rules.obey_requests else NO_REQUEST_DIRECTIVES
    failed = status is None or status in ERRORS
    if failed and usable_on_error(asked, stored, now_ns):
        fresh = now_ns < stored.fresh_until_ns
        return Decision(
            SERVE_STALE,
            f"The upstream failed, and the stored answer {'is fresh' if fresh else 'says stale-if-error'}.",
            stored=stored,
            presentation=present(method, request, stored),
            forwarded=Forwarded.STALE,
        )
    if status is None:
        reason = "The upstream cannot be asked, and the stored answer may not be used unasked."
        return Decision(UNAVAILABLE, reason, stored=stored, forwarded=Forwarded.STALE)
    return Decision(FORWARD, "The upstream's answer is passed on.", forwarded=Forwarded.STALE)
