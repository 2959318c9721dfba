"""Who is to be told of, when, and what comes of the answers. Pure: instants are nanoseconds of the limiter's clock."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from services.gateway.limits.rate_limiter import RateLimiter

MOST_AT_ONCE: Final = 256
"""Callers in one question, which takes up the server and us for about a millisecond each."""
MOST_IN_TURN: Final = 1024
"""Callers in one turn; who comes after them waits for the next one."""


@dataclass(frozen=True, slots=True)
class Spending:
    """What one worker has spent for some callers, in microseconds of growing tokens, within the last `lag_us` or so."""

    callers: Sequence[str]
    spent_us: Sequence[int]
    lag_us: int


class Reckoning:
    """One worker's. Each turn tells what callers have spent since they were told of last, the oldest first."""

    def __init__(self, limiter: RateLimiter, interval_ns: int) -> None:
        self._limiter = limiter
        self._interval_ns = interval_ns
        self._turned_ns: int | None = None
        self._waiting: dict[str, None] = {}

    @property
    def waiting(self) -> int:
        """How many callers have asked of whom nothing was told yet."""
        return len(self._waiting)

    def turn(self, now_ns: int) -> Iterator[Spending]:
        """What is to be told now. Each part counts as told when it is taken, whether or not it arrives."""
        self._waiting |= dict.fromkeys(self._limiter.asked())
        since_ns = self._turned_ns if self._turned_ns is not None else now_ns
        self._turned_ns = now_ns
        # It was spent since the last turn; the last one waits for some more, and one may pass until it is there.
        turns = 1 + len(self._waiting) // MOST_IN_TURN
        lag_us = (max(now_ns - since_ns, self._interval_ns) + turns * self._interval_ns) // 1000
        left = MOST_IN_TURN
        while left > 0 and self._waiting:
            callers = list(islice(self._waiting, min(left, MOST_AT_ONCE)))
            left -= len(callers)
            for caller in callers:
                del self._waiting[caller]
            spent = [(caller, us) for caller in callers if (us := self._limiter.tell_us(caller)) > 0]
            if spent:
                yield Spending([caller for caller, _ in spent], [us for _, us in spent], lag_us)

    def hear(self, told: Spending, owed_ns: Sequence[int], sent_ns: int) -> None:
        """What is owed by all that was told, as the answer to what was sent at `sent_ns` says.

        It was counted a little later than that, so that no bucket is believed to be emptier than it is.
        """
        for caller, owed in zip(told.callers, owed_ns, strict=True):
            if owed > 0:
                self._limiter.hear(caller, sent_ns + owed)

    def forget(self) -> int:
        """Nobody can be told: what was spent until now never will be, so that nobody pays for it later. Of how many."""
        self._waiting |= dict.fromkeys(self._limiter.asked())
        forgotten = sum(self._limiter.tell_us(caller) > 0 for caller in self._waiting)
        self._waiting.clear()
        self._turned_ns = None
        return forgotten
