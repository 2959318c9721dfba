"""Choosing by weight among what is there already."""

from bisect import bisect, bisect_right
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import accumulate
from random import Random
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")


def pick(items: Sequence[ItemT], rng: Random) -> ItemT:
    """One of the items, each as likely; `Random.choice` takes three times as long."""
    return items[int(rng.random() * len(items))]


class Weighted(Generic[ItemT]):
    """Items with weights; a choice takes logarithmic time. There must be at least one."""

    def __init__(self, items: Sequence[ItemT], weights: Sequence[float]) -> None:
        self._items = items
        self._cumulated = list(accumulate(weights))

    def pick(self, rng: Random, first: int | None = None) -> ItemT:
        """One of all, or of the `first` so many."""
        number = len(self._items) if first is None else first
        draw = rng.random() * self._cumulated[number - 1]
        return self._items[bisect(self._cumulated, draw, 0, number - 1)]


class Grown(Generic[ItemT]):
    """Weighted items in the order of their creation."""

    def __init__(
        self, items: Sequence[ItemT], weights: Sequence[float], created_at: Callable[[ItemT], datetime]
    ) -> None:
        self._weighted = Weighted(items, weights)
        self._instants = [created_at(item) for item in items]

    def pick(self, rng: Random, at: datetime) -> ItemT | None:
        """One of those that were there at that instant, if there were any."""
        number = bisect_right(self._instants, at)
        return self._weighted.pick(rng, number) if number else None
