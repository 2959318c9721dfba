"""The worker: runs whatever import waits, one at a time, and sweeps up.

Who runs a job holds an advisory lock on it for as long as its connection lives. A worker that is killed loses the
lock with the connection, and the next one to look takes the job up where its last transaction left it.
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack
from hashlib import blake2b
from uuid import UUID

import asyncpg

from shared.database.database import Database
from shared.database.failures import connection_lost
from shared.events.feed import NOTIFY
from shared.imports import store
from shared.imports.job import MERGED_AT_ONCE, AbortedError, CancelledImportError, Connections, ImportRun
from shared.imports.plan import make_plan
from shared.imports.reading.errors import FileError
from shared.imports.reading.mapping import Mapping as ColumnMapping
from shared.imports.tables import CHANNEL
from shared.imports.target import ImportTarget
from shared.service.definition import Job, Parts

_logger = logging.getLogger("kontor.imports")
_LOOK_EVERY_S = 2.0
_SWEEP_EVERY_S = 600.0
_PAUSE_AFTER_LOSS_S = 0.3


def import_job(targets: Mapping[str, ImportTarget]) -> Job:
    """The job of a service's worker that runs its imports."""

    async def run(parts: Parts) -> None:
        while True:
            try:
                await _Worker(parts.database, targets).watch()
            except Exception as error:
                if not connection_lost(error):
                    raise
                _logger.warning("lost the database, trying again: %s", error)
                await asyncio.sleep(_PAUSE_AFTER_LOSS_S)

    return run


class _Worker:
    def __init__(self, database: Database, targets: Mapping[str, ImportTarget]) -> None:
        self._database = database
        self._targets = targets
        self._wake = asyncio.Event()

    async def watch(self) -> None:
        """Runs until the connection is lost or the task is cancelled."""
        async with self._database.connection() as connection:
            await connection.add_listener(CHANNEL, lambda *_: self._wake.set())
            swept = -_SWEEP_EVERY_S
            loop = asyncio.get_running_loop()
            while True:
                self._wake.clear()
                for tenant_id, import_id in await store.waiting_jobs(connection):
                    await self._try(connection, tenant_id, import_id)
                if loop.time() - swept > _SWEEP_EVERY_S:
                    await store.forget_old_imports(connection)
                    swept = loop.time()
                await _wait(self._wake, _LOOK_EVERY_S)

    async def _try(self, connection: asyncpg.Connection, tenant_id: UUID, import_id: UUID) -> None:
        lock = int.from_bytes(blake2b(b"import" + import_id.bytes, digest_size=8).digest(), signed=True)
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", lock):
            return
        try:
            job = await store.start_job(connection, tenant_id, import_id)
            if job is not None:
                await self._run(connection, job)
        finally:
            if not connection.is_closed():
                await connection.execute("SELECT pg_advisory_unlock($1)", lock)

    async def _run(self, connection: asyncpg.Connection, job: asyncpg.Record) -> None:
        status, failure = await self._outcome(connection, job)
        await store.finish_job(connection, job["tenant_id"], job["id"], status, failure)
        await connection.execute(NOTIFY)
        _logger.info(
            "import %s of %s: %s%s", job["id"], job["resource"], status, f": {failure}" if failure else ""
        )

    async def _outcome(self, connection: asyncpg.Connection, job: asyncpg.Record) -> tuple[str, str | None]:
        """How the job ended. A lost connection is no end: whoever finds the job next goes on with it."""
        plan = make_plan(ColumnMapping.model_validate_json(job["mapping"]), self._targets)
        try:
            async with AsyncExitStack() as opened:
                merging = MERGED_AT_ONCE if plan.target.independent else 1
                files, *work = [
                    await opened.enter_async_context(self._database.connection()) for _ in range(1 + merging)
                ]
                await ImportRun(job, plan, Connections(work, files, connection)).run()
        except CancelledImportError:
            return "cancelled", None
        except AbortedError:
            return "failed", "Some rows are bad, so nothing was kept. The error file names them."
        except FileError as error:
            return "failed", str(error)
        except asyncpg.PostgresError as error:
            if connection_lost(error):
                raise
            _logger.exception("import %s failed", job["id"])
            return (
                "failed",
                f"The database refused a batch (SQLSTATE {error.sqlstate}); earlier batches are kept.",
            )
        return "completed", None


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return
