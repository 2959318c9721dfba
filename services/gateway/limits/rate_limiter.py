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

    def take(self, caller: str) -> Allowance:
        """Count one request of `caller`."""
        now = self._clock_ns()
        full_at, allowance = take(self._full_at.get(caller, now), now, self._rate)
        self._full_at[caller] = full_at
        self._full_at.move_to_end(caller)
        if len(self._full_at) > self._max_callers:
            self._full_at.popitem(last=False)
        return allowance

    def headers(self, allowance: Allowance) -> list[tuple[bytes, bytes]]:
        """The two fields of draft-ietf-httpapi-ratelimit-headers: the policy, and what is left of it."""
        policy = f'"default";q={self._rate.burst};w={self._rate.window_s}'
        state = f'"default";r={allowance.remaining};t={allowance.full_in_s}'
        return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", state.encode())]


def too_many_requests(allowance: Allowance) -> Problem:
    """429, saying when to come back."""
    return Problem(
        429,
        "rate_limited",
        "Too many requests",
        "The rate limit of this key or address is used up.",
        headers={"Retry-After": str(allowance.retry_after_s)},
    )
