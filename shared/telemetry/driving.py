"""Coroutines driven step by step, each step timed: what a request does itself apart from what it waits for."""

import asyncio
from collections.abc import Coroutine, Generator
from contextvars import Context
from time import perf_counter_ns
from types import coroutine
from typing import Any, TypeVar

from shared.telemetry.request import current_request
from shared.telemetry.stopwatch import Stopwatch

T = TypeVar("T")


@coroutine
def driven(watch: Stopwatch, inner: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """Awaits a coroutine, telling the watch when its steps end and begin. The first one is under way already."""
    thrown: BaseException | None = None
    while True:
        try:
            waited_for = inner.send(None) if thrown is None else inner.throw(thrown)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]  # a generator's StopIteration is not generic
        finally:
            watch.paused(perf_counter_ns())
            thrown = None  # or the exception, its traceback and this frame would keep one another
        try:
            yield waited_for
        except GeneratorExit:
            inner.close()
            raise
        except BaseException as error:  # noqa: BLE001 (a cancellation, mostly: it is the inner coroutine's)
            thrown = error
        watch.resumed(perf_counter_ns())


def time_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """From now on the tasks that a request starts are steps of that request, too."""
    loop.set_task_factory(_make_task)


def _make_task(
    loop: asyncio.AbstractEventLoop,
    inner: Coroutine[Any, Any, T] | Generator[Any, None, T],
    context: Context | None = None,
) -> "asyncio.Task[T]":
    request = current_request.get() if context is None else context.get(current_request)
    if request is not None and asyncio.iscoroutine(inner):
        inner = _begun(request.watch, inner)
    return asyncio.Task(inner, loop=loop, context=context)


async def _begun(watch: Stopwatch, inner: Coroutine[Any, Any, T]) -> T:
    watch.resumed(perf_counter_ns())
    return await driven(watch, inner)
