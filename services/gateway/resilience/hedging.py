"""When to send an idempotent request a second time, to another replica, before the first answers. Pure.

A hedge sent at the 95th percentile of the latency cuts the tail at the price of 5 % more requests (Dean and
Barroso, "The Tail at Scale", https://cacm.acm.org/research/the-tail-at-scale/). That holds while slowness is one
replica's bad luck. When the whole upstream is slow, hedges make it slower: hence the hard budget, the pause
while the upstream is saturated, and a percentile that forgets.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from services.gateway.resilience.retry_budget import AttemptBudget, BudgetRule

_SECOND_NS: Final = 1_000_000_000
_STEPS: Final = 8  # buckets per doubling: a bucket is at most 12.5 % wide
_BUCKETS: Final = 48 * _STEPS  # up to 39 hours
_WEIGHT: Final = 1 << 10  # of the first answer
_HEAVIEST: Final = 1 << 40


@dataclass(frozen=True, slots=True)
class HedgingRule:
    """When requests to an upstream (or of a route) are hedged."""

    percentile: float = 95.0  # a request slower than so many in a hundred is sent again
    min_delay_s: float = 0.005  # but never before this
    max_hedges_percent: int = 5  # of the requests of the last `budget_window_s`
    budget_window_s: float = 5.0
    min_samples: int = 100  # answers remembered; with fewer, nothing is hedged
    half_life_s: float = 30.0  # an answer so old counts half
    refresh_s: float = 0.25  # how often the percentile is worked out anew


class LatencyHistogram:
    """Latencies in logarithmic buckets, older ones counting less.

    Rather than shrinking the old counts, each new answer weighs more (forward decay: Cormode and others, ICDE
    2009): one addition per answer, in integers.
    """

    __slots__ = ("_began", "_counts", "_half_life_ns", "_weight")

    def __init__(self, half_life_s: float, now: int) -> None:
        self._half_life_ns = int(half_life_s * _SECOND_NS)
        self._began = now
        self._weight = _WEIGHT
        self._counts = [0] * _BUCKETS

    def add(self, latency_ns: int) -> None:
        """Remember an answer, with the weight of the last `age`."""
        # The position of the highest bit counts the doublings, the three bits below it the steps within.
        latency = latency_ns | _STEPS
        exponent = latency.bit_length() - 4
        index = (exponent << 3) + (latency >> exponent) - _STEPS
        self._counts[index if index < _BUCKETS else -1] += self._weight

    def age(self, now: int) -> None:
        """Let what was added so far fade until `now`. To be called now and then."""
        self._weight = int(_WEIGHT * 2.0 ** min(100.0, (now - self._began) / self._half_life_ns))
        if self._weight > _HEAVIEST:
            shift = self._weight.bit_length() - _WEIGHT.bit_length()
            self._counts = [count >> shift for count in self._counts]
            self._began = now
            self._weight = _WEIGHT

    def size(self) -> int:
        """How many answers are remembered, an old one counting for less than one."""
        return sum(self._counts) // self._weight

    def percentile(self, percent: float) -> int:
        """The latency in nanoseconds that `percent` of the answers do not exceed, rounded up to its bucket.

        `percent` is above 0; without any answer, it is 0 ns.
        """
        above = sum(self._counts) * (100 - percent) / 100
        seen = 0
        for index in range(_BUCKETS - 1, -1, -1):
            seen += self._counts[index]
            if seen > above:
                exponent, step = divmod(index, _STEPS)
                return ((step + _STEPS + 1) << exponent) - 1
        return 0


class Hedging:
    """The hedges of one upstream or route.

    For each request `on_request(now)` (it pays for its share of a hedge, whether it could be hedged or not)
    and `delay_ns(now)`; when the delay is over without an answer, `may_hedge`.

    For each attempt `on_latency(latency_ns)`: the time from its own beginning, not the request's, to the first
    byte; for the attempt that lost, to its cancellation. Without the losers, hedging would hide the slow
    answers from itself and hedge ever sooner.
    """

    __slots__ = (
        "_budget",
        "_delay_ns",
        "_histogram",
        "_min_delay_ns",
        "_refresh_at",
        "_refresh_ns",
        "_rule",
        "on_latency",
        "on_request",
    )

    def __init__(self, rule: HedgingRule, now: int) -> None:
        self._rule = rule
        self._histogram = LatencyHistogram(rule.half_life_s, now)
        budget = BudgetRule(percent=rule.max_hedges_percent, min_per_second=0, window_s=rule.budget_window_s)
        self._budget = AttemptBudget(budget, now)
        self._min_delay_ns = int(rule.min_delay_s * _SECOND_NS)
        self._refresh_ns = int(rule.refresh_s * _SECOND_NS)
        self._refresh_at = now
        self._delay_ns: int | None = None
        # Without a method of ours in between, which would cost as much as the work itself.
        self.on_request: Callable[[int], None] = self._budget.on_request
        self.on_latency: Callable[[int], None] = self._histogram.add

    def delay_ns(self, now: int) -> int | None:
        """How long to wait for the first answer before hedging; `None` while too little is known."""
        if now >= self._refresh_at:
            self._refresh(now)
        return self._delay_ns

    def may_hedge(
        self, now: int, *, idempotent: bool, replayable: bool, other_replica: bool, saturated: bool = False
    ) -> bool:
        """Whether to send the second attempt now. Takes from the budget when it may.

        `saturated` says that requests wait for the upstream: there a hedge would take another's place.
        """
        if not (idempotent and replayable and other_replica) or saturated or self._delay_ns is None:
            return False
        return self._budget.withdraw(now)

    def describe(self, now: int) -> dict[str, object]:
        """The state as JSON, for the admin API; `delay_ms` is `None` while too little is known."""
        delay_ns = self.delay_ns(now)
        return {
            "delay_ms": None if delay_ns is None else delay_ns / 1e6,
            "samples": self._histogram.size(),
            "hedges_available": self._budget.available(now),
        }

    def _refresh(self, now: int) -> None:
        self._refresh_at = now + self._refresh_ns
        self._histogram.age(now)
        if self._histogram.size() < self._rule.min_samples:
            self._delay_ns = None
        else:
            percentile = self._histogram.percentile(self._rule.percentile)
            self._delay_ns = max(self._min_delay_ns, percentile)
