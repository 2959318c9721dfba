"""One database of the demo workspace, filled in one transaction: all of it is there, or nothing is."""

from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Self
from uuid import UUID

import asyncpg

from deploy.local.demo.batches import Batch
from deploy.local.demo.timeline import founding_instant

# Search indexes take what is new into a list first: long enough, it is merged once, by the autovacuum that follows,
# after the suite is up. Until then a search also reads the list.
_SETTINGS = {
    "TimeZone": "UTC",
    "jit": "off",
    "gin_pending_list_limit": "64MB",
    "maintenance_work_mem": "128MB",
    "default_statistics_target": "10",  # rough is enough for a start; autovacuum looks closer later
}
_TAKE_TURNS = "SELECT pg_advisory_xact_lock(hashtextextended('demo ' || $1::text, 0))"


class WorkspaceInUse(Exception):
    """There are records already that are not from here."""


class Filling:
    """An open transaction: `async with Filling(…) as filling`. Leaving it without `commit` undoes everything.

    `founding_table` is the one whose first record tells, by its id, whether and for which instant this database has
    been filled.
    """

    def __init__(self, database_url: str, tenant_id: UUID, founding_table: str) -> None:
        self._url = database_url
        self._tenant_id = tenant_id
        self._founding_table = founding_table
        self._tables: dict[str, None] = {}

    async def __aenter__(self) -> Self:
        self._connection = await asyncpg.connect(self._url, server_settings=_SETTINGS, timeout=10)
        self._transaction = self._connection.transaction()
        await self._transaction.start()
        await self._connection.execute(_TAKE_TURNS, str(self._tenant_id))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._connection.terminate()
        else:
            await self._connection.close()

    async def filled_for(self) -> datetime | None:
        """The first instant of the workspace that is here, or None. Raises WorkspaceInUse for records of others."""
        statement = f"SELECT id FROM {self._founding_table} WHERE tenant_id = $1 ORDER BY id LIMIT 1"  # noqa: S608 (our own names)
        first = await self._connection.fetchval(statement, self._tenant_id)
        if first is None:
            return None
        instant = founding_instant(self._founding_table, UUID(int=first.int))
        if instant is None:
            raise WorkspaceInUse(
                f"The workspace has {self._founding_table} that are not the demo's: it is not filled."
            )
        return instant

    async def add(self, batch: Batch, added: Callable[[int], None]) -> None:
        """Sends the rows; `added` hears of those that are records."""
        table = batch.table
        await self._connection.copy_records_to_table(table.name, records=batch.rows, columns=table.columns)
        self._tables[table.name] = None
        if table.records:
            added(len(batch.rows))

    async def commit(self) -> None:
        """Makes it last."""
        await self._transaction.commit()

    async def tidy(self) -> None:
        """After the commit: statistics for the planner."""
        if self._tables:
            await self._connection.execute(f"ANALYZE {', '.join(self._tables)}")
