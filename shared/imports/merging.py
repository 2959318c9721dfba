"""Merging batches over one connection: a batch is copied into a temporary table, checked there and merged from there.

A batch of which no record exists yet, as in a first import, is inserted plainly, which costs PostgreSQL a tenth less
than asking for conflicts row by row. Whether it is such a batch is found out by trying: a query for the staged keys
beforehand is at the mercy of statistics, and for a tenant that they do not know yet it was planned to read the whole
tenant for each key.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg

from shared.events.recording import act_for
from shared.imports.plan import Plan
from shared.imports.reading.errors import RowError, shown

_PIECE_BYTES = 256 * 1024
_SETTINGS = (
    "SET work_mem = '64MB'",
    "SET temp_buffers = '64MB'",
    # Searches read what is pending from its first page to its last; more than this makes the merge no cheaper.
    "SET gin_pending_list_limit = '16MB'",
    # A lost tail takes the job's progress with it, and whoever says that the job is done waits for all before.
    "SET synchronous_commit = off",
    # The tenant as a value that the planner does not know. Statistics that have not seen a tenant yet say that it has
    # no rows, and then any index that begins with the tenant seems as good as the key's: of 300,000 tickets each
    # look-up read all (55 ms). Planned for a tenant of average size it takes the key's index (0.02 ms),
    # unless the statistics are from a time when no tenant had two rows.
    "SET plan_cache_mode = force_generic_plan",
)
Turn = Callable[[], Awaitable[None]]
"""Returns when every earlier batch of the file is committed."""


@dataclass(frozen=True)
class Scope:
    """Whose records are merged, the source of their keys, and who imports them."""

    tenant_id: UUID
    source: str
    principal: str


@dataclass(frozen=True)
class Merged:
    """What became of a batch's rows."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    errors: list[RowError] = field(default_factory=list)


class Merger:
    """One connection with its temporary tables. Its callers hold the transactions."""

    def __init__(self, connection: asyncpg.Connection, plan: Plan, scope: Scope) -> None:
        self.connection = connection
        self._plan = plan
        self._scope = scope
        self._statements = plan.statements()
        self._merge = self._statements.merge()
        self._create = self._statements.create()
        self._expects_new = True

    async def open(self) -> None:
        """Makes the temporary tables."""
        for sql in (*_SETTINGS, *self._statements.create_tables()):
            await self.connection.execute(sql)
        await act_for(self.connection, self._scope.principal)

    async def stage(self, text: bytes) -> None:
        """Copies a batch in, with an id and its numbers in front of each row."""
        await self.connection.copy_to_table(
            "staged", source=_pieces(text), columns=self._statements.copied_columns, format="text"
        )

    async def merge(self, turn: Turn, *, repeats: bool) -> Merged:
        """Merges what is staged; its errors are the rows that only SQL could find fault with.

        `repeats` is false when every staged key is known to differ. Records that exist are changed after `turn`: while
        a later batch waits for an earlier one it holds no lock on them.
        """
        # Without statistics the planner takes a temporary table for a small one and loops over it.
        await self.connection.execute(self._statements.analyze())
        if repeats:
            await self.connection.execute(self._statements.supersede())
        for sql in (*self._plan.target.before, *self._statements.look_up()):
            await self._execute(sql)
        errors = await self._take_out_faults()
        rows = await self.connection.fetchval("SELECT count(*) FROM staged")
        created, updated = await self._create_all(), 0
        if created is None:
            await turn()
            created, updated = await self._create_and_change()
            self._expects_new = created == rows
        if self._plan.target.after:
            await self.connection.execute("ANALYZE merged")
        for sql in self._plan.target.after:
            await self._execute(sql)
        await self.connection.execute("TRUNCATE staged, merged")
        return Merged(created, updated, rows - created - updated, errors)

    async def _create_all(self) -> int | None:
        """Creates every record and returns how many; None, and nothing done, when one of them exists.

        After a batch with known keys the next ones are not tried: what is known lies together, and a try that fails
        leaves dead rows behind.
        """
        if not self._expects_new:
            return None
        try:
            async with self.connection.transaction():
                status: str = await self._run(self.connection.execute, self._create)
        except asyncpg.UniqueViolationError:
            # Of the external id, or of another key: the merge will meet that one again and say so.
            return None
        return int(status.rpartition(" ")[2])

    async def _create_and_change(self) -> tuple[int, int]:
        await self._execute(self._merge)
        row = await self.connection.fetchrow(
            "SELECT count(*) FILTER (WHERE created), count(*) FILTER (WHERE NOT created) FROM merged"
        )
        return row[0], row[1]

    async def _take_out_faults(self) -> list[RowError]:
        errors = []
        for fault in self._statements.faults():
            rule = self._plan.mapping.columns.get(fault.field)
            label = rule.from_[0] if rule is not None and rule.from_ else fault.field
            for row, line, value in await self._run(self.connection.fetch, self._statements.take_out(fault)):
                errors.append(RowError(row, line, label, fault.code, fault.reason, shown(value)))
        return errors

    async def _execute(self, sql: str) -> None:
        await self._run(self.connection.execute, sql)

    async def _run(self, call: Callable[..., Awaitable[Any]], sql: str) -> Any:
        """Runs a statement with the placeholders that it uses numbered without gaps, and their values."""
        values: list[Any] = []
        scope = (self._scope.tenant_id, self._scope.source, self._scope.principal)
        for number, value in enumerate(scope, start=1):
            if f"${number}" in sql:
                values.append(value)
                sql = sql.replace(f"${number}", f"${len(values)}")
        return await call(sql, *values)


async def _pieces(text: bytes) -> AsyncIterator[bytes]:
    """What COPY sends, without a thread's help that a file would take."""
    for start in range(0, len(text), _PIECE_BYTES):
        yield text[start : start + _PIECE_BYTES]
