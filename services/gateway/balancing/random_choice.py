"""Random choice: no state, no herd. Pure."""

from collections.abc import Sequence
from random import Random

from services.gateway.balancing.drawing import generator
from services.gateway.balancing.endpoint import Endpoint


class RandomChoice:
    """Draws one, each with the same chance."""

    name = "random"

    def __init__(self, rng: Random | None = None) -> None:
        self._rng = rng or generator()

    def choose(self, candidates: Sequence[Endpoint], now_ns: int, key: bytes = b"") -> Endpoint:
        """Any one."""
        return candidates[int(self._rng.random() * len(candidates))]

    def score(self, endpoint: Endpoint, now_ns: int) -> float:
        """Nothing is compared."""
        return 0.0

    def reason(self, chosen: Endpoint, now_ns: int) -> str:
        """Why `chosen`."""
        return "it was drawn at random"
