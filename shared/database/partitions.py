"""Tables that only ever grow, kept in monthly pieces so that old ones can be dropped whole.

Such a table (see `HistoryRow`) is partitioned by range over an instant that is part of its primary key. Its months
are partitions made ahead of time; a DEFAULT partition takes whatever lies outside them, such as years of imported
history, so that no insert can fail for want of a partition. Months are UTC's.
"""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.database import Database

MONTHS_AHEAD = 3
_CHECK_EVERY_S = 24 * 60 * 60

_TAKE_TURNS = text("SELECT pg_advisory_xact_lock(hashtextextended('partitions of ' || :table, 0))")
_EXISTS = text("SELECT to_regclass(:table) IS NOT NULL")
_TIME_COLUMN = text(
    "SELECT a.attname FROM pg_partitioned_table p "
    "JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0] "
    "WHERE p.partrelid = to_regclass(:table)"
)


def ensure_partitions(
    connection: Connection, table: str, months_ahead: int = MONTHS_AHEAD, *, today: date | None = None
) -> list[str]:
    """Makes the DEFAULT partition, this month's and those of `months_ahead` more; returns the names of new ones.

    Runs in the caller's transaction and may be repeated at will, also by several processes at once. Rows that
    reached the DEFAULT partition before their month had one are moved. Raises ValueError for a table that is not
    partitioned.
    """
    connection.execute(_TAKE_TURNS, {"table": table})
    column = connection.execute(_TIME_COLUMN, {"table": table}).scalar_one_or_none()
    if column is None:
        raise ValueError(f"{table} is not a partitioned table")
    default = f"{table}_default"
    made = []
    if not _exists(connection, default):
        connection.exec_driver_sql(f"CREATE TABLE {default} PARTITION OF {table} DEFAULT")
        made.append(default)
    for start, end in months(today or datetime.now(UTC).date(), months_ahead + 1):
        name = f"{table}_{start:%Y_%m}"
        if not _exists(connection, name):
            _make_month(connection, table, column, name, start, end)
            made.append(name)
    return made


def months(first: date, number: int) -> Iterator[tuple[date, date]]:
    """The month of `first` and the ones after it, each as its first day and the next month's."""
    start = first.replace(day=1)
    for _ in range(number):
        end = date(start.year + start.month // 12, start.month % 12 + 1, 1)
        yield start, end
        start = end


async def keep_partitions_ahead(database: Database, tables: Sequence[str]) -> None:
    """Looks after the partitions of these tables once a day, for as long as it is left to run."""

    async def make(session: AsyncSession) -> None:
        connection = await session.connection()
        for table in tables:
            await connection.run_sync(ensure_partitions, table)

    while True:
        await database.write(make, repeatable=True)
        await asyncio.sleep(_CHECK_EVERY_S)


def _exists(connection: Connection, table: str) -> bool:
    return bool(connection.execute(_EXISTS, {"table": table}).scalar_one())


def _make_month(connection: Connection, table: str, column: str, name: str, start: date, end: date) -> None:
    """Filled first and attached then: attaching blocks no reader or writer of the other months."""
    within = f"{column} >= '{start} 00:00:00+00' AND {column} < '{end} 00:00:00+00'"
    connection.exec_driver_sql(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL)")
    connection.exec_driver_sql(
        f"WITH moved AS (DELETE FROM {table}_default WHERE {within} RETURNING *) "  # noqa: S608 (our own names)
        f"INSERT INTO {name} SELECT * FROM moved"
    )
    connection.exec_driver_sql(
        f"ALTER TABLE {table} ATTACH PARTITION {name} "
        f"FOR VALUES FROM ('{start} 00:00:00+00') TO ('{end} 00:00:00+00')"
    )
