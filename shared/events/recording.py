"""What a transaction is told of its request, and what it can tell of its changes before it is committed."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import NamedTuple

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from shared.events.log import CHANGE_COLUMNS, change_of
from shared.events.position import Position
from shared.events.schema import EVENT_LOG, PRINCIPAL_SETTING, TRACE_SETTING
from shared.events.tags import (
    CHANGED_HEADER,
    POSITION_HEADER,
    changed_tags,
    write_tags,
)
from shared.idempotency import Answer

_SET_ORIGIN = f"SELECT set_config('{PRINCIPAL_SETTING}', $1, true), set_config('{TRACE_SETTING}', $2, true)"
# The transaction began before its first change: older months need not be looked at.
_CHANGES = (
    f"SELECT transaction_id, sequence, {CHANGE_COLUMNS} FROM {EVENT_LOG} e "  # noqa: S608 (our own names)
    "WHERE transaction_id = pg_current_xact_id_if_assigned()::text::bigint AND occurred_at >= now() ORDER BY sequence"
)


class Origin(NamedTuple):
    """Whom a change is by, and on which request."""

    principal: str
    traceparent: str | None = None


async def act_for(connection: asyncpg.Connection, principal: str) -> None:
    """Whatever changes over this connection from now on is by this principal; where nobody says, it is by `system`."""
    await connection.execute(f"SELECT set_config('{PRINCIPAL_SETTING}', $1, false)", principal)


async def recorded(session: AsyncSession, origin: Origin, execute: Callable[[], Awaitable[Answer]]) -> Answer:
    """Executes in the session's transaction; the answer then says in its headers what was changed."""
    connection = await session.connection()
    await connection.exec_driver_sql(_SET_ORIGIN, (origin.principal, origin.traceparent or ""))
    answer = await execute()
    await session.flush()
    rows = (await connection.exec_driver_sql(_CHANGES)).all()
    headers = {CHANGED_HEADER: write_tags(changed_tags(change_of(row._mapping) for row in rows))}
    if rows:
        headers[POSITION_HEADER] = str(Position(rows[-1].transaction_id, rows[-1].sequence))
    return replace(answer, headers={**answer.headers, **headers})
