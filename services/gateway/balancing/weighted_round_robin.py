"""Smooth weighted round robin over live weights and reported load. Pure.

Smooth: nginx's algorithm (Igor Sysoev, commit 52327e0627f4, 2012). Load: the weights of gRPC's and Envoy's
client-side weighted round robin (gRFC A58), requests per second / utilisation: what a full replica could serve.
"""

from collections.abc import Sequence
from statistics import median
from typing import Final

from services.gateway.balancing.endpoint import Endpoint

REWEIGH_NS: Final = 1_000_000_000
STALE_NS: Final = 10_000_000_000
_NEWS: Final = 0.25
_ALIKE: Final = 0.25
_ERROR_PENALTY: Final = 1.0
_LEAST_FACTOR: Final = 0.1
_LARGEST_FACTOR: Final = 10.0


class WeightedRoundRobin:
    """Spreads requests by weight without bursts: weights 5, 1, 1 give a a b a c a a, not a a a a a b c.

    Every candidate gains its weight; the richest is chosen and pays what all gained together. In each
    round of as many choices as the weights sum up to, each is chosen exactly `weight` times. A weight is
    configured weight x live weight x slow start x load factor; the last is renewed once a second, and 1
    for everyone until reports come in.
    """

    name = "weighted_round_robin"

    def __init__(self) -> None:
        self._credit: dict[Endpoint, float] = {}
        self._factor: dict[Endpoint, float] = {}
        self._smoothed: dict[Endpoint, float] = {}
        self._candidates: Sequence[Endpoint] = ()
        self._reweigh_at_ns = 0

    def choose(self, candidates: Sequence[Endpoint], now_ns: int, key: bytes = b"") -> Endpoint:
        """The one with the most credit."""
        credit = self._credit
        if candidates is not self._candidates:
            self._candidates = candidates
            if credit.keys() != set(candidates):
                # One that comes back starts level with the others instead of collecting arrears.
                credit = self._credit = {one: credit.get(one, 0.0) for one in candidates}
                self._factor = {one: self._factor.get(one, 1.0) for one in candidates}
        if now_ns >= self._reweigh_at_ns:
            self._reweigh_at_ns = now_ns + REWEIGH_NS
            self._learn(candidates, now_ns)
        factor = self._factor
        total = 0.0
        most = float("-inf")
        chosen = candidates[0]
        for one in candidates:
            weight = one.weight * factor[one]
            total += weight
            credit[one] = rich = credit[one] + weight
            if rich > most:
                most, chosen = rich, one
        credit[chosen] = most - total
        return chosen

    def _learn(self, candidates: Sequence[Endpoint], now_ns: int) -> None:
        """A first report counts at once, later ones a quarter each; about average is average.

        A replica's figures of half a second are off by some 15 %. At 90 % of a fleet's capacity weights that
        wander as much are worse than none: p99 156 ms against 97 in the simulator.
        """
        for one, factor in load_factors(candidates, now_ns).items():
            known = self._smoothed.get(one, factor)
            self._smoothed[one] = smoothed = known + (factor - known) * _NEWS
            self._factor[one] = 1.0 if abs(smoothed - 1.0) < _ALIKE else smoothed
        self._smoothed = {one: self._smoothed[one] for one in candidates if one.report is not None}

    def score(self, endpoint: Endpoint, now_ns: int) -> float:
        """The credit after the next gain, negated: the richest is preferred."""
        return -(self._credit.get(endpoint, 0.0) + endpoint.weight * self._factor.get(endpoint, 1.0))

    def reason(self, chosen: Endpoint, now_ns: int) -> str:
        """Why `chosen`."""
        factor = self._factor.get(chosen, 1.0)
        return (
            f"it had the most credit at a weight of {chosen.weight * factor:.3g} (load factor {factor:.3g})"
        )


def load_factors(candidates: Sequence[Endpoint], now_ns: int) -> dict[Endpoint, float]:
    """By what reported load multiplies each weight: capacity per unit of weight, relative to the median.

    A replica without a fresh report counts as the median. Factors stay within 0.1 and 10, so that no reading
    of a moment shuts anyone out.
    """
    relative = {
        one: capacity / one.replica.weight for one in candidates if (capacity := _capacity(one, now_ns))
    }
    middle = median(relative.values()) if relative else 1.0
    return {
        one: min(max(relative.get(one, middle) / middle, _LEAST_FACTOR), _LARGEST_FACTOR)
        for one in candidates
    }


def _capacity(endpoint: Endpoint, now_ns: int) -> float:
    """Requests per second at full utilisation as gRFC A58 estimates them; 0 when there is nothing to go by."""
    report = endpoint.report
    if report is None or now_ns - endpoint.report_at_ns > STALE_NS or report.rps_fractional <= 0.0:
        return 0.0
    used = report.application_utilization or report.cpu_utilization
    used += _ERROR_PENALTY * report.eps / report.rps_fractional
    return report.rps_fractional / used if used > 0.0 else 0.0
