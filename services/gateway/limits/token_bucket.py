"""A token bucket in integers. Pure: time comes in as nanoseconds of a monotonic clock."""

from dataclasses import dataclass
from functools import cached_property

_SECOND_NS = 1_000_000_000


@dataclass(frozen=True)
class Rate:
    """`per_second` requests on average, `burst` at once."""

    per_second: int = 2_000
    burst: int = 4_000

    @cached_property
    def token_ns(self) -> int:
        """How long one token takes to grow."""
        return _SECOND_NS // self.per_second

    @cached_property
    def full_ns(self) -> int:
        """How long an empty bucket takes to fill."""
        return self.burst * self.token_ns

    @property
    def window_s(self) -> int:
        """The same in whole seconds, rounded up."""
        return _seconds_up(self.full_ns)


class Allowance:
    """The answer to one request: whether it may pass, what is left, when all is back (whole seconds).

    `lines` are the same in words, once somebody has put it so.
    """

    __slots__ = ("allowed", "full_in_s", "lines", "remaining", "retry_after_s")

    def __init__(self, allowed: bool, remaining: int, full_in_s: int, retry_after_s: int) -> None:
        self.allowed = allowed
        self.remaining = remaining
        self.full_in_s = full_in_s
        self.retry_after_s = retry_after_s
        self.lines = b""


def take(full_at_ns: int, now_ns: int, rate: Rate) -> tuple[int, Allowance]:
    """Take one token from the bucket that will be full at `full_at_ns`; returns that instant anew.

    A bucket is nothing but the instant at which it will be full again (the generic cell rate algorithm,
    ITU-T I.371): each token taken moves it one `token_ns` away, and it may lie at most `burst` tokens ahead.
    """
    token_ns = rate.token_ns
    full_at = (full_at_ns if full_at_ns > now_ns else now_ns) + token_ns
    spare_ns = now_ns + rate.full_ns - full_at
    if spare_ns < 0:
        full_at -= token_ns
        return full_at, Allowance(False, 0, _seconds_up(full_at - now_ns), max(1, _seconds_up(-spare_ns)))
    return full_at, Allowance(True, spare_ns // token_ns, -((now_ns - full_at) // _SECOND_NS), 0)


def _seconds_up(duration_ns: int) -> int:
    return -(-duration_ns // _SECOND_NS)
