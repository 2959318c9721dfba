"""What a cache tells: counters, traces and `explain` in the same words. Pure."""

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from services.gateway.caching.coherence import EVERYONE
from services.gateway.caching.http.keys import read_key
from services.gateway.caching.http.outcomes import (
    SERVE,
    SERVE_STALE_AND_REVALIDATE,
    UNAVAILABLE,
    Decision,
    Forwarded,
)
from services.gateway.caching.resource import Resource
from services.gateway.caching.store import Entry
from shared.telemetry.redaction import plain_url

if TYPE_CHECKING:
    from services.gateway.exchange import Exchange

# What became of a request.
HIT: Final = "hit"
MISS: Final = "miss"
STALE: Final = "stale"
COLLAPSED: Final = "collapsed"
BYPASS: Final = "bypass"
SHARED: Final = "shared"
OUTCOMES: Final = (HIT, MISS, STALE, COLLAPSED, BYPASS, SHARED)
_OUTCOMES_FORWARDED: Final[dict[Forwarded | None, str]] = {
    Forwarded.STALE: STALE,
    Forwarded.BYPASS: BYPASS,
    Forwarded.REQUEST: BYPASS,
}

# Why, where `caching.http` does not say it.
HAS_BODY: Final = "The request has a body or an upgrade, which no key holds."
OTHER_METHOD: Final = "Only GET and HEAD are answered from the cache."
WAITED: Final = "Another request fetched the same."
FOUND_BEYOND: Final = "The second level had it."
NOT_CURRENT: Final = (
    "Nothing stored is used at the moment: it is not certain that all changes at the upstream are known here."
)
CHANGED: Final = "Something that the stored answer shows was changed since."
NOBODY: Final = "Who asks decides what may be answered: give a key to try."
_WOULD_WAIT: Final = "Another request fetches the same: this one would wait for it."
_WOULD_LOOK_BEYOND: Final = " The second level would be asked before."
_NOT_STORED_LAST: Final = " Its last answer could not be stored."


def outcome_of(forwarded: Forwarded | None) -> str:
    """What becomes of a request that goes forward for this reason."""
    return _OUTCOMES_FORWARDED.get(forwarded, MISS)


def note(exchange: "Exchange", outcome: str, reason: str, now_ns: int) -> None:
    """For the request's trace."""
    exchange._decided(("cache", now_ns, {"crm.cache.outcome": outcome, "crm.cache.reason": reason}))


def note_renewal(aside: "Exchange", beside: "Exchange", now_ns: int) -> None:
    """For the trace of a request that nobody waits for: whose made it, which was answered already."""
    aside._decided(
        (
            "cache",
            now_ns,
            {
                "crm.cache.outcome": "renewal",
                "crm.cache.reason": "What another request was answered with is validated beside it.",
                "crm.cache.beside.request_id": beside.request_id.decode("ascii"),
                "crm.cache.beside.trace_id": beside.trace.trace_id.decode("ascii"),
            },
        )
    )


def expected(
    decision: Decision, doubt: str, *, would_wait: bool, would_look: bool, unstorable: bool
) -> dict[str, str]:
    """What would become of a request, as JSON. `doubt` is why what is stored may not be used, if it may not;
    `would_look` tells that the second level would be asked, `unstorable` that its last answer could not be stored."""
    if decision.action in {SERVE, SERVE_STALE_AND_REVALIDATE}:
        return {"outcome": HIT, "reason": decision.reason}
    if decision.action is UNAVAILABLE:
        return {"outcome": "unavailable", "reason": decision.reason}
    if would_wait:
        return {"outcome": COLLAPSED, "reason": _WOULD_WAIT}
    reason = doubt or decision.reason
    return {
        "outcome": outcome_of(decision.forwarded),
        "reason": reason + _WOULD_LOOK_BEYOND * would_look + _NOT_STORED_LAST * unstorable,
    }


def shown(entry: Entry[Resource], now_ns: int) -> dict[str, Any]:
    """An entry as JSON: of identities nothing but the tenant."""
    key, resource = read_key(entry.key), entry.value
    latest = resource.variants[0]
    return {
        "tenant_id": None if key.tenant == EVERYONE else str(UUID(key.tenant.decode("ascii"))),
        "url": plain_url(key.url.decode("latin-1")),
        "visibility": key.visibility.value,
        "hits": entry.hits,
        "bytes": entry.size,
        "variants": len(resource.variants),
        "age_s": latest.age_s(now_ns),
        "ttl_s": latest.ttl_s(now_ns),
        "tags": sorted({tag.decode("latin-1") for body in resource.bodies.values() for tag in body.tags}),
    }
