"""Workers are killed and configurations change at random times, together: nothing is left of it afterwards."""

import asyncio
import json
import os
import random
import signal
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.operated import Load, Operated, operated
from tests.gateway.processes import document, eventually
from tests.gateway.test_shared_limits_e2e import served

pytestmark = pytest.mark.process

CONNECTIONS = 30
POLICIES = ("random", "least_requests", "adaptive", "peak_ewma")


def written(house: Operated, policy: str, workers: int) -> None:
    """Another document."""
    content = document(house.replicas)
    content["upstreams"]["echo"] |= {"policy": policy}
    house.gateway.config_file.write_text(json.dumps(content | settings(workers)))


def settings(workers: int) -> dict[str, Any]:
    return {
        "workers": workers,
        "rate_limit": {"per_second": 1_000, "burst": 100_000},
        "limits": {"connections_per_client": CONNECTIONS},
    }


async def killing(house: Operated, dice: random.Random) -> int:
    """Kills a worker now and then, whatever it does at that instant; how many."""
    killed = 0
    while True:
        try:
            await asyncio.sleep(dice.uniform(0.2, 1.2))
        except asyncio.CancelledError:
            return killed
        with suppress(ProcessLookupError, IndexError):
            os.kill(dice.choice(house.gateway.workers()), signal.SIGKILL)
            killed += 1


async def reloaded(house: Operated) -> bool:
    """Whether a reload came about; `applied` are those who went over, of whom there may be none."""
    answer = await house.admin.post("reload")
    if answer.status_code == 503:
        assert answer.json()["workers"], answer.text
        return False
    assert answer.status_code == 200, answer.text
    return True


async def test_after_a_storm_all_workers_have_one_configuration_and_nothing_is_counted_twice(
    tmp_path: Path,
) -> None:
    await storm(tmp_path, seed=1, reloads=5)


async def storm(folder: Path, seed: int, reloads: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - repeatable, not secret
    async with operated(folder, settings(3)) as house, AsyncExitStack() as stack:
        load = Load(house.gateway, callers=4, again=True)
        await load.answered(20)
        killer = asyncio.create_task(killing(house, dice))
        in_force, done = "weighted_round_robin", 0
        for _ in range(reloads):
            policy = dice.choice(POLICIES)
            written(house, policy, dice.randint(2, 4))
            if await reloaded(house):
                in_force, done = policy, done + 1
            await asyncio.sleep(dice.uniform(0.0, 0.5))
        killer.cancel()
        killed = await killer
        workers = [one["number"] for one in (await house.admin.get("workers")).json()]
        await house.workers(len(workers))
        told = await house.upstream()
        assert {one["policy"] for one in told["workers"].values()} == {in_force}
        assert sorted(map(int, told["workers"])) == workers
        assert killed > 0
        await load.answered(20)
        await load.stop()
        assert set(load.statuses) == {200}
        assert load.refused == 0

        async def at_rest() -> bool:
            told = (await house.admin.get("workers")).json()
            return sum(one["connections"] or 0 for one in told) == 0 and len(house.gateway.workers()) == len(
                workers
            )

        await eventually(at_rest)
        ledger = (await house.admin.get("ledger")).json()
        assert (ledger["balances"], ledger["mistakes"]) == (True, [])
        # Of the connections of the dead none is counted still.
        assert await served(house.gateway, stack, 2 * CONNECTIONS) == CONNECTIONS
        print(f"{killed} workers were killed, {done} of {reloads} reloads came about")
