"""The cache shows nobody an older state than a write that was acknowledged, whoever dies meanwhile.

Real services, PostgreSQL and gateways. `tests.bench.coherence` reads longer and prints figures.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.bench.availability import Killer
from tests.deploy.suite_process import SuiteProcess
from tests.e2e.coherent import (
    ACCOUNTS,
    Connection,
    Gateways,
    Ledger,
    OwnGateway,
    clear,
    load,
    reads,
    serving,
)
from tests.gateway.processes import eventually

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def gateways(suite: SuiteProcess) -> Gateways:
    return Gateways(suite)


@pytest.fixture(scope="module")
def gateway(gateways: Gateways) -> Iterator[OwnGateway]:
    """Two workers, which share what they know of changes."""
    with gateways.gateway("coherent", workers=2) as gateway:
        yield gateway


@pytest.fixture
async def caller(gateways: Gateways, gateway: OwnGateway) -> AsyncIterator[Connection]:
    caller = gateways.through(gateway)
    await serving(caller)
    yield caller
    await serving(caller)
    await clear(caller)
    caller.close()


async def test_nobody_is_shown_less_than_was_acknowledged(
    gateways: Gateways, gateway: OwnGateway, caller: Connection
) -> None:
    ledger = Ledger()
    async with load(ledger, gateways, gateway, writers=3, readers=8, pause_s=0.05, seed=1):
        await reads(ledger, 1_000, ledger.wrote_in_every_way)
    assert ledger.stale == []
    assert ledger.failures == {}
    assert set(ledger.reads) >= {"one", "conditional", "list", "count"}
    # Else it would be the services that were coherent.
    assert ledger.hit_share > 0.2


async def test_whoever_dies_nobody_is_shown_less(
    suite: SuiteProcess, gateways: Gateways, gateway: OwnGateway, caller: Connection
) -> None:
    ledger, killer = Ledger(), Killer(suite)
    async with load(ledger, gateways, gateway, writers=3, readers=8, pause_s=0.05, seed=2):
        await reads(ledger, 200)
        # With either one of the two goes what tells of changes, for one of the workers at least.
        for victim in ("customers-1", "customers-2"):
            former = await asyncio.to_thread(killer.kill, victim)
            await reads(ledger, 200)
            await asyncio.to_thread(killer.wait_back, victim, former)
        os.kill(gateway.workers()[0], signal.SIGKILL)
        # Else there was too little to go wrong.
        await reads(ledger, 400, lambda: ledger.hits.total() > 100 and ledger.writes.total() > 20)
    assert ledger.stale == []


async def test_what_is_written_past_the_gateway_is_told_by_the_feed(
    gateways: Gateways, caller: Connection
) -> None:
    past = gateways.past()
    record = (await caller.ask("POST", ACCOUNTS, {"name": "First"})).document
    target = f"{ACCOUNTS}/{record['id']}"

    async def from_cache() -> bool:
        return (await caller.ask("GET", target)).from_cache

    for number in range(5):
        await eventually(from_cache)
        name = f"Changed {number}"
        assert (await past.ask("PATCH", target, {"name": name})).status == 200

        async def shown(name: str = name) -> bool:
            return bool((await caller.ask("GET", target)).document["name"] == name)

        await eventually(shown)
    past.close()


async def test_gateways_that_share_nothing_tell_each_other_by_the_feed(
    gateways: Gateways, caller: Connection
) -> None:
    with gateways.gateway("other", workers=1) as other:
        elsewhere = gateways.through(other)
        await serving(elsewhere)
        record = (await caller.ask("POST", ACCOUNTS, {"name": "First"})).document
        target = f"{ACCOUNTS}/{record['id']}"

        async def from_cache() -> bool:
            return (await elsewhere.ask("GET", target)).from_cache

        await eventually(from_cache)
        assert (await caller.ask("PATCH", target, {"name": "Changed"})).status == 200

        async def shown() -> bool:
            return bool((await elsewhere.ask("GET", target)).document["name"] == "Changed")

        await eventually(shown)
        elsewhere.close()
