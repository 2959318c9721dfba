import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from shared.telemetry.driving import driven, time_tasks
from shared.telemetry.request import RequestContext, current_request
from shared.telemetry.stopwatch import LoopWork, Stopwatch

MS = 1_000_000


def begun() -> Stopwatch:
    now = time.perf_counter_ns()
    return Stopwatch(now, now, LoopWork())


async def test_results_pass_and_steps_are_told_from_waits() -> None:
    async def work() -> str:
        time.sleep(0.01)  # noqa: ASYNC251 (a step that lasts)
        await asyncio.sleep(0.02)
        return "done"

    watch = begun()
    assert await driven(watch, work()) == "done"
    terms = watch.lap(time.perf_counter_ns())
    assert terms.processing >= 10 * MS
    assert terms.sched >= 19 * MS
    assert watch.steps >= 2


async def test_an_exception_passes_and_ends_the_step() -> None:
    async def work() -> None:
        await asyncio.sleep(0)
        raise LookupError

    watch = begun()
    with pytest.raises(LookupError):
        await driven(watch, work())
    assert watch.steps == 2


async def test_a_cancellation_reaches_the_coroutine_which_may_refuse() -> None:
    async def work() -> str:
        try:
            await asyncio.sleep(3_600)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            return "survived"
        return "never"

    async def outer() -> str:
        return await driven(begun(), work())

    task = asyncio.create_task(outer())
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "survived"


async def test_a_timeout_within_works() -> None:
    async def work() -> None:
        async with asyncio.timeout(0.001):
            await asyncio.sleep(3_600)

    with pytest.raises(TimeoutError):
        await driven(begun(), work())


def test_a_coroutine_that_is_given_up_is_closed() -> None:
    closed: list[bool] = []

    async def work() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            closed.append(True)

    async def outer() -> None:
        await driven(begun(), work())

    coroutine = outer()
    coroutine.send(None)
    coroutine.close()
    assert closed == [True]


@pytest.fixture
async def timed_tasks() -> AsyncIterator[None]:
    """On the loop of the tests, for one test."""
    loop = asyncio.get_running_loop()
    time_tasks(loop)
    yield
    loop.set_task_factory(None)


async def in_a_request(work: Callable[[], Awaitable[None]]) -> Stopwatch:
    watch = begun()

    async def request() -> None:
        await work()

    token = current_request.set(RequestContext(watch))
    try:
        await driven(watch, request())
    finally:
        current_request.reset(token)
    return watch


@pytest.mark.usefixtures("timed_tasks")
async def test_the_tasks_of_a_request_are_its_own_steps() -> None:
    async def child(pause_s: float) -> None:
        await asyncio.sleep(pause_s)
        time.sleep(0.01)  # noqa: ASYNC251 (a step that lasts)

    async def work() -> None:
        await asyncio.gather(child(0.001), child(0.002), child(0.003))

    terms = (await in_a_request(work)).lap(time.perf_counter_ns())
    assert terms.processing >= 30 * MS


@pytest.mark.usefixtures("timed_tasks")
async def test_tasks_of_no_request_are_left_alone() -> None:
    async def child() -> str:
        return "free"

    inner = child()
    task = asyncio.create_task(inner, name="one")
    assert task.get_coro() is inner
    assert task.get_name() == "one"
    assert await task == "free"
