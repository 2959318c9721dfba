"""A chore outlives what passes by itself, and nothing else."""

import asyncio
import logging
from collections.abc import Iterator

import asyncpg
import pytest

from shared.database.chores import keep_doing, passes_by_itself
from shared.problems import not_found, unavailable


class _Enough(Exception):
    """Ends a chore that would go on for ever."""


async def _do(outcomes: Iterator[Exception | None], slept: list[float]) -> None:
    async def chore() -> None:
        outcome = next(outcomes)
        if outcome is not None:
            raise outcome

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(asyncio, "sleep", sleep)
        await keep_doing("sweeping", chore, every_s=600, again_s=10)


async def test_a_database_that_is_away_is_one_warning_and_another_attempt(
    caplog: pytest.LogCaptureFixture,
) -> None:
    slept: list[float] = []
    away = unavailable("The database does not answer.")
    with caplog.at_level(logging.INFO, "kontor.chores"), pytest.raises(_Enough):
        await _do(iter([None, away, ConnectionRefusedError(), None, _Enough()]), slept)
    assert slept == [600, 10, 10, 600]
    assert [record.getMessage() for record in caplog.records] == [
        "sweeping: put off for 10 s: 503 unavailable: The database does not answer.",
        "sweeping: put off for 10 s: ConnectionRefusedError",
    ]
    assert not any(record.exc_info for record in caplog.records)


async def test_a_defect_ends_it() -> None:
    with pytest.raises(ZeroDivisionError):
        await _do(iter([ZeroDivisionError()]), [])


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (unavailable("away"), True),
        (asyncpg.LockNotAvailableError("canceling statement due to lock timeout"), True),
        (asyncpg.QueryCanceledError("canceling statement due to statement timeout"), True),
        (asyncpg.ConnectionDoesNotExistError("closed"), True),
        (asyncpg.UndefinedTableError("no such table"), False),
        (not_found(), False),
    ],
)
def test_what_passes_by_itself(error: Exception, passes: bool) -> None:
    assert passes_by_itself(error) is passes
