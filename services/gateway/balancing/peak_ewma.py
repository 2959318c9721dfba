"""The lower expected cost of two drawn at random: latency x requests in flight. Pure.

Finagle's `P2CPeakEwma`: the latency average jumps up to every peak and comes down slowly, so that one slow answer is
enough to look elsewhere.
"""

from collections.abc import Sequence
from random import Random
from typing import Final

from services.gateway.balancing.drawing import generator, two_of
from services.gateway.balancing.endpoint import Endpoint

UNKNOWN_COST: Final = 1e15
"""What a replica costs that is busy with its first requests and has answered none: more than any latency."""


class PeakEwma:
    """Draws two and takes the one whose latency x (requests in flight + 1) per weight is lower."""

    name = "peak_ewma"

    def __init__(self, rng: Random | None = None) -> None:
        self._rng = rng or generator()

    def choose(self, candidates: Sequence[Endpoint], now_ns: int, key: bytes = b"") -> Endpoint:
        """The cheaper one of two."""
        if len(candidates) == 1:
            return candidates[0]
        one, other = two_of(candidates, self._rng)
        return other if self.score(other, now_ns) < self.score(one, now_ns) else one

    def score(self, endpoint: Endpoint, now_ns: int) -> float:
        """Expected cost in nanoseconds; 0 for one that was never tried."""
        active = endpoint.active
        if endpoint.latency_ns == 0.0 and active:
            return UNKNOWN_COST + active
        return endpoint.latency(now_ns) * (active + 1) / endpoint.weight

    def reason(self, chosen: Endpoint, now_ns: int) -> str:
        """Why `chosen`."""
        latency_ms = chosen.latency(now_ns) / 1e6
        return (
            "of two drawn at random it was not the costlier one, with a peak latency of "
            f"{latency_ms:.3g} ms and {chosen.active} in flight"
        )
