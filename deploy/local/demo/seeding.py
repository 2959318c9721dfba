"""Filling the databases of the services with the demo workspace.

Every database is filled in one transaction, and the three are committed one right after the other. Should the process
die in between, the next run sees by the first record's id for which instant the others were made, makes the same
workspace again, and fills only what is missing.
"""

import asyncio
import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

from deploy.local.demo.batches import Batch
from deploy.local.demo.sizes import Sizes
from deploy.local.demo.timeline import DAYS, whole_milliseconds
from deploy.local.demo.workspace import FOUNDING_TABLES, Workspace
from deploy.local.demo.writing import Filling

SEED = 20_260_101
_AHEAD = 3  # batches that are made while others are sent


async def seed(
    *,
    database_urls: dict[str, str],
    tenant_id: UUID,
    progress: Callable[[int, int], None],
    sizes: Sizes | None = None,
    now: datetime | None = None,
    random_seed: int = SEED,
) -> None:
    """Fill the tenant's workspace, unless it is filled. `progress` hears of records done and in all.

    `database_urls` has those of customers, sales and tickets. Raises WorkspaceInUse where there are records of others
    and something is left to fill.
    """
    async with AsyncExitStack() as stack:
        fillings = {
            service: await stack.enter_async_context(Filling(database_urls[service], tenant_id, table))
            for service, table in FOUNDING_TABLES.items()
        }
        known = {service: await filling.filled_for() for service, filling in fillings.items()}
        missing = {service: fillings[service] for service, start in known.items() if start is None}
        starts = {start for start in known.values() if start is not None}
        end = min(starts) + timedelta(days=DAYS) if starts else whole_milliseconds(now or datetime.now(UTC))
        workspace = Workspace(tenant_id, end, random_seed, sizes or Sizes())
        if missing:
            with _uncollected():
                await _fill(workspace, missing, progress)
        progress(workspace.records, workspace.records)


@contextmanager
def _uncollected() -> Iterator[None]:
    """A quarter of a million rows and no cycles: looking for some would cost a sixth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


async def _fill(
    workspace: Workspace, fillings: Mapping[str, Filling], progress: Callable[[int, int], None]
) -> None:
    done = 0

    def added(number: int) -> None:
        nonlocal done
        done += number
        progress(done, workspace.records)

    async with asyncio.TaskGroup() as group:
        queues: dict[str, asyncio.Queue[Batch | None]] = {
            service: asyncio.Queue(_AHEAD) for service in fillings
        }
        for service, filling in fillings.items():
            group.create_task(_send(filling, queues[service], added))
        group.create_task(_make(workspace.batches(), queues))
    for filling in fillings.values():
        await filling.commit()
    await asyncio.gather(*(filling.tidy() for filling in fillings.values()))


async def _make(batches: Iterator[Batch], queues: Mapping[str, asyncio.Queue[Batch | None]]) -> None:
    """In a thread, so that sending goes on meanwhile."""
    while (batch := await asyncio.to_thread(next, batches, None)) is not None:
        if batch.table.service in queues:
            await queues[batch.table.service].put(batch)
    for queue in queues.values():
        await queue.put(None)


async def _send(filling: Filling, queue: asyncio.Queue[Batch | None], added: Callable[[int], None]) -> None:
    while (batch := await queue.get()) is not None:
        await filling.add(batch, added)
