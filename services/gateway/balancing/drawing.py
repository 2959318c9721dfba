"""Chance: one generator per policy, and two different candidates drawn with it."""

from collections.abc import Sequence
from random import Random

from services.gateway.balancing.endpoint import Endpoint


def generator(seed: int | None = None) -> Random:
    """A source of chance that a dry run can copy; seeded, it repeats itself."""
    return Random(seed)  # noqa: S311 (nobody gains by guessing where a request goes)


def two_of(candidates: Sequence[Endpoint], rng: Random) -> tuple[Endpoint, Endpoint]:
    """Two different ones in random order; there are at least two. Half the cost of `rng.sample`."""
    count = len(candidates)
    drawn = int(rng.random() * (count * (count - 1)))
    first, second = divmod(drawn, count - 1)
    return candidates[first], candidates[second if second < first else second + 1]
