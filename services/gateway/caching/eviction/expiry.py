"""Which entries expire next, to the nearest eighth of their lifetime. Pure."""

from collections.abc import Hashable
from heapq import heappop, heappush
from typing import Final, Generic, TypeVar

T = TypeVar("T", bound=Hashable)

_FINEST: Final = 26
"""2**26 ns, 67 ms: nothing is told apart more finely."""
_PARTS: Final = 3


class ExpiryIndex(Generic[T]):
    """Things by when they expire, O(1) to add and to discard.

    Deadlines are rounded up to a power of two of at most an eighth of the lifetime, so that there are never more than
    some hundreds of them: a thing is told as expired at most that much too late, never too early.
    """

    def __init__(self) -> None:
        self._by_deadline: dict[int, dict[T, None]] = {}
        self._deadlines: list[int] = []

    def add(self, thing: T, expires_at_ns: int, now_ns: int) -> int:
        """Remember `thing`; returns the deadline that `discard` wants to know."""
        grain = max(_FINEST, (expires_at_ns - now_ns).bit_length() - 1 - _PARTS)
        deadline = -(-expires_at_ns >> grain) << grain
        things = self._by_deadline.get(deadline)
        if things is None:
            things = self._by_deadline[deadline] = {}
            heappush(self._deadlines, deadline)
        things[thing] = None
        return deadline

    def discard(self, thing: T, deadline: int) -> None:
        """Forget `thing`, which is remembered."""
        del self._by_deadline[deadline][thing]

    def pop_due(self, now_ns: int) -> T | None:
        """Something that has expired by now, which is forgotten with it; None when nothing has."""
        deadlines = self._deadlines
        while deadlines and deadlines[0] <= now_ns:
            things = self._by_deadline[deadlines[0]]
            if things:
                return things.popitem()[0]
            del self._by_deadline[heappop(deadlines)]
        return None
