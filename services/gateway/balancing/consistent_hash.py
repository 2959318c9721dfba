"""Consistent hashing with bounded loads: the same key goes to the same replica, unless that one is too busy. Pure.

Karger et al. (1997) for the ring; Mirrokni, Thorup, Zadimoghaddam, "Consistent Hashing with Bounded Loads"
(2017) for the bound.
"""

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from math import ceil
from typing import Final

from services.gateway.balancing.endpoint import Endpoint

POINTS: Final = 128
"""Points on the ring of the member with the smallest weight: shares are within about 10 % of the ideal."""
_MOST_POINTS: Final = 4096
_FORGET_ABOVE: Final = 4


class ConsistentHash:
    """A ring of hashed addresses; a key belongs to the first candidate after its hash that is not full.

    Full is who has ⌈(1 + `slack`) x its share of all requests in flight⌉, the next one counted. The ring is
    the same in every gateway and after every restart. It holds everyone who was a candidate lately: whoever
    is away for a while is passed over, and its keys come home when it does.
    """

    name = "consistent_hash"

    def __init__(self, slack: float = 0.25) -> None:
        self._slack = slack
        self._candidates: Sequence[Endpoint] = ()
        self._present: frozenset[Endpoint] = frozenset()
        self._members: dict[Endpoint, int] = {}
        self._total_weight = 0.0
        self._points: list[int] = []
        self._owners: list[Endpoint] = []

    def choose(self, candidates: Sequence[Endpoint], now_ns: int, key: bytes = b"") -> Endpoint:
        """The key's owner, or the next one on the ring that is not full."""
        if candidates is not self._candidates:
            self._learn(candidates)
        allowed = self._allowed()
        owners, present = self._owners, self._present
        count = len(owners)
        start = bisect_right(self._points, hash_of(key))
        for step in range(count):
            owner = owners[(start + step) % count]
            if owner in present and owner.active < ceil(allowed * owner.weight):
                return owner
        raise AssertionError("with every candidate full the bound would be below the load")

    def _allowed(self) -> float:
        """How many requests in flight one unit of weight may have, the next request counted."""
        active = 1
        for one in self._candidates:
            active += one.active
        return (1.0 + self._slack) * active / self._total_weight

    def _learn(self, candidates: Sequence[Endpoint]) -> None:
        self._candidates = candidates
        self._present = frozenset(candidates)
        self._total_weight = sum(one.weight for one in candidates)
        weights = {one: one.replica.weight for one in candidates}
        if weights.items() <= self._members.items():
            return
        crowded = len(self._members) > _FORGET_ABOVE * len(candidates)
        self._members = weights if crowded else self._members | weights
        smallest = min(self._members.values())
        points = sorted(
            (point, member.replica.address, member)
            for member, weight in self._members.items()
            for point in _points_of(member.replica.address, min(POINTS * weight // smallest, _MOST_POINTS))
        )
        self._points = [point for point, _, _ in points]
        self._owners = [owner for _, _, owner in points]

    def score(self, endpoint: Endpoint, now_ns: int) -> float:
        """How full: requests in flight as a share of the bound, from 1 on it is passed over."""
        return endpoint.active / ceil(self._allowed() * endpoint.weight)

    def reason(self, chosen: Endpoint, now_ns: int) -> str:
        """Why `chosen`."""
        bound = ceil(self._allowed() * chosen.weight)
        return (
            "it is the first after the key's hash on the ring below its bound "
            f"({chosen.active} of {bound} in flight)"
        )


@lru_cache(maxsize=1024)
def _points_of(address: str, count: int) -> tuple[int, ...]:
    """Hashing is what a new ring takes longest for, and a ring is made anew for every change of its members."""
    return tuple(hash_of(b"%d %s" % (number, address.encode())) for number in range(count))


def hash_of(data: bytes) -> int:
    """64 bits that are the same in every process."""
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")
