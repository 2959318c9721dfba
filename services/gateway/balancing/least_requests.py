"""The fewest requests in flight of two drawn at random. Pure.

Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing" (2001); weights as Envoy's least request.
"""

from collections.abc import Sequence
from random import Random

from services.gateway.balancing.drawing import generator, two_of
from services.gateway.balancing.endpoint import Endpoint


class LeastRequests:
    """Equal weights: draws two and takes the less busy one. Differing weights: smooth weighted round robin in
    which each weighs `weight / (requests in flight + 1)`, as Envoy does with an `active_request_bias` of 1.
    """

    name = "least_requests"

    def __init__(self, rng: Random | None = None) -> None:
        self._rng = rng or generator()
        self._candidates: Sequence[Endpoint] = ()
        self._weighted = False
        self._credit: dict[Endpoint, float] = {}

    def choose(self, candidates: Sequence[Endpoint], now_ns: int, key: bytes = b"") -> Endpoint:
        """The less busy one of two, or by weights."""
        if candidates is not self._candidates:
            self._candidates = candidates
            self._weighted = len({one.weight for one in candidates}) > 1
            self._credit = {one: self._credit.get(one, 0.0) for one in candidates} if self._weighted else {}
        if self._weighted:
            return self._by_weight(candidates)
        if len(candidates) == 1:
            return candidates[0]
        one, other = two_of(candidates, self._rng)
        return other if other.active < one.active else one

    def _by_weight(self, candidates: Sequence[Endpoint]) -> Endpoint:
        credit = self._credit
        total = 0.0
        for one in candidates:
            weight = one.weight / (one.active + 1)
            total += weight
            credit[one] += weight
        chosen = max(candidates, key=credit.__getitem__)
        credit[chosen] -= total
        return chosen

    def score(self, endpoint: Endpoint, now_ns: int) -> float:
        """Requests in flight with the next one, per weight."""
        return (endpoint.active + 1) / endpoint.weight

    def reason(self, chosen: Endpoint, now_ns: int) -> str:
        """Why `chosen`."""
        if self._weighted:
            return f"weights differ, and it was its turn at weight {chosen.weight:.3g} with {chosen.active} in flight"
        return f"of two drawn at random it was not the busier one, with {chosen.active} in flight"
