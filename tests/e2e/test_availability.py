"""Deaths in the running suite: what readers notice, and that nothing acknowledged is lost. Larger: the bench."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.bench.availability import Caller, Killer, toll_of, writing
from tests.deploy.suite_process import SuiteProcess

pytestmark = pytest.mark.process


@pytest.fixture
async def caller(suite: SuiteProcess) -> AsyncIterator[Caller]:
    caller = Caller(suite)
    await caller.fill(20)
    yield caller
    await caller.clear()  # the suite is shared with tests that find it empty
    await caller.aclose()


async def test_readers_do_not_notice_that_a_replica_was_killed(suite: SuiteProcess, caller: Caller) -> None:
    toll = await toll_of("customers-2", caller, Killer(suite), rate=20, seconds=1)
    assert toll.requests > 20
    assert not toll.failures


async def test_writes_that_were_acknowledged_outlive_postgresql(suite: SuiteProcess, caller: Caller) -> None:
    killer = Killer(suite)
    async with writing(caller, writers=3, interval_s=0.02):
        await _until_acknowledged(caller, 5)
        former = await asyncio.to_thread(killer.kill, "postgres")
        await asyncio.to_thread(killer.wait_back, "postgres", former)
        await _until_acknowledged(caller, len(caller.acknowledged) + 5)
    assert await caller.lost_and_doubled() == (0, 0)
    assert "Traceback" not in suite.output()


async def _until_acknowledged(caller: Caller, count: int) -> None:
    async with asyncio.timeout(30):
        while len(caller.acknowledged) < count:  # noqa: ASYNC110 - the writers wake nobody
            await asyncio.sleep(0.02)
