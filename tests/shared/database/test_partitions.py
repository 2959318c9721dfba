"""Monthly partitions: made ahead, made once, and nothing is lost when they come late."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from itertools import count

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from deploy.local.postgres import PostgresServer
from shared.database.partitions import ensure_partitions, months

_NUMBERS = count(1)
_TABLE = text(
    "CREATE TABLE notes (id bigint NOT NULL, at timestamptz NOT NULL, body text, PRIMARY KEY (id, at)) "
    "PARTITION BY RANGE (at)"
)
_WHERE = text("SELECT id, tableoid::regclass::text FROM notes ORDER BY id")


@pytest.fixture
async def engine(postgres: PostgresServer) -> AsyncIterator[AsyncEngine]:
    name = f"partitions_{next(_NUMBERS)}"
    postgres.execute(f"CREATE DATABASE {name}", database="postgres")
    engine = create_async_engine(make_url(postgres.url(name)).set(drivername="postgresql+asyncpg"))
    async with engine.begin() as connection:
        await connection.execute(_TABLE)
    yield engine
    await engine.dispose()


async def _ensure(connection: AsyncConnection, today: date, months_ahead: int) -> list[str]:
    return await connection.run_sync(
        lambda sync: ensure_partitions(sync, "notes", months_ahead=months_ahead, today=today)
    )


async def _add(connection: AsyncConnection, number: int, at: datetime) -> None:
    await connection.execute(text("INSERT INTO notes VALUES (:id, :at, 'x')"), {"id": number, "at": at})


def test_months_cross_the_year() -> None:
    assert list(months(date(2026, 11, 21), 3)) == [
        (date(2026, 11, 1), date(2026, 12, 1)),
        (date(2026, 12, 1), date(2027, 1, 1)),
        (date(2027, 1, 1), date(2027, 2, 1)),
    ]


async def test_makes_each_partition_once(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        first = await _ensure(connection, date(2026, 11, 21), 1)
        again = await _ensure(connection, date(2026, 11, 30), 1)
        later = await _ensure(connection, date(2026, 12, 1), 1)
    assert first == ["notes_default", "notes_2026_11", "notes_2026_12"]
    assert again == []
    assert later == ["notes_2027_01"]


async def test_rows_lie_in_their_month_and_the_rest_in_the_default(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await _ensure(connection, date(2026, 11, 21), 1)
        await _add(connection, 1, datetime(2016, 10, 20, tzinfo=UTC))
        await _add(connection, 2, datetime(2026, 11, 1, tzinfo=UTC))
        await _add(connection, 3, datetime(2026, 11, 30, 23, 59, 59, 999_999, tzinfo=UTC))
        await _add(connection, 4, datetime(2026, 12, 1, tzinfo=UTC))
        placed = [tuple(row) for row in await connection.execute(_WHERE)]
    assert placed == [
        (1, "notes_default"),
        (2, "notes_2026_11"),
        (3, "notes_2026_11"),
        (4, "notes_2026_12"),
    ]


async def test_a_month_that_comes_late_takes_its_rows_from_the_default(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("SET LOCAL TimeZone = 'Pacific/Auckland'"))
        await _ensure(connection, date(2026, 11, 21), 0)
        await _add(connection, 1, datetime(2026, 12, 24, tzinfo=UTC))
        await _add(connection, 2, datetime(2027, 1, 1, tzinfo=UTC))
        await _ensure(connection, date(2026, 12, 1), 0)
        placed = [tuple(row) for row in await connection.execute(_WHERE)]
    assert placed == [(1, "notes_2026_12"), (2, "notes_default")]


async def test_a_late_partition_has_the_primary_key(engine: AsyncEngine) -> None:
    at = datetime(2026, 11, 2, tzinfo=UTC)
    async with engine.begin() as connection:
        await _ensure(connection, date(2026, 11, 21), 0)
        await _add(connection, 1, at)
    with pytest.raises(IntegrityError):
        async with engine.begin() as connection:
            await _add(connection, 1, at)


async def test_processes_take_turns(engine: AsyncEngine) -> None:
    async def once() -> list[str]:
        async with engine.begin() as connection:
            return await _ensure(connection, date(2026, 11, 21), 2)

    made = await asyncio.gather(*(once() for _ in range(5)))
    assert sorted(len(names) for names in made) == [0, 0, 0, 0, 4]


async def test_refuses_a_table_without_partitions(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE plain (id bigint)"))
        with pytest.raises(ValueError, match="not a partitioned table"):
            await connection.run_sync(ensure_partitions, "plain")
