"""One worker keeps in step with the buckets that all gateways have in common."""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from time import monotonic_ns
from typing import Any, Final

from services.gateway.caching.second.connection import Servers
from services.gateway.caching.second.link import ServerError
from services.gateway.limits.common_buckets import SPEND, BucketNames, arguments, read_owed
from services.gateway.limits.common_rule import CommonRule
from services.gateway.limits.rate_limiter import RateLimiter
from services.gateway.limits.reckoning import Reckoning, Spending
from services.gateway.limits.token_bucket import Rate
from shared.background import ended, telling_failure

log = logging.getLogger("kontor.gateway.limits")
# What goes wrong with the servers is told where it happens: this is a mistake of ours.
_tell_failure = telling_failure(log, "rate limits are not held together with other gateways any more")

_NOTHING: Final = Spending(("",), (0,), 0)


class Stepper:
    """On one event loop, between `start` and `stop`.

    `counts`: how often what a caller had spent was `sent`, how often that was `answered`, how often it was `forgotten`
    as nobody could be asked; and how often the worker fell out of step (`losses`).
    """

    def __init__(self, rule: CommonRule, limiter: RateLimiter, rate: Rate) -> None:
        self.rule = rule
        self.servers = Servers(rule.servers, purpose="the common count of rate limits")
        self.counts: Counter[str] = Counter()
        self._in_step = False
        self._told_why = False
        self._task: asyncio.Task[None] | None = None
        self._leaving: asyncio.Task[None] | None = None
        self.go_on_with(limiter, rate)

    def go_on_with(self, limiter: RateLimiter, rate: Rate) -> None:
        """Another limiter is in force, and its predecessor is not touched any more."""
        self._reckoning = Reckoning(limiter, self.rule.interval_ns)
        self._names = BucketNames(self.rule.prefix, rate)

    def start(self) -> None:
        """Begin to connect, and to keep in step."""
        self.servers.start()
        self._task = asyncio.create_task(self._keep_in_step())
        self._task.add_done_callback(_tell_failure)

    async def stop(self) -> None:
        """Let go of everything."""
        await ended(self._task)
        await self.servers.stop()

    def leave(self) -> None:
        """Stop, some time soon: from now on no limiter is touched."""
        if self._task is not None:
            self._task.cancel()
        self._leaving = asyncio.create_task(self.stop())

    def describe(self) -> dict[str, Any]:
        """For the admin API: whether this worker limits in step with other gateways, who is asked, and counts."""
        return {
            "in_step": self._in_step,
            "waiting": self._reckoning.waiting,
            "counts": dict(self.counts),
            **self.servers.describe(),
        }

    async def _keep_in_step(self) -> None:
        while True:
            await asyncio.sleep(self.rule.interval_ns / 1e9)
            await self._turn(self._reckoning)

    async def _turn(self, reckoning: Reckoning) -> None:
        if self.servers.link(self._names.common) is None:
            self._fell_out(reckoning, "there is no connection")
            return
        try:
            for spending in reckoning.turn(monotonic_ns()):
                await self._tell(reckoning, spending)
                if reckoning is not self._reckoning:
                    return  # the document has changed meanwhile
            if not self._in_step:  # nobody has spent anything, but there may be answers again
                await self._ask([self._names.common], _NOTHING)
        except ServerError as error:
            self._fell_out(reckoning, str(error), refused=error.__cause__ is not None)
        else:
            self._found_step()

    async def _tell(self, reckoning: Reckoning, spending: Spending) -> None:
        keys = [self._names.of(caller) for caller in spending.callers]
        self.counts["sent"] += len(keys)
        sent_ns = monotonic_ns()
        owed_ns = await self._ask(keys, spending)
        self.counts["answered"] += len(keys)
        if reckoning is self._reckoning:
            reckoning.hear(spending, owed_ns, sent_ns)

    async def _ask(self, keys: Sequence[bytes], spending: Spending) -> list[int]:
        """What is owed, in nanoseconds. Raises `ServerError`, which has a cause if there is an answer."""
        answer = await self.servers.ask_script(SPEND, keys, *arguments(spending))
        try:
            return read_owed(answer, len(keys))
        except ValueError as error:
            raise ServerError(str(error)) from error

    def _found_step(self) -> None:
        if not self._in_step:
            self._in_step, self._told_why = True, False
            log.info("rate limits hold for all gateways together")

    def _fell_out(self, reckoning: Reckoning, why: str, *, refused: bool = False) -> None:
        """Who was never in step only tells of a refusal: why there is no connection is told by who wants one."""
        self.counts["forgotten"] += reckoning.forget()
        self.counts["losses"] += self._in_step
        if self._in_step or (refused and not self._told_why):
            self._told_why = True
            log.warning("rate limits hold for this gateway alone: %s", why)
        self._in_step = False
