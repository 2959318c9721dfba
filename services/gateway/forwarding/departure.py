"""Stop working for a caller who has gone."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from services.gateway.forwarding.body import CallerBody, CallerLeftError


@asynccontextmanager
async def while_caller_stays(body: CallerBody, done: Callable[[], bool]) -> AsyncIterator[None]:
    """Runs the block; if the caller disconnects before `done()`, cancels it and raises `CallerLeftError`.

    The block stays in its task, so that the request's context (id, span) needs no carrying over.
    """
    try:
        async with asyncio.timeout(None) as scope:
            watcher = asyncio.create_task(_cut_on_departure(body, done, scope))
            try:
                yield
            finally:
                watcher.cancel()
    except TimeoutError as error:
        if scope.expired():
            raise CallerLeftError from error
        raise


async def _cut_on_departure(body: CallerBody, done: Callable[[], bool], scope: asyncio.Timeout) -> None:
    await body.until_caller_leaves()
    # The server reports a disconnection after a complete answer, too; the connection may go back then.
    if not done():
        scope.reschedule(asyncio.get_running_loop().time())
