"""How long an answer is fresh, how old it is, and how stale it may be used (RFC 9111, 4.2; RFC 5861). Pure."""

from typing import Final, NamedTuple

from services.gateway.caching.http.dates import parse_date
from services.gateway.caching.http.directives import AnswerDirectives, RequestDirectives, parse_age
from services.gateway.caching.http.fields import Fields

SECOND_NS: Final = 1_000_000_000

# RFC 9110, 15.1. 206 is among them, but no part of anything is stored here.
HEURISTIC_STATUSES: Final = frozenset({200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501})
_HEURISTIC_SHARE: Final = 10  # a tenth of the time since the last change (RFC 9111, 4.2.2)
LONGEST_HEURISTIC_S: Final = 86_400


class Times(NamedTuple):
    """When an answer was asked for and came.

    `wall_s` is when it came as seconds since the epoch, to compare with dates in its fields.
    """

    requested_ns: int
    received_ns: int
    wall_s: int


class Freshness(NamedTuple):
    """`lifetime_s` is how long an answer is fresh; `source` says by what, for people to read."""

    lifetime_s: int
    source: str
    explicit: bool


def freshness(
    directives: AnswerDirectives,
    fields: Fields,
    status: int,
    *,
    wall_s: int,
    shared: bool,
    targeted: bool = False,
    heuristics: bool = True,
) -> Freshness:
    """The first that applies of `s-maxage` (a shared cache's), `max-age`, `Expires` and a heuristic (4.2.1).

    `targeted` says that a targeted field governs: then `Expires` counts for nothing (RFC 9213, 2.2).
    """
    if shared and directives.s_maxage is not None:
        return Freshness(directives.s_maxage, "s-maxage", explicit=True)
    if directives.max_age is not None:
        return Freshness(directives.max_age, "max-age", explicit=True)
    date_s = date_of(fields, wall_s)
    if b"expires" in fields and not targeted:
        # An invalid date is in the past (5.3), and so are two dates.
        expires_s = parse_date(fields[b"expires"], wall_s)
        lifetime_s = 0 if expires_s is None else max(0, expires_s - date_s)
        return Freshness(lifetime_s, "Expires", explicit=True)
    if heuristics and (status in HEURISTIC_STATUSES or directives.public):
        return Freshness(
            _heuristic(fields, date_s, wall_s), "a tenth of its age when it came", explicit=False
        )
    return Freshness(0, "nothing", explicit=False)


def _heuristic(fields: Fields, date_s: int, wall_s: int) -> int:
    """RFC 9111, 4.2.2: 10 % of the time since the last change, a day at most; 0 without `Last-Modified`."""
    modified_s = parse_date(fields.get(b"last-modified", b""), wall_s)
    if modified_s is None:
        return 0
    return min(LONGEST_HEURISTIC_S, max(0, date_s - modified_s) // _HEURISTIC_SHARE)


def date_of(fields: Fields, wall_s: int) -> int:
    """`Date` as seconds since the epoch; the time of arrival where it is missing or invalid (RFC 9110, 6.6.1)."""
    date_s = parse_date(fields.get(b"date", b""), wall_s)
    return wall_s if date_s is None else date_s


def initial_age_ns(fields: Fields, times: Times) -> int:
    """`corrected_initial_age` (4.2.3): the greater of what clocks and what `Age` and the delay tell."""
    apparent_ns = max(0, times.wall_s - date_of(fields, times.wall_s)) * SECOND_NS
    delay_ns = max(0, times.received_ns - times.requested_ns)
    return max(apparent_ns, parse_age(fields.get(b"age")) * SECOND_NS + delay_ns)


def forbids_stale(directives: AnswerDirectives, *, shared: bool) -> bool:
    """Whether the answer must not be used once stale, come what may (4.2.4; 5.2.2.2, 5.2.2.4, 5.2.2.8, 5.2.2.10)."""
    if directives.must_revalidate or directives.no_cache:
        return True
    return shared and (directives.proxy_revalidate or directives.s_maxage is not None)


def satisfies(asked: RequestDirectives, age_ns: int, lifetime_ns: int, *, may_be_stale: bool) -> bool:
    """Whether an answer of this age suits what the request asks of freshness (5.2.1.1 to 5.2.1.4).

    `may_be_stale` says that the answer does not forbid what `max-stale` asks for.
    """
    if asked.no_cache or (asked.max_age is not None and age_ns > asked.max_age * SECOND_NS):
        return False
    left_ns = lifetime_ns - age_ns
    if left_ns > 0 and left_ns >= asked.min_fresh * SECOND_NS:
        return True
    if asked.max_stale is None or not may_be_stale or asked.min_fresh:
        return False
    return -left_ns <= asked.max_stale * SECOND_NS
