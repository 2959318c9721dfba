"""Limits hold for a gateway, however many workers it has and whatever happens to them."""

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.gateway.operated import Operated, operated
from tests.gateway.processes import GatewayProcess, document, eventually

pytestmark = pytest.mark.process

WORKERS = 3
BURST = 60


def config(**changes: Any) -> dict[str, Any]:
    return {"workers": WORKERS, "rate_limit": {"per_second": 1, "burst": BURST}} | changes


async def ask(house: Operated, times: int) -> tuple[Counter[int], list[int]]:
    """The statuses of so many requests on connections of their own, and what they were told is left."""
    statuses: Counter[int] = Counter()
    left = []
    async with house.gateway.client() as client:
        for answer in await asyncio.gather(
            *(client.get("/x", headers={"Connection": "close"}) for _ in range(times))
        ):
            statuses[answer.status_code] += 1
            left.append(int(answer.headers["ratelimit"].split(";")[1].removeprefix("r=")))
    return statuses, left


async def test_callers_have_one_allowance_at_all_workers_together(tmp_path: Path) -> None:
    async with operated(tmp_path, config()) as house:
        first, *_ = await house.workers(WORKERS)
        begun = monotonic()
        statuses, left = await ask(house, BURST // 2)
        assert statuses == {200: BURST // 2}
        served = [one["connections"] for one in (await house.admin.get("workers")).json()]
        assert len(served) == WORKERS
        assert min(left) <= BURST // 2 + 1 + monotonic() - begun

        # What is taken stays taken, although a worker is killed and all get another document.
        os.kill(first, signal.SIGKILL)
        await house.workers(WORKERS)
        changed = document(house.replicas) | config(limits={"connections": 5000})
        house.gateway.config_file.write_text(json.dumps(changed))
        assert (await house.admin.post("reload")).status_code == 200
        statuses, _ = await ask(house, 2 * BURST)
        given = BURST // 2 + statuses[200]
        # One grows each second; the last one may go to one at each worker.
        assert BURST <= given <= BURST + monotonic() - begun + WORKERS - 1
        assert set(statuses) == {200, 429}
        assert [one["uncounted"] for one in (await house.admin.get("workers")).json()] == [0] * WORKERS


async def connected(gateway: GatewayProcess, stack: AsyncExitStack) -> bool:
    """Whether one more connection is served."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    stack.callback(writer.close)
    try:
        writer.write(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
        return (await reader.read(100)).startswith(b"HTTP/1.1 200")
    except ConnectionError:
        return False


async def served(gateway: GatewayProcess, stack: AsyncExitStack, times: int) -> int:
    return sum([await connected(gateway, stack) for _ in range(times)])


async def pids(house: Operated) -> Sequence[int]:
    return [worker["pid"] for worker in (await house.admin.get("workers")).json()]


async def test_clients_have_so_many_connections_at_all_workers_together(tmp_path: Path) -> None:
    limits = {"connections_per_client": 20}
    async with operated(tmp_path, config(limits=limits)) as house, AsyncExitStack() as stack:
        first, *_ = await house.workers(WORKERS)
        assert await served(house.gateway, stack, 40) == 20
        told = (await house.admin.get("workers")).json()
        assert sum(one["connections"] for one in told) == 20
        lost = next(one["connections"] for one in told if one["pid"] == first)
        assert 0 < lost < 20

        # Those of a worker that is killed are free again, before it has a successor that serves.
        os.kill(first, signal.SIGKILL)
        await house.workers(WORKERS)
        assert await served(house.gateway, stack, 40) == lost


async def test_of_a_worker_that_leaves_no_connection_stays_counted(tmp_path: Path) -> None:
    limits = {"connections_per_client": 20}
    async with operated(tmp_path, config(limits=limits)) as house, AsyncExitStack() as stack:
        await house.workers(WORKERS)
        assert await served(house.gateway, stack, 20) == 20
        changed = document(house.replicas) | config(limits=limits, workers=1)
        house.gateway.config_file.write_text(json.dumps(changed))
        assert (await house.admin.post("reload")).status_code == 200
        (stays,) = (await house.admin.get("workers")).json()

        async def others_left() -> bool:
            return house.gateway.workers() == [stays["pid"]]

        await eventually(others_left)
        assert await served(house.gateway, stack, 40) == 20 - stays["connections"]
