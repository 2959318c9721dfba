"""Two real gateways of two workers hold a limit together, and each alone while there is no Valkey."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.gateway.caching.second.servers import Valkey
from tests.gateway.operated import Operated, operated
from tests.gateway.processes import eventually

pytestmark = pytest.mark.process

WORKERS = 2
BURST = 150
PUBLIC = "/docs/echo"
"""Here callers are told apart by their addresses, and all are one."""


def config(valkey: Valkey) -> dict[str, Any]:
    # A token grows in a second.
    servers = [{"host": "127.0.0.1", "port": valkey.port}]
    shared = {"servers": servers, "interval_s": 0.05, "timeout_s": 1.0}
    return {"workers": WORKERS, "rate_limit": {"per_second": 1, "burst": BURST, "shared": shared}}


async def ask(house: Operated, times: int, path: str = "/x", key: int = 0) -> tuple[Counter[int], int]:
    """The statuses of so many requests on connections of their own, and the least that one was told is left."""
    headers = {"Connection": "close", "Authorization": f"Bearer {house.gateway.keys[key]}"}
    async with house.gateway.client() as client:
        answers = await asyncio.gather(*(client.get(path, headers=headers) for _ in range(times)))
    left = min(int(answer.headers["ratelimit"].split(";")[1].removeprefix("r=")) for answer in answers)
    return Counter(answer.status_code for answer in answers), left


async def until_all(houses: list[Operated], in_step: bool) -> None:
    """Until all workers say so."""

    async def so() -> bool:
        workers = [worker for house in houses for worker in (await house.admin.get("workers")).json()]
        return [worker["shared_limit"]["in_step"] for worker in workers] == [in_step] * 2 * WORKERS

    await eventually(so)


async def until_heard(house: Operated, spent_elsewhere: int, path: str = "/x") -> int:
    """Until a gateway knows what was spent at the other one; how much it has given meanwhile, one after the other."""
    begun, given, left = monotonic(), 0, BURST

    async def so() -> bool:
        nonlocal given, left
        statuses, left = await ask(house, 1, path)
        given += statuses[200]
        return left <= max(BURST - spent_elsewhere - given + monotonic() - begun + 1, 0)

    await eventually(so)
    return given


async def test_a_limit_holds_for_both_and_for_each_while_there_is_no_valkey(
    tmp_path: Path, valkey: Valkey
) -> None:
    async with AsyncExitStack() as stack:
        houses = []
        for name in ("one", "other"):
            (tmp_path / name).mkdir()
            house = await stack.enter_async_context(operated(tmp_path / name, config(valkey), replicas=1))
            await house.workers(WORKERS)
            houses.append(house)
        one, other = houses
        await until_all(houses, in_step=True)

        # What one has given the other does not give again.
        begun = monotonic()
        assert (await ask(one, 60))[0] == {200: 60}
        given = 60 + await until_heard(other, 60)
        statuses, _ = await ask(other, BURST + 20)
        assert set(statuses) == {200, 429}
        given += statuses[200]
        # The first hears of that when it is asked again.
        given += await until_heard(one, BURST)
        statuses, _ = await ask(one, BURST + 20)
        given += statuses[200]
        # Besides what grew: what it gave until it heard, of the ninety that it believed to be left.
        assert BURST <= given <= BURST + monotonic() - begun + 40

        # Each alone.
        valkey.kill()
        await until_all(houses, in_step=False)
        for house in houses:
            begun = monotonic()
            statuses, _ = await ask(house, BURST + 20, key=1)
            assert BURST <= statuses[200] <= BURST + monotonic() - begun + WORKERS - 1

        # And together again.
        await asyncio.to_thread(valkey.start)
        await until_all(houses, in_step=True)
        assert (await ask(one, 60, PUBLIC))[0] == {200: 60}
        assert await until_heard(other, 60, PUBLIC) < BURST - 60
