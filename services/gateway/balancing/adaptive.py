"""The default: the fewest requests in flight, corrected by how fast each replica gets through them. Pure."""

from collections.abc import Sequence
from random import Random
from typing import Final

from services.gateway.balancing.drawing import generator
from services.gateway.balancing.endpoint import Endpoint

POOL: Final = 16


class Adaptive:
    """Looks at up to 16 candidates and takes the one with the shortest expected delay."""

    name = "adaptive"

    def __init__(self, rng: Random | None = None) -> None:
        self._rng = rng or generator()

    def choose(self, candidates: Sequence[Endpoint], now_ns: int, key: bytes = b"") -> Endpoint:
        """The one with the lowest score of at most 16."""
        count = len(candidates)
        start = int(self._rng.random() * count)
        least = float("inf")
        chosen = candidates[start]
        for step in range(min(count, POOL)):
            one = candidates[start + step - count]
            score = (one.active + one.others + 1.0) * one.pace_ns / one.weight
            if score < least:
                least, chosen = score, one
        return chosen

    def score(self, endpoint: Endpoint, now_ns: int) -> float:
        """Expected delay in nanoseconds, per weight."""
        return (endpoint.active + endpoint.others + 1.0) * endpoint.pace_ns / endpoint.weight

    def reason(self, chosen: Endpoint, now_ns: int) -> str:
        """Why `chosen`."""
        return f"its expected delay is the shortest, {self.score(chosen, now_ns) / 1e6:.3g} ms"

    def wanted_probes(self, now_ns: int) -> Sequence[Endpoint]:
        """Whom to ask for its load now."""
        return ()

    def report(self, endpoint: Endpoint, rif: float, latency_ns: int, now_ns: int) -> None:
        """A probe's answer: requests in flight as the server counts them, and the probe's own latency."""
