"""A service's database with hands on it: transactions that stay open, and a reader of the log."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg

from shared.database.tables import new_id
from shared.events.log import LoggedEvent, Reading, read_log
from shared.events.position import Position

BEGINNING = Position(0, 0)


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


def ids_of(events: Iterable[LoggedEvent]) -> list[UUID]:
    """The records of these events."""
    return [record_id for event in events for record_id in event.change.ids]
