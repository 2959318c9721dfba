"""Work that a worker does over and over again, whatever becomes of the database in between."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from shared.database.failures import LOCK_TIMEOUT, STATEMENT_TIMEOUT, connection_lost, sqlstate_of
from shared.problems import Problem

_logger = logging.getLogger("kontor.chores")
_AGAIN_S = 10.0


async def keep_doing(
    what: str, chore: Callable[[], Awaitable[None]], *, every_s: float, again_s: float = _AGAIN_S
) -> None:
    """Does the chore, every so many seconds, for as long as it is left to run.

    A database that is away or too busy costs one warning line and another attempt after `again_s` seconds; any
    other failure is a defect and is raised. `what` is how the log calls the chore.
    """
    while True:
        try:
            await chore()
        except Exception as error:
            if not passes_by_itself(error):
                raise
            _logger.warning("%s: put off for %g s: %s", what, again_s, _one_line(error))
            await asyncio.sleep(again_s)
        else:
            await asyncio.sleep(every_s)


def passes_by_itself(error: BaseException) -> bool:
    """Whether the same chore may well succeed a little later."""
    if isinstance(error, Problem):
        return error.status == 503
    return connection_lost(error) or sqlstate_of(error) in (LOCK_TIMEOUT, STATEMENT_TIMEOUT)


def _one_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
