"""May a failed attempt be made again, when, and out of which budget? Pure.

The budget is Finagle's (https://finagle.github.io/blog/2016/02/08/retry-budgets): each request pays in a share
of a retry, a reserve keeps quiet services able to retry, and both payments and withdrawals are forgotten
after a while. Without it, retries multiply the load just when an upstream can bear it least.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from services.gateway.resilience.ledger import (
    BROKEN,
    BUSY,
    REFUSED,
    SERVER_ERROR,
    TIMED_OUT,
    UNAVAILABLE,
    Outcome,
)

_SECOND_NS: Final = 1_000_000_000
_RETRY: Final = 100  # what one retry costs, so that a request pays in `percent`
_SLICES: Final = 10


@dataclass(frozen=True, slots=True)
class BudgetRule:
    """How many extra attempts an upstream may get: a share of its requests, and a minimum.

    Counts are those of one gateway process: two processes allow the minimum twice.
    """

    percent: int = 20  # extra attempts per 100 requests of the last `window_s`
    min_per_second: int = 10  # allowed besides, whatever the number of requests
    window_s: float = 10.0  # how long requests and extra attempts are remembered


class AttemptBudget:
    """Integers only: a request pays in `percent`, an extra attempt takes out 100.

    Within the last `window_s` (in ten slices, the running one included), what was taken is never more than
    what was paid in plus the reserve of `min_per_second * window_s` attempts.
    """

    __slots__ = (
        "_balance",
        "_index",
        "_paid",
        "_percent",
        "_reserve",
        "_slice_ends_ns",
        "_slice_ns",
        "_slices",
    )

    def __init__(self, rule: BudgetRule, now: int) -> None:
        self._percent = rule.percent
        self._reserve = int(rule.min_per_second * rule.window_s) * _RETRY
        self._slice_ns = max(1, int(rule.window_s * _SECOND_NS) // _SLICES)
        self._slice_ends_ns = now + self._slice_ns
        self._slices = [0] * _SLICES
        self._index = 0
        self._balance = 0  # the sum of all slices but the running one
        self._paid = 0  # the running slice: paid in less taken out

    def on_request(self, now: int) -> None:
        """A request (not an attempt) begins: it pays its share in."""
        if now >= self._slice_ends_ns:
            self._turn(now)
        self._paid += self._percent

    def available(self, now: int) -> int:
        """How many extra attempts may be made at this instant."""
        if now >= self._slice_ends_ns:
            self._turn(now)
        return max(0, (self._balance + self._paid + self._reserve) // _RETRY)

    def withdraw(self, now: int) -> bool:
        """Take one extra attempt out; `False` when there is none to take."""
        if self.available(now) < 1:
            return False
        self._paid -= _RETRY
        return True

    def _turn(self, now: int) -> None:
        passed = 1 + (now - self._slice_ends_ns) // self._slice_ns
        self._slice_ends_ns += passed * self._slice_ns
        self._balance += self._paid
        self._slices[self._index] = self._paid
        self._paid = 0
        for _ in range(min(passed, _SLICES)):
            self._index = (self._index + 1) % _SLICES
            self._balance -= self._slices[self._index]
            self._slices[self._index] = 0


@dataclass(frozen=True, slots=True)
class RetryRule:
    """When a failed attempt is followed by another."""

    max_retries: int = 2  # per request, each at another replica while there is one
    retry_on: frozenset[Outcome] = frozenset({REFUSED, BUSY, BROKEN, TIMED_OUT, UNAVAILABLE, SERVER_ERROR})
    backoff_base_s: float = 0.01  # the longest wait before the first retry; doubles with each further one
    backoff_max_s: float = 0.25  # no wait is longer
    min_remaining_s: float = 0.005  # with less time left after the wait, an attempt is not worth its cost


@dataclass(frozen=True, slots=True)
class RetryDecision:
    """Whether to try again, after how many nanoseconds, and why (a sentence for span events)."""

    allowed: bool
    wait_ns: int
    reason: str


# The replica has seen nothing of the request: twice is once.
_HARMLESS: Final = frozenset({REFUSED, BUSY})
# Many requests fail so at one instant, or the replica asks for mercy: spread what comes after. A refusal
# is the replica's own and another one is at hand; after a time-out the caller has waited enough.
_ASKS_FOR_BACKOFF: Final = frozenset({BROKEN, UNAVAILABLE, SERVER_ERROR})


class RetryPolicy:
    """The retries of one upstream.

    `random` gives floats in [0, 1). `on_request` is for every request; `decide` is only for failures.
    """

    __slots__ = ("_budget", "_random", "_rule", "on_request")

    def __init__(self, rule: RetryRule, budget: AttemptBudget, random: Callable[[], float]) -> None:
        self._rule = rule
        self._budget = budget
        self._random = random
        self.on_request: Callable[[int], None] = budget.on_request

    def decide(
        self,
        now: int,
        failure: Outcome,
        *,
        retries: int,
        idempotent: bool,
        replayable: bool,
        answer_begun: bool,
        remaining_ns: int,
        other_replica: bool = True,
    ) -> RetryDecision:
        """Whether the request may be sent again after `failure`. Takes from the budget when it may.

        `retries` is how many were made before; `idempotent` means by its method or by an `Idempotency-Key`;
        `replayable`, that the body can be sent from its beginning; `answer_begun`, that the caller has a byte
        of the answer, or cannot be kept from it; `remaining_ns`, the time until the request's deadline.
        """
        refusal = self._refusal(failure, retries, idempotent, replayable, answer_begun)
        if refusal:
            return RetryDecision(False, 0, refusal)
        wait_ns = self._wait_ns(failure, retries, other_replica)
        if remaining_ns < wait_ns + int(self._rule.min_remaining_s * _SECOND_NS):
            return RetryDecision(False, 0, "Not retried: too little of the request's time is left.")
        if not self._budget.withdraw(now):
            return RetryDecision(False, 0, "Not retried: the upstream's retry budget is used up.")
        return RetryDecision(True, wait_ns, f"Retried after {failure.label}.")

    def _refusal(
        self, failure: Outcome, retries: int, idempotent: bool, replayable: bool, answer_begun: bool
    ) -> str | None:
        if failure not in self._rule.retry_on:
            return f"Not retried: {failure.label} is not a failure to retry."
        if answer_begun:
            return "Not retried: the answer has already begun."
        if not idempotent and failure not in _HARMLESS:
            return "Not retried: the request may have had its effect, and it is not idempotent."
        if not replayable:
            return "Not retried: the body cannot be sent again."
        # A 500 is as often the request's fault as the replica's: a second opinion, never a third.
        most = self._rule.max_retries
        if retries >= (min(1, most) if failure is SERVER_ERROR else most):
            return f"Not retried: {retries} retries were made already."
        return None

    def _wait_ns(self, failure: Outcome, retries: int, other_replica: bool) -> int:
        """Full jitter: anywhere between nothing and the exponential bound.

        Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
        """
        if other_replica and failure not in _ASKS_FOR_BACKOFF:
            return 0
        bound_s = min(self._rule.backoff_max_s, self._rule.backoff_base_s * 2**retries)
        return int(self._random() * bound_s * _SECOND_NS)
