"""What was committed since a moment, in one answer, whatever transactions run meanwhile.

A moment is a snapshot of PostgreSQL: it says of every transaction whether it had been committed by then. What is
visible now and was not visible then was committed in between: nothing is missing, nothing comes twice, and nothing
waits for an older transaction. There is no order in it, and so no place from which a feed could go on: it is for
whoever keeps answers, and has to know at an instant that no change is unknown to it.
"""

import re
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from shared.events.log import CHANGE_COLUMNS, change_of
from shared.events.schema import EVENT_LOG
from shared.events.tags import changed_tags

MOST_EVENTS = 2_000
"""Of more, only is said that there were too many."""
LONGEST_MOMENT = 16_384
"""Characters: some 1,500 transactions that run at the same time."""
_PATIENCE_S = 5.0
_MOMENT = re.compile(r"(\d{1,20})@(\d{1,20}:\d{1,20}:(?:\d{1,20}(?:,\d{1,20})*)?)", re.ASCII)

_NOW = (
    "SELECT system_identifier::text AS log, pg_current_snapshot()::text AS snapshot FROM pg_control_system()"
)
# Of one statement: what it sees is what its snapshot says. A moment ahead of every transaction is another cluster's,
# or of one that was set back. Nothing older than the moment's oldest running transaction can have been missed.
# The order is the index's, by which alone it is found in time: without it the planner expects a third of the log.
_SINCE = f"""
    WITH now AS MATERIALIZED (
        {_NOW}
    ), known AS MATERIALIZED (
        SELECT now.*, now.log = $1 AND pg_snapshot_xmax($2::text::pg_snapshot) <=
            pg_snapshot_xmax(pg_current_snapshot()) AS known
        FROM now
    )
    SELECT known.*, e.* FROM known LEFT JOIN LATERAL (
        SELECT e.tenant_id, {CHANGE_COLUMNS} FROM {EVENT_LOG} e
        WHERE known.known AND e.transaction_id >= pg_snapshot_xmin($2::text::pg_snapshot)::text::bigint
            AND NOT pg_visible_in_snapshot(e.transaction_id::text::xid8, $2::text::pg_snapshot)
        ORDER BY e.transaction_id, e.sequence LIMIT $3
    ) e ON true
"""  # noqa: S608 - our own names


class Moment(NamedTuple):
    """What had been committed in the cluster `log`, as PostgreSQL writes a snapshot: oldest, next, still running."""

    log: str
    snapshot: str

    def __str__(self) -> str:
        return f"{self.log}@{self.snapshot}"

    @classmethod
    def read(cls, text: str) -> "Moment":
        """The moment that the text names. Raises ValueError for anything else."""
        match = _MOMENT.fullmatch(text) if len(text) <= LONGEST_MOMENT else None
        if match is None:
            raise ValueError("not a moment of an event log")
        oldest, upcoming, running = match[2].split(":")
        ids = [int(one) for one in running.split(",") if one]
        inside = all(int(oldest) <= one < int(upcoming) for one in ids) and ids == sorted(ids)
        possible = _is_transaction(oldest) and _is_transaction(upcoming) and int(oldest) <= int(upcoming)
        if not possible or not inside:
            raise ValueError("not a moment of an event log")
        return cls(match[1], match[2])


def _is_transaction(text: str) -> bool:
    """Whether PostgreSQL takes it for the id of one: the lower half is never 0."""
    return 0 < int(text) < 2**63 and int(text) % 2**32 != 0


@dataclass(frozen=True, slots=True)
class Since:
    """What was committed after the moment that was asked about, and not after `moment`: the tags by tenant.

    With `reset` that cannot be told, or it is too much: whatever is known may be out of date.
    """

    moment: Moment
    reset: bool
    tags: dict[UUID, list[str]]

    def as_json(self) -> dict[str, Any]:
        """For the answer."""
        return {
            "moment": str(self.moment),
            "reset": self.reset,
            "changes": [{"tenant_id": str(tenant), "tags": tags} for tenant, tags in self.tags.items()],
        }


async def read_since(
    connection: asyncpg.Connection, moment: Moment | None, *, limit: int = MOST_EVENTS
) -> Since:
    """What was committed after the moment; without one, only what moment it is now, with `reset`."""
    if moment is None:
        row = await connection.fetchrow(_NOW, timeout=_PATIENCE_S)
        return Since(Moment(row["log"], row["snapshot"]), True, {})
    rows = await connection.fetch(_SINCE, moment.log, moment.snapshot, limit + 1, timeout=_PATIENCE_S)
    now = Moment(rows[0]["log"], rows[0]["snapshot"])
    if not rows[0]["known"] or len(rows) > limit:
        return Since(now, True, {})
    changes: dict[UUID, list[Any]] = {}
    for row in rows:
        if row["tenant_id"] is not None:
            changes.setdefault(UUID(int=row["tenant_id"].int), []).append(change_of(row))
    return Since(now, False, {tenant: changed_tags(found) for tenant, found in changes.items()})
