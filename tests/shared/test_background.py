import asyncio
import logging

import pytest

from shared import background
from shared.background import in_background, telling_failure


async def until_told(name: str, began: asyncio.Event, ended: list[str]) -> None:
    began.set()
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0)
        ended.append(name)


async def test_it_runs_beside_the_block_and_is_over_at_its_end() -> None:
    began, ended = asyncio.Event(), list[str]()
    async with in_background(until_told("one", began, ended), until_told("other", began, ended)):
        await began.wait()
        assert ended == []
    assert ended == ["one", "other"]


async def test_it_ends_with_a_block_that_fails() -> None:
    began, ended = asyncio.Event(), list[str]()

    async def fail() -> None:
        async with in_background(until_told("it", began, ended)):
            await began.wait()
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    assert ended == ["it"]


async def test_what_it_raises_is_raised_after_the_block() -> None:
    finished = []

    async def work() -> None:
        raise ValueError("told")

    async def block() -> None:
        async with in_background(work()):
            await asyncio.sleep(0)
            finished.append(True)

    with pytest.raises(ValueError, match="told"):
        await block()
    assert finished == [True]


async def test_a_mistake_that_nobody_awaits_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ValueError("a mistake")

    tell = telling_failure(logging.getLogger("t"), "it has ended")
    for work in (fail(), asyncio.sleep(0), asyncio.sleep(9)):
        task = asyncio.ensure_future(work)
        task.add_done_callback(tell)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(0)
    assert [(record.levelname, record.message) for record in caplog.records] == [("ERROR", "it has ended")]


async def test_what_is_ended_is_over_with_all_that_it_had_to_put_away() -> None:
    over: list[str] = []

    async def work(name: str) -> None:
        try:
            await asyncio.sleep(9)
        finally:
            await asyncio.sleep(0)
            over.append(name)

    async def fail() -> None:
        raise ValueError("told by whoever began it")

    tasks = [asyncio.create_task(work("one")), asyncio.create_task(work("two")), asyncio.create_task(fail())]
    await asyncio.sleep(0)
    tasks[0].cancel()  # whoever closes and then stops cancels twice
    await background.ended(*tasks, None)
    assert sorted(over) == ["one", "two"]
    await background.ended()
