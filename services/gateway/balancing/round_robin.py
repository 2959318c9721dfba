"""Round robin: everyone in turn. Pure."""

from collections.abc import Sequence

from services.gateway.balancing.endpoint import Endpoint


class RoundRobin:
    """Takes the candidates in turn, whatever they weigh and whatever runs on them."""

    name = "round_robin"

    def __init__(self) -> None:
        self._turn = -1

    def choose(self, candidates: Sequence[Endpoint], now_ns: int, key: bytes = b"") -> Endpoint:
        """The next one."""
        self._turn = turn = (self._turn + 1) % len(candidates)
        return candidates[turn]

    def score(self, endpoint: Endpoint, now_ns: int) -> float:
        """Nothing is compared."""
        return 0.0

    def reason(self, chosen: Endpoint, now_ns: int) -> str:
        """Why `chosen`."""
        return "it is its turn"
