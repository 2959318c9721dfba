"""Work beside other work: for as long as a block runs, or until it is told to end."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any


@asynccontextmanager
async def in_background(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run these beside the block, cancel them at its end and wait until they are over.

    What one of them has raised is raised at the end of the block, and not before.
    """
    tasks = [asyncio.create_task(one) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


async def ended(*tasks: asyncio.Task[Any] | None) -> None:
    """Cancel those that were begun, and wait until they are over. How they end is for `telling_failure` to say."""
    begun = [task for task in tasks if task is not None]
    for task in begun:
        task.cancel()
    await asyncio.gather(*begun, return_exceptions=True)


def telling_failure(log: logging.Logger, message: str) -> Callable[[asyncio.Task[Any]], None]:
    """For `add_done_callback` of a task whose end nobody awaits: a mistake that ended it is logged as an error."""

    def tell(task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error(message, exc_info=error)

    return tell
