"""Active health checks: one task per replica asks it, at a jittered interval, whether it can serve."""

import asyncio
import random
import ssl
from collections.abc import Callable

import httpx2

from services.gateway.balancing.policy import Replica
from services.gateway.resilience.board import Board
from services.gateway.resilience.health import HealthRule

# Several gateways started together must not knock at the same instants for ever.
JITTER = 0.2


class Prober:
    """Runs the checks between `start` and `stop` and reports them to the board."""

    def __init__(self, board: Board, jitter: Callable[[], float] = random.random) -> None:
        self._board = board
        self._jitter = jitter
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin checking, at once: the first answers decide when the gateway is ready."""
        # A connection kept from the last check would prove less than a new one.
        limits = httpx2.Limits(max_keepalive_connections=0)
        # Replicas speak plain HTTP; an unused context spares loading the certificate store.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._transport = httpx2.AsyncHTTPTransport(limits=limits, verify=context, trust_env=False)
        self._tasks = [asyncio.create_task(self._watch(*check)) for check in self._board.checks()]

    async def stop(self) -> None:
        """Stop checking; nothing runs any more when this returns."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._transport.aclose()

    async def _watch(self, replica: Replica, rule: HealthRule) -> None:
        while True:
            ok, reason = await self._ask(replica, rule)
            self._board.observe(replica, ok, reason)
            await asyncio.sleep(rule.interval_s * (1 - JITTER / 2 + JITTER * self._jitter()))

    async def _ask(self, replica: Replica, rule: HealthRule) -> tuple[bool, str]:
        question = httpx2.Request("GET", f"http://{replica.address}{rule.path}")
        try:
            # One bound over the whole check: httpx2's own time-out begins anew with every byte.
            async with asyncio.timeout(rule.timeout_s):
                answer = await self._transport.handle_async_request(question)
                await answer.aread()
        except TimeoutError:
            return False, f"no answer within {rule.timeout_s} s"
        except httpx2.HTTPError as error:
            return False, f"{type(error).__name__}: {error}"
        return answer.status_code == 200, f"{rule.path} answered {answer.status_code}"
