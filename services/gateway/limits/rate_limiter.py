"""The buckets of all callers, in this process."""

import time
from collections import OrderedDict
from collections.abc import Callable

from services.gateway.limits.token_bucket import Allowance, Rate, take
from shared.problems import Problem


class RateLimiter:
    """One bucket per caller, in a bounded table: whoever was not seen for longest is forgotten first.

    Several gateways each allow the rate; sharing the counts between them belongs behind this class.
    """

    def __init__(
        self, rate: Rate, clock_ns: Callable[[], int] = time.monotonic_ns, max_callers: int = 100_000
    ) -> None:
        self._rate = rate
        self._clock_ns = clock_ns
        self._max_callers = max_callers
        self._full_at: OrderedDict[str, int] = OrderedDict()
        # The two fields of draft-ietf-httpapi-ratelimit-headers: the policy, and what is left of it.
        policy = b'ratelimit-policy: "default";q=%d;w=%d' % (rate.burst, rate.window_s)
        self._lines = policy.replace(b"%", b"%%") + b'\r\nratelimit: "default";r=%d;t=%d\r\n'

    def take(self, caller: str) -> Allowance:
        """Count one request of `caller`."""
        now = self._clock_ns()
        buckets = self._full_at
        buckets[caller], allowance = take(buckets.get(caller, now), now, self._rate)
        buckets.move_to_end(caller)
        if len(buckets) > self._max_callers:
            buckets.popitem(last=False)
        return allowance

    def peek(self, caller: str) -> Allowance:
        """What `take` would say now. Counts nothing."""
        now = self._clock_ns()
        return take(self._full_at.get(caller, now), now, self._rate)[1]

    def lines(self, allowance: Allowance) -> bytes:
        """The header lines that tell the caller."""
        return self._lines % (allowance.remaining, allowance.full_in_s)


def too_many_requests(allowance: Allowance) -> Problem:
    """429, saying when to come back."""
    return Problem(
        429,
        "rate_limited",
        "Too many requests",
        "The rate limit of this key or address is used up.",
        headers={"Retry-After": str(allowance.retry_after_s)},
    )
