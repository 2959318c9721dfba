"""Limits that several gateways hold together, if the document names servers where they meet.

Nobody waits for those. Each worker counts as if its gateway were alone (`rate_limiter`); ten times a second it tells
what its callers have spent (`reckoning`), and hears what they owe to all gateways together (`common_buckets`). While
nobody answers, each gateway limits alone.
"""

from typing import TYPE_CHECKING, Any

from services.gateway.limits.common_rule import CommonRule
from services.gateway.limits.rate_limiter import RateLimiter
from services.gateway.limits.token_bucket import Rate

if TYPE_CHECKING:
    from services.gateway.limits.stepping import Stepper


class CommonLimits:
    """Of one worker, on one event loop, between `start` and `stop`. Without a rule it does nothing at all."""

    def __init__(self) -> None:
        self._stepper: Stepper | None = None
        self._started = False

    def configure(self, rule: CommonRule | None, limiter: RateLimiter | None, rate: Rate) -> None:
        """This limiter is in force now, and its predecessor is not touched any more; None where nothing is limited."""
        before, self._stepper = self._stepper, None
        if rule is None or limiter is None:
            if before is not None:
                before.leave()
        elif before is not None and before.rule == rule:
            before.go_on_with(limiter, rate)
            self._stepper = before
        else:
            if before is not None:
                before.leave()
            self._begin(rule, limiter, rate)

    def start(self) -> None:
        """Begin to connect, and to keep in step."""
        self._started = True
        if self._stepper is not None:
            self._stepper.start()

    async def stop(self) -> None:
        """Let go of everything."""
        if self._stepper is not None:
            await self._stepper.stop()

    def describe(self) -> dict[str, Any] | None:
        """For the admin API; None where there is no common limit."""
        return self._stepper.describe() if self._stepper is not None else None

    def _begin(self, rule: CommonRule, limiter: RateLimiter, rate: Rate) -> None:
        # Its imports take half a second, and most gateways are alone.
        from services.gateway.limits.stepping import Stepper  # noqa: PLC0415

        self._stepper = Stepper(rule, limiter, rate)
        if self._started:
            self._stepper.start()
