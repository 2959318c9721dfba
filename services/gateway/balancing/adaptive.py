"""The default: requests in flight, weighed by how fast each replica gets through them. Pure.

From Prequal (Wydrowski et al., "Load is not what you should balance", NSDI '24) it has the two signals,
requests in flight as the server counts them and latency, taken from what answers tell, and the pool of 16.
Its hot/cold rule and its probes measured worse than this in the simulator: see docs/adr/0009.
"""

from collections.abc import Sequence
from math import exp, pow
from random import Random
from typing import Final

from services.gateway.balancing.drawing import generator
from services.gateway.balancing.endpoint import DECAY_NS, OTHERS_SHARE, Endpoint

POOL: Final = 16
"""How many candidates a choice looks at."""
RENEW_NS: Final = 20_000_000
STALE_NS: Final = 1_000_000_000
"""Older reports of others' requests count for nothing (Prequal discards probes of this age), else a replica that
was busy once would be avoided, and so never tell that it no longer is."""
_TRUST: Final = 0.75
_FAILURE_COST: Final = 20.0
_TIE_BREAK: Final = 1e-3
_INFINITE: Final = float("inf")


class Adaptive:
    """Of up to 16 candidates the one with the least (requests in flight + 1) x cost.

    Requests in flight are ours, plus a quarter of the others' that the replica reported within a second. The cost is
    (pace / pace of the fastest) ^ 0.75: pace, the latency per request in flight, is what a replica that
    is twice as slow has twice as much of, however busy it is; the exponent trusts large differences and
    discounts the noise of small ones, so that equal replicas are balanced by requests in flight alone.
    A replica that always fails while another does not is 21 times costlier, one that refuses a tenth hardly.
    Without news a cost returns to 1 within some ten seconds, so that a replica that was slow is tried again.
    Costs are renewed every 20 ms.
    """

    name = "adaptive"

    def __init__(self, rng: Random | None = None) -> None:
        self._rng = rng or generator()
        self._candidates: Sequence[Endpoint] = ()
        self._renew_at_ns = 0
        # Candidates, costs, and what a request of others counts. The first 15 come once more at the end: any 16
        # in a row are a slice.
        self._ring: tuple[tuple[Endpoint, float, float], ...] = ()

    def choose(self, candidates: Sequence[Endpoint], now_ns: int, key: bytes = b"") -> Endpoint:
        """The one with the lowest score."""
        if candidates is not self._candidates or now_ns >= self._renew_at_ns:
            self._renew(candidates, now_ns)
        ring = self._ring
        count = len(candidates)
        if count > POOL:
            start = int(self._rng.random() * count)
            ring = ring[start : start + POOL]
        least = _INFINITE
        chosen = candidates[0]
        for one, cost, share in ring:
            score = (one.active + share * one.others + 1.0) * cost
            if score < least:
                least, chosen = score, one
        return chosen

    def _renew(self, candidates: Sequence[Endpoint], now_ns: int) -> None:
        """Ties are broken by chance here and not in every choice."""
        self._candidates = candidates
        self._renew_at_ns = now_ns + RENEW_NS
        best = _best(candidates)
        ring = tuple(
            (
                one,
                _cost(one, best, now_ns) * (1.0 + _TIE_BREAK * self._rng.random()),
                _share(one, now_ns),
            )
            for one in candidates
        )
        self._ring = ring + ring[: POOL - 1] if len(ring) > POOL else ring

    def score(self, endpoint: Endpoint, now_ns: int) -> float:
        """Requests in flight and the next one, multiplied by the cost."""
        load = endpoint.active + _share(endpoint, now_ns) * endpoint.others + 1.0
        return load * _cost(endpoint, _best(self._candidates), now_ns)

    def reason(self, chosen: Endpoint, now_ns: int) -> str:
        """Why `chosen`."""
        cost = _cost(chosen, _best(self._candidates), now_ns)
        return (
            f"with {chosen.active} of our requests in flight and {chosen.others:.3g} of others, at {cost:.3g} times "
            "the cost of the fastest, it will answer soonest of those looked at"
        )


def _share(endpoint: Endpoint, now_ns: int) -> float:
    """What a reported request of others counts beside one of ours."""
    return OTHERS_SHARE if now_ns - endpoint.report_at_ns < STALE_NS else 0.0


def _best(candidates: Sequence[Endpoint]) -> tuple[float, float]:
    """What a replica is measured by: the least pace that is known, in nanoseconds, and the least share of failures.

    Under overload all refuse some requests: what the best one cannot avoid is no one's fault.
    """
    return (
        min((one.pace_ns for one in candidates if one.pace_ns), default=1.0),
        min((one.failure_share for one in candidates), default=0.0),
    )


def _cost(endpoint: Endpoint, best: tuple[float, float], now_ns: int) -> float:
    fastest_ns, least_failing = best
    fresh = exp((endpoint.ended_at_ns - now_ns) / DECAY_NS)
    slower = 1.0 + max(0.0, endpoint.pace_ns / fastest_ns - 1.0) * fresh
    failing = max(0.0, endpoint.failure_share - least_failing) * fresh
    return pow(slower, _TRUST) * (1.0 + _FAILURE_COST * failing**2) / endpoint.weight
