"""A service's database with hands on it: transactions that stay open, and a reader of the log."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg

from shared.database.tables import new_id
from shared.events.log import LoggedEvent, Reading, read_log
from shared.events.position import Position

BEGINNING = Position(0, 0)
_NEXT = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
_OLDEST = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of its own."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def add_accounts(connection: asyncpg.Connection, tenant_id: UUID, ids: Iterable[UUID]) -> None:
    """One statement."""
    await connection.execute(
        "INSERT INTO accounts (tenant_id, id, name) SELECT $1, unnest($2::uuid[]), 'Acme'",
        tenant_id,
        list(ids),
    )


async def add_account(connection: asyncpg.Connection, tenant_id: UUID) -> UUID:
    """One record; returns its id."""
    record_id = new_id()
    await add_accounts(connection, tenant_id, [record_id])
    return record_id


async def read_everything(connection: asyncpg.Connection, after: Position = BEGINNING) -> list[LoggedEvent]:
    """All that is final."""
    events: list[LoggedEvent] = []
    while True:
        reading: Reading = await read_log(connection, after, limit=7)
        events += reading.events
        if len(reading.events) < 7:
            return events
        after = reading.through


async def settled(connection: asyncpg.Connection) -> None:
    """All that was committed before is final: that waits for every transaction of the server, other tests' too."""
    after = await connection.fetchval(_NEXT)
    while await connection.fetchval(_OLDEST) < after:  # noqa: ASYNC110 (PostgreSQL tells nobody)
        await asyncio.sleep(0.01)


async def read_settled(connection: asyncpg.Connection) -> list[LoggedEvent]:
    """All that was committed before."""
    await settled(connection)
    return await read_everything(connection)


def ids_of(events: Iterable[LoggedEvent]) -> list[UUID]:
    """The records of these events."""
    return [record_id for event in events for record_id in event.change.ids]
