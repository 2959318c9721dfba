"""The buckets of all callers, which all workers of a gateway take from.

A bucket is the instant at which it is full again (`token_bucket`). No worker writes another's numbers, so that it is
put together: each has a base in nanoseconds of the shared monotonic clock, the latest of which holds, and what it has
spent so far, in nanoseconds as well, which is added up. Taking a token adds to what one has spent; where the bucket was
full already, one's base is first set to what makes it full now. So no token is lost, whichever workers take one at
the same instant: at most as many as there are other workers are given too many, and are owed.

Gateways on several machines share in the same way: what the others have spent is added to what one worker of ours has
(`hear`). For that the limiter remembers who has asked of late, at the cost of their first question each (`asked`), and
what of their spending it has told (`tell_us`).
"""

import time
from collections.abc import Callable

from services.gateway.limits.shared import CALLER_SLOTS
from services.gateway.limits.shared_table import SLOT_WORDS, SharedTable
from services.gateway.limits.token_bucket import Allowance, Rate, take
from shared.problems import Problem

_MOST_REMEMBERED = 100_000
_MOST_SAID = 4_096
_BITS = 32
_SECOND_NS = 1_000_000_000
_MICROSECOND_NS = 1_000


class _Bucket:
    """Where a caller's numbers are, our own two of them, and what of `spent` all gateways know: `told`."""

    __slots__ = ("at", "base", "mark", "slot", "spent", "told")

    def __init__(self, slot: int, mark: int, base: int, spent: int) -> None:
        self.slot = slot
        self.mark = mark
        self.at = slot * SLOT_WORDS
        self.base = base
        self.spent = self.told = spent


