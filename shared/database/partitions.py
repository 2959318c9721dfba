"""Tables that only ever grow, kept in monthly pieces so that old ones can be dropped whole.

Such a table (see `HistoryRow`) is partitioned by range over an instant that is part of its primary key. Its months
are partitions made ahead of time; a DEFAULT partition takes whatever lies outside them, such as years of imported
history, so that no insert can fail for want of a partition. Months are UTC's, and are kept or dropped as a whole.
"""

import logging
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.chores import keep_doing
from shared.database.database import Database

MONTHS_AHEAD = 3
DELETED_AT_ONCE = 10_000
_CHECK_EVERY_S = 24 * 60 * 60
_logger = logging.getLogger(__name__)

_TAKE_TURNS = text("SELECT pg_advisory_xact_lock(hashtextextended('partitions of ' || :table, 0))")
_EXISTS = text("SELECT to_regclass(:table) IS NOT NULL")
_TIME_COLUMN = text(
    "SELECT a.attname FROM pg_partitioned_table p "
    "JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0] "
    "WHERE p.partrelid = to_regclass(:table)"
)
_PARTITIONS = text(
    "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
    "WHERE i.inhparent = to_regclass(:table) ORDER BY c.relname"
)
# Dropping a month locks the whole table for a moment; whoever wants to read waits behind us for no longer than this.
_WAIT_BRIEFLY = text("SET LOCAL lock_timeout = '1s'")


def ensure_partitions(
    connection: Connection, table: str, months_ahead: int = MONTHS_AHEAD, *, today: date | None = None
) -> list[str]:
    """Makes the DEFAULT partition, this month's and those of `months_ahead` more; returns the names of new ones.

    Runs in the caller's transaction and may be repeated at will, also by several processes at once. Rows that
    reached the DEFAULT partition before their month had one are moved. Raises ValueError for a table that is not
    partitioned.
    """
    connection.execute(_TAKE_TURNS, {"table": table})
    column = _time_column(connection, table)
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


def drop_months_before(connection: Connection, table: str, oldest: date) -> list[str]:
    """Drops the partitions of the months before that of `oldest`; returns their names.

    Runs in the caller's transaction. Raises the driver's lock timeout when others hold on to the table.
    """
    connection.execute(_WAIT_BRIEFLY)
    connection.execute(_TAKE_TURNS, {"table": table})
    first_kept = f"{table}_{oldest:%Y_%m}"
    month = re.compile(rf"{re.escape(table)}_\d{{4}}_\d\d\Z")
    names = connection.execute(_PARTITIONS, {"table": table}).scalars()
    dropped = [name for name in names if month.match(name) and name < first_kept]
    for name in dropped:
        connection.exec_driver_sql(f"DROP TABLE {name}")
    return dropped


def delete_default_before(connection: Connection, table: str, oldest: date) -> int:
    """Deletes rows of the DEFAULT partition that lie before the month of `oldest`; returns how many.

    At most `DELETED_AT_ONCE` of them, so that no statement takes long: repeat until there are fewer.
    """
    default, column = f"{table}_default", _time_column(connection, table)
    found = connection.exec_driver_sql(
        f"DELETE FROM {default} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {default} "  # noqa: S608 (our own names)
        f"WHERE {column} < '{oldest:%Y-%m}-01 00:00:00+00' LIMIT {DELETED_AT_ONCE}))"
    )
    return found.rowcount


async def keep_partitions(
    database: Database, tables: Sequence[str], *, retention_days: int | None = None
) -> None:
    """Looks after the partitions of these tables once a day, for as long as it is left to run.

    With `retention_days`, months that ended longer ago than so many days go; without, everything is kept for ever.
    """

    async def look_after() -> None:
        for table in tables:
            await _make_ahead(database, table)
            if retention_days is not None:
                oldest = datetime.now(UTC).date() - timedelta(days=retention_days)
                await forget_before(database, table, oldest)

    await keep_doing(f"partitions of {', '.join(tables)}", look_after, every_s=_CHECK_EVERY_S)


async def forget_before(database: Database, table: str, oldest: date) -> None:
    """Removes what lies before the month of `oldest`, in transactions of their own."""

    async def drop(session: AsyncSession) -> list[str]:
        return await (await session.connection()).run_sync(drop_months_before, table, oldest)

    async def delete(session: AsyncSession) -> int:
        return await (await session.connection()).run_sync(delete_default_before, table, oldest)

    for name in await database.write(drop, repeatable=True):
        _logger.info("dropped %s", name)
    deleted = DELETED_AT_ONCE
    while deleted == DELETED_AT_ONCE:
        deleted = await database.write(delete, repeatable=True)
        if deleted:
            _logger.info("deleted %d rows before %s from %s_default", deleted, f"{oldest:%Y-%m}", table)


async def _make_ahead(database: Database, table: str) -> None:
    async def make(session: AsyncSession) -> None:
        await (await session.connection()).run_sync(ensure_partitions, table)

    await database.write(make, repeatable=True)


def _time_column(connection: Connection, table: str) -> str:
    column = connection.execute(_TIME_COLUMN, {"table": table}).scalar_one_or_none()
    if column is None:
        raise ValueError(f"{table} is not a partitioned table")
    return str(column)


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
