"""Smooth weighted round robin, as nginx has it (Igor Sysoev, commit 52327e0627f4, 2012). Pure."""

from collections.abc import Sequence

from services.gateway.balancing.policy import Replica


class SmoothWeightedRoundRobin:
    """Spreads requests by weight without bursts: weights 5, 1, 1 give a a b a c a a, not a a a a a b c.

    Every candidate gains its weight; the richest is chosen and pays what all gained together. In each
    round of as many choices as the weights sum up to, each replica is chosen exactly `weight` times.
    """

    def __init__(self) -> None:
        self._credit: dict[Replica, int] = {}

    def choose(self, candidates: Sequence[Replica]) -> Replica:
        credit = self._credit
        if credit.keys() != set(candidates):
            # A replica that comes back starts level with the others instead of collecting arrears.
            credit = self._credit = {replica: credit.get(replica, 0) for replica in candidates}
        for replica in candidates:
            credit[replica] += replica.weight
        chosen = max(candidates, key=credit.__getitem__)
        credit[chosen] -= sum(replica.weight for replica in candidates)
        return chosen