class RateLimiter:
    """One bucket per caller, in a bounded table: of many that are not full the fullest is forgotten first.

    With another rate, another limiter on the same `table` goes on with the same buckets, and its predecessor may not be
    used any more. Whose bucket cannot be had at once (`table.uncounted`) is let through.
    """

    def __init__(
        self, rate: Rate, table: SharedTable | None = None, clock_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._rate = rate
        self._token_ns = rate.token_ns
        self._full_ns = rate.full_ns
        self._table = table or SharedTable.private(CALLER_SLOTS)
        self._clock_ns = clock_ns
        self._buckets: dict[str, _Bucket] = {}  # of those who asked since somebody wanted to know who did
        self._known: dict[str, _Bucket] = {}  # of those who had asked before
        # The two fields of draft-ietf-httpapi-ratelimit-headers: the policy, and what is left of it.
        policy = b'ratelimit-policy: "default";q=%d;w=%d' % (rate.burst, rate.window_s)
        self._lines = policy.replace(b"%", b"%%") + b'\r\nratelimit: "default";r=%d;t=%d\r\n'
        self._said: dict[int, Allowance] = {}

    def take(self, caller: str) -> Allowance:
        """Count one request of `caller`. The answer is `token_bucket.take`'s."""
        # First the clock: whatever is read of others later is then never older than what it is compared with.
        now = self._clock_ns()
        table = self._table
        bucket = self._buckets.get(caller)
        if bucket is None or table.marks[bucket.slot] != bucket.mark:
            bucket = self._meet(caller, now)
            if bucket is None:
                return take(now, now, self._rate)[1]
        at, base, spent = bucket.at, bucket.base, bucket.spent
        for words, first in table.others:
            place = first + at
            other = words[place]
            if other > base:  # noqa: PLR1730 - max() costs 60 ns, per worker and request
                base = other
            spent += words[place + 1]
        owed_ns = base + spent - now
        if owed_ns < 0:  # noqa: PLR1730 - as above
            owed_ns = 0
        owed_ns += self._token_ns
        own, first = table.own
        if owed_ns > self._full_ns:
            return take(base + spent, now, self._rate)[1]
        if base + spent < now:
            own[first + at] = bucket.base = now - spent
        own[first + at + 1] = bucket.spent = bucket.spent + self._token_ns
        return self._allowed(owed_ns)

    def _allowed(self, owed_ns: int) -> Allowance:
        """What those are told whose bucket takes so long to be full now: most often the same as someone before.

        Remembered, it costs 0.1 us instead of 0.55 to say it and to put it into words.
        """
        remaining = (self._full_ns - owed_ns) // self._token_ns
        full_in_s = -(-owed_ns // _SECOND_NS)
        said = remaining << _BITS | full_in_s
        allowance = self._said.get(said)
        if allowance is None:
            if len(self._said) >= _MOST_SAID:
                self._said.clear()
            allowance = self._said[said] = Allowance(True, remaining, full_in_s, 0)
        return allowance

    def _forgive(self, bucket: _Bucket, owed_ns: int) -> None:
        """What was emptied at another rate may owe more than can be owed at this one: then it is empty, and no more.

        Only when it is met: later it may owe what was given to it by several gateways at once.
        """
        if owed_ns > self._full_ns + len(self._table.others) * self._token_ns:
            own, first = self._table.own
            own[first + bucket.at + 1] = bucket.spent = bucket.told = bucket.spent - (owed_ns - self._full_ns)

    def peek(self, caller: str) -> Allowance:
        """What `take` would say now. Counts nothing."""
        now = self._clock_ns()
        slot = self._table.find(caller)
        return take(now if slot < 0 else self._full_at(slot), now, self._rate)[1]

    def lines(self, allowance: Allowance) -> bytes:
        """The header lines that tell the caller."""
        if not allowance.lines:
            allowance.lines = self._lines % (allowance.remaining, allowance.full_in_s)
        return allowance.lines

    # For whoever keeps several gateways in step

    def asked(self) -> list[str]:
        """Who has asked since this was asked last."""
        asked, self._buckets = self._buckets, {}
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        self._known.update(asked)
        return list(asked)

    def tell_us(self, caller: str) -> int:
        """What this worker has spent for who has asked, and not told yet, in whole microseconds. Now it is told."""
        bucket = self._known.get(caller)
        if bucket is None:
            return 0
        untold_us = (bucket.spent - bucket.told) // _MICROSECOND_NS
        bucket.told += untold_us * _MICROSECOND_NS
        return untold_us

    def hear(self, caller: str, full_at_ns: int) -> None:
        """By all that was told the caller's bucket is full at this instant: what is missing here others have spent.

        It is never fuller than we knew. What the other workers here have not told yet hides as much of the others'
        spending, until they tell it and hear of it in turn.
        """
        bucket = self._known.get(caller)
        if bucket is None or self._table.marks[bucket.slot] != bucket.mark:
            return
        missing_ns = full_at_ns + bucket.spent - bucket.told - self._full_at(bucket.slot)
        if missing_ns > 0:
            own, first = self._table.own
            bucket.told += missing_ns
            own[first + bucket.at + 1] = bucket.spent = bucket.spent + missing_ns

    def _full_at(self, slot: int) -> int:
        at = slot * SLOT_WORDS
        rows = (self._table.own, *self._table.others)
        bases = (words[first + at] for words, first in rows)
        return max(bases) + sum(words[first + at + 1] for words, first in rows)

    def _meet(self, caller: str, now: int) -> _Bucket | None:
        """A caller who has not asked of late, or whose slot was given away."""
        bucket = self._known.get(caller)
        if bucket is None or self._table.marks[bucket.slot] != bucket.mark:
            bucket = self._claim(caller, now)
            if bucket is None:
                return None
        if len(self._buckets) >= _MOST_REMEMBERED:
            self._buckets.clear()
        self._buckets[caller] = bucket
        return bucket

    def _claim(self, caller: str, now: int) -> _Bucket | None:
        """The bucket of a caller whom this worker does not know. One that is full says nothing and makes room."""
        table = self._table
        own, first = table.own

        def weight(slot: int) -> int:
            return self._full_at(slot) - now

        def fill(slot: int) -> None:
            own[first + slot * SLOT_WORDS + 1] -= weight(slot)

        slot = table.claim(caller, weight, fill)
        if slot < 0:
            return None
        at = first + slot * SLOT_WORDS
        bucket = _Bucket(slot, table.marks[slot], own[at], own[at + 1])
        self._forgive(bucket, weight(slot))
        return bucket


def too_many_requests(allowance: Allowance) -> Problem:
    """429, saying when to come back."""
    return Problem(
        429,
        "rate_limited",
        "Too many requests",
        "The rate limit of this key or address is used up.",
        headers={"Retry-After": str(allowance.retry_after_s)},
    )
