"""What can happen to replicas, one thing after another."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.gateway.chaos.fleet import NAMES, ChaosReplica, Fleet

_MEMBERSHIP_S = 1.3  # the gateway looks at the file once a second

Wrong = Callable[[Fleet, ChaosReplica, float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Phase:
    """Something that goes wrong with one replica; `posts_may_fail`: in it an answer can be lost for good."""

    name: str
    go: Wrong
    posts_may_fail: bool = False


async def nothing(fleet: Fleet, replica: ChaosReplica, seconds: float) -> None:
    """All is well."""
    await asyncio.sleep(seconds)


async def kill(fleet: Fleet, replica: ChaosReplica, seconds: float) -> None:
    """kill -9, and started again later."""
    replica.kill()
    replica.stop()
    await asyncio.sleep(seconds)
    replica.start()
    await replica.until_up()


async def freeze(fleet: Fleet, replica: ChaosReplica, seconds: float) -> None:
    """SIGSTOP: its kernel takes connections and requests, and nobody answers."""
    replica.signal(signal.SIGSTOP)
    await asyncio.sleep(seconds)
    replica.signal(signal.SIGCONT)


def ordered(fault: str) -> Wrong:
    """It answers, but not as it should."""

    async def go(fleet: Fleet, replica: ChaosReplica, seconds: float) -> None:
        await replica.order(fault)
        await asyncio.sleep(seconds)
        await replica.order()

    return go


async def leave(fleet: Fleet, replica: ChaosReplica, seconds: float) -> None:
    """Taken from the set and added again, running all the time."""
    fleet.list(NAMES.replace(replica.name, ""))
    await asyncio.sleep(max(seconds, _MEMBERSHIP_S))
    fleet.list(NAMES)
    await asyncio.sleep(_MEMBERSHIP_S)


def reloading(reload: Callable[[], None]) -> Wrong:
    """Another document several times over: other policies, limits, budgets, and the first one again."""

    async def go(fleet: Fleet, replica: ChaosReplica, seconds: float) -> None:
        changes: list[dict[str, Any]] = [
            {"policy": "least_requests"},
            {"slow_start_s": 1, "breaker": {"min_attempts": 50}},
            {"concurrency": {"initial_limit": 64}, "connections": {"idle": 8}},
            {"hedging": False, "policy": "peak_ewma"},
            {},
        ]
        for change in changes:
            fleet.configure(**change)
            reload()
            await asyncio.sleep(seconds / len(changes))

    return go


def phases(reload: Callable[[], None]) -> list[Phase]:
    """Everything that goes wrong, once."""
    return [
        Phase("calm", nothing),
        Phase("kill -9", kill, posts_may_fail=True),
        Phase("SIGSTOP", freeze, posts_may_fail=True),
        Phase("300 ms late", ordered("delay_s=0.3")),
        Phase("answers 500", ordered("status=500"), posts_may_fail=True),
        Phase("cut mid-body", ordered("cut=1"), posts_may_fail=True),
        Phase("left and added", leave),
        Phase("reload", reloading(reload)),
    ]
