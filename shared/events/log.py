"""Reading the event log in the order of its transactions, without gaps.

Transactions commit in another order than they began, so at any moment some that are older than what can be seen may
still commit. Only what lies below the oldest one that runs is final (`pg_snapshot_xmin`): that much is read, the rest
is held back, and counted. One statement sees one snapshot, so the horizon and the rows are of the same moment.

The oldest one that runs may be in another database of the same server: PostgreSQL counts transactions for all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from shared.events.position import Cursor, Position
from shared.events.schema import EVENT_LOG
from shared.events.tags import MOST_NAMED, Change

AT_ONCE = 200
"""Events of one reading."""
_PATIENCE_S = 5.0

CHANGE_COLUMNS = (
    f"e.kind, e.action, e.record_count, CASE WHEN e.record_count <= {MOST_NAMED} THEN e.record_ids END AS ids, "
    f"CASE WHEN e.record_count <= {MOST_NAMED} THEN e.versions END AS versions, "
    f"CASE WHEN e.record_count <= {MOST_NAMED} THEN e.parent_ids END AS parents"
)
"""What `change_of` needs of the log's rows `e`; the ids of an import's thousands are not even fetched."""
_EVENT_COLUMNS = (
    f"e.tenant_id, e.transaction_id, e.sequence, e.occurred_at, e.principal, e.traceparent, {CHANGE_COLUMNS}"
)
_HORIZON = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS xmin"
_HELD = f"SELECT count(*) AS held, min(occurred_at) AS since FROM {EVENT_LOG} WHERE transaction_id >= horizon.xmin"
_READ = f"""
    WITH horizon AS MATERIALIZED ({_HORIZON})
    SELECT horizon.xmin, held.held, coalesce(extract(epoch FROM clock_timestamp() - held.since), 0)::float8 AS behind_s,
        e.*
    FROM horizon CROSS JOIN LATERAL ({_HELD}) held LEFT JOIN LATERAL (
        SELECT {_EVENT_COLUMNS} FROM {EVENT_LOG} e
        WHERE (e.transaction_id, e.sequence) > ($1::bigint, $2::bigint) AND e.transaction_id < horizon.xmin
        ORDER BY e.transaction_id, e.sequence LIMIT $3
    ) e ON true
    ORDER BY e.transaction_id, e.sequence
"""
_EARLY = f"""
    SELECT {_EVENT_COLUMNS} FROM {EVENT_LOG} e
    WHERE e.transaction_id >= $1::bigint AND e.transaction_id <> ALL($2::bigint[])
    ORDER BY e.transaction_id, e.sequence LIMIT $3
"""
# Ahead of every transaction so far: of another cluster, or of one that was set back. Behind all that is kept: who can
# tell what was dropped since?
_KNOWN = f"""
    SELECT $1::bigint <= pg_snapshot_xmax(pg_current_snapshot())::text::bigint AND (
        EXISTS (SELECT FROM {EVENT_LOG} WHERE (transaction_id, sequence) <= ($1::bigint, $2::bigint))
        OR NOT EXISTS (SELECT FROM {EVENT_LOG})
    )
"""
_CLUSTER = "SELECT system_identifier::text FROM pg_control_system()"


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One entry of the log. `type` is such as `contacts.updated`; `traceparent` is the request's, if it had one."""

    position: Position
    tenant_id: UUID
    occurred_at: datetime
    change: Change
    principal: str
    traceparent: str | None

    @property
    def type(self) -> str:
        """What happened to which kind."""
        return f"{self.change.kind}.{self.change.action}"


@dataclass(frozen=True, slots=True)
class Reading:
    """Events in order, and where the log is final.

    `through`: nothing will ever appear at or before it that was not read by then. `held`: events that are committed and
    wait for an older transaction to end. `behind_s`: for how long the oldest of them has waited.
    """

    events: Sequence[LoggedEvent]
    through: Position
    held: int
    behind_s: float


async def read_log(connection: asyncpg.Connection, after: Position, *, limit: int = AT_ONCE) -> Reading:
    """The next events after a position, at most `limit`."""
    rows = await connection.fetch(_READ, after.transaction, after.sequence, limit, timeout=_PATIENCE_S)
    events = [_event(row) for row in rows if row["transaction_id"] is not None]
    final = Position(rows[0]["xmin"], 0)  # numbers begin at 1: all of that transaction is still to come
    through = events[-1].position if len(events) == limit else max(final, after)
    return Reading(events, through, rows[0]["held"], rows[0]["behind_s"])


async def end_of_log(connection: asyncpg.Connection) -> Position:
    """Up to where the log is final at this moment."""
    return Position(await connection.fetchval(_HORIZON, timeout=_PATIENCE_S), 0)


async def read_early(
    connection: asyncpg.Connection, after: Position, known: Sequence[int], *, limit: int = AT_ONCE
) -> list[LoggedEvent]:
    """What is committed after `after`, where the log need not be final yet, but for the transactions in `known`."""
    rows = await connection.fetch(_EARLY, after.transaction, list(known), limit, timeout=_PATIENCE_S)
    return [_event(row) for row in rows]


async def knows(connection: asyncpg.Connection, cursor: Cursor) -> bool:
    """Whether everything after the cursor is still in this log."""
    if cursor.log != await log_name(connection):
        return False
    return bool(await connection.fetchval(_KNOWN, *cursor.position, timeout=_PATIENCE_S))


async def log_name(connection: asyncpg.Connection) -> str:
    """What tells this log from the same one restored into another cluster."""
    return str(await connection.fetchval(_CLUSTER, timeout=_PATIENCE_S))


def change_of(row: Any) -> Change:
    """The change in a row of `CHANGE_COLUMNS`, by the columns' names."""
    ids = tuple(UUID(int=one.int) for one in row["ids"] or ())
    versions = tuple(row["versions"] or (1,) * len(ids))
    parents = tuple(UUID(int=one.int) for one in row["parents"] or ())
    return Change(row["kind"], row["action"], row["record_count"], ids, versions, parents)


def _event(row: asyncpg.Record) -> LoggedEvent:
    return LoggedEvent(
        Position(row["transaction_id"], row["sequence"]),
        row["tenant_id"],
        row["occurred_at"],
        change_of(row),
        row["principal"],
        row["traceparent"],
    )
