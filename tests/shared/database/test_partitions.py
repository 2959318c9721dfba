"""Monthly partitions: made ahead, made once, and nothing is lost when they come late."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from itertools import count

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from deploy.local.postgres import PostgresServer
from shared.database.database import Database
from shared.database.partitions import (
    MONTHS_AHEAD,
    delete_default_before,
    drop_months_before,
    ensure_partitions,
    forget_before,
    keep_partitions,
    months,
)

_NUMBERS = count(1)
_TABLE = text(
    "CREATE TABLE notes (id bigint NOT NULL, at timestamptz NOT NULL, body text, PRIMARY KEY (id, at)) "
    "PARTITION BY RANGE (at)"
)
_WHERE = text("SELECT id, tableoid::regclass::text FROM notes ORDER BY id")


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    name = f"partitions_{next(_NUMBERS)}"
    postgres.execute(f"CREATE DATABASE {name}", database="postgres")
    return postgres.url(name)


@pytest.fixture
async def engine(url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"))
    async with engine.begin() as connection:
        await connection.execute(_TABLE)
    yield engine
    await engine.dispose()


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    database = Database(url, name="notes")
    await database.open()
    yield database
    await database.close()


async def _ids(engine: AsyncEngine) -> list[int]:
    async with engine.connect() as connection:
        return list((await connection.execute(text("SELECT id FROM notes ORDER BY id"))).scalars())


async def _partitions(engine: AsyncEngine) -> list[str]:
    asked = text(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'notes'::regclass ORDER BY 1"
    )
    async with engine.connect() as connection:
        return list((await connection.execute(asked)).scalars())


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


async def test_old_months_go_and_what_is_kept_stays(engine: AsyncEngine, database: Database) -> None:
    async with engine.begin() as connection:
        await _ensure(connection, date(2026, 9, 1), 3)
        for number, at in enumerate(
            (
                datetime(2016, 10, 20, tzinfo=UTC),  # in the DEFAULT partition
                datetime(2026, 9, 30, 23, 59, 59, 999_999, tzinfo=UTC),
                datetime(2026, 10, 1, tzinfo=UTC),
                datetime(2026, 11, 21, tzinfo=UTC),
                datetime(2030, 1, 1, tzinfo=UTC),  # in the DEFAULT partition, and not old
            )
        ):
            await _add(connection, number, at)
    await forget_before(database, "notes", date(2026, 10, 21))
    assert await _partitions(engine) == ["notes_2026_10", "notes_2026_11", "notes_2026_12", "notes_default"]
    assert await _ids(engine) == [2, 3, 4]
    await forget_before(database, "notes", date(2026, 10, 22))
    assert await _ids(engine) == [2, 3, 4]


async def test_many_old_rows_go_a_part_at_a_time(
    engine: AsyncEngine, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.database.partitions.DELETED_AT_ONCE", 2)
    async with engine.begin() as connection:
        await _ensure(connection, date(2026, 11, 1), 0)
        for number in range(5):
            await _add(connection, number, datetime(2016, 10, 20, tzinfo=UTC))
        deleted = await connection.run_sync(delete_default_before, "notes", date(2026, 11, 1))
    assert (deleted, len(await _ids(engine))) == (2, 3)
    await forget_before(database, "notes", date(2026, 11, 1))
    assert await _ids(engine) == []


async def test_a_table_in_use_is_left_for_later(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await _ensure(connection, date(2026, 9, 1), 2)
    async with engine.begin() as reader, engine.connect() as connection:
        await reader.execute(_WHERE)
        with pytest.raises(DBAPIError, match="lock timeout"):
            await connection.run_sync(drop_months_before, "notes", date(2026, 11, 1))


@pytest.mark.parametrize(("retention_days", "kept"), [(None, [1, 2]), (30, [2])])
async def test_everything_is_kept_for_ever_unless_told_otherwise(
    engine: AsyncEngine, database: Database, retention_days: int | None, kept: list[int]
) -> None:
    async with engine.begin() as connection:
        await _ensure(connection, date(2020, 1, 1), 0)
        await _add(connection, 1, datetime(2020, 1, 15, tzinfo=UTC))
        await _add(connection, 2, datetime.now(UTC))
    keeping = asyncio.create_task(keep_partitions(database, ["notes"], retention_days=retention_days))
    try:
        async with asyncio.timeout(10):
            while not await _settled(engine, kept):  # noqa: ASYNC110 - the worker wakes nobody
                await asyncio.sleep(0.02)
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
    assert await _ids(engine) == kept


async def _settled(engine: AsyncEngine, kept: list[int]) -> bool:
    """This month's partition and the next ones are there, and the old one only if all is kept."""
    found = await _partitions(engine)
    return len(found) == 1 + MONTHS_AHEAD + len(kept) and f"notes_{datetime.now(UTC):%Y_%m}" in found
