"""Active health checks: one task per replica asks it, at a jittered interval, whether it can serve."""

import asyncio
import random
from collections.abc import Callable, Mapping

import httpx2

from services.gateway.balancing.endpoint import Endpoint
from services.gateway.plain_http import plain_transport
from services.gateway.resilience.health import HealthRule
from services.gateway.resilience.upstream import Upstream
from shared.background import ended

# Several gateways started together must not knock at the same instants for ever.
JITTER = 0.2


class Prober:
    """Runs the checks between `start` and `stop` and reports them to the upstreams."""

    def __init__(self, jitter: Callable[[], float] = random.random) -> None:
        self._jitter = jitter
        self._tasks: dict[Endpoint, asyncio.Task[None]] = {}

    def start(self) -> None:
        """Get ready to check."""
        # A connection kept from the last check would prove less than a new one.
        self._transport = plain_transport(keep_alive=False)

    def watch(self, upstreams: Mapping[str, Upstream]) -> None:
        """Check these replicas from now on, new ones at once, and no others."""
        wanted = {endpoint: one for one in upstreams.values() for endpoint in one.endpoints}
        for gone in self._tasks.keys() - wanted.keys():
            self._tasks.pop(gone).cancel()
        for endpoint, upstream in wanted.items():
            if endpoint not in self._tasks:
                self._tasks[endpoint] = asyncio.create_task(self._watch(upstream, endpoint))

    async def stop(self) -> None:
        """Stop checking; nothing runs any more when this returns."""
        await ended(*self._tasks.values())
        await self._transport.aclose()

    async def _watch(self, upstream: Upstream, endpoint: Endpoint) -> None:
        while True:
            rule = upstream.plan.health  # a reload may have changed it
            ok, reason = await self._ask(endpoint, rule)
            upstream.observe(endpoint, ok, reason)
            await asyncio.sleep(rule.interval_s * (1 - JITTER / 2 + JITTER * self._jitter()))

    async def _ask(self, endpoint: Endpoint, rule: HealthRule) -> tuple[bool, str]:
        question = httpx2.Request("GET", f"http://{endpoint.replica.address}{rule.path}")
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
