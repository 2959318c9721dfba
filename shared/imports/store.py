"""The statements of the import tables; plain asyncpg, because jobs and uploads stream."""

from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

import asyncpg

from shared.imports.tables import ABANDONED_AFTER, CHANNEL, KEPT


async def add_chunk(
    connection: asyncpg.Connection, tenant_id: UUID, import_id: UUID, number: int, data: bytes
) -> None:
    """One chunk of the uploaded file."""
    sql = "INSERT INTO import_chunks (tenant_id, import_id, number, data) VALUES ($1, $2, $3, $4)"
    await connection.execute(sql, tenant_id, import_id, number, data)


async def read_chunk(
    connection: asyncpg.Connection, tenant_id: UUID, import_id: UUID, number: int
) -> bytes | None:
    """The chunk of this number, or None after the last."""
    sql = "SELECT data FROM import_chunks WHERE tenant_id = $1 AND import_id = $2 AND number = $3"
    data = await connection.fetchval(sql, tenant_id, import_id, number)
    return bytes(data) if data is not None else None


async def forget_upload(connection: asyncpg.Connection, tenant_id: UUID, import_id: UUID) -> None:
    """Deletes an upload that never became a job; leaves a job alone."""
    await connection.execute(
        "WITH gone AS (DELETE FROM imports WHERE tenant_id = $1 AND id = $2 AND status = 'uploading' RETURNING id) "
        "DELETE FROM import_chunks WHERE tenant_id = $1 AND import_id IN (SELECT id FROM gone)",
        tenant_id,
        import_id,
    )


async def waiting_jobs(connection: asyncpg.Connection) -> list[tuple[UUID, UUID]]:
    """`(tenant_id, id)` of what is queued, and of what runs: perhaps its worker has died."""
    rows = await connection.fetch(
        "SELECT tenant_id, id FROM imports WHERE status IN ('queued', 'running') ORDER BY created_at LIMIT 100"
    )
    return [(row["tenant_id"], row["id"]) for row in rows]


async def start_job(
    connection: asyncpg.Connection, tenant_id: UUID, import_id: UUID
) -> asyncpg.Record | None:
    """Marks the job as running and returns its row, or None when another worker has finished it meanwhile."""
    return await connection.fetchrow(
        "UPDATE imports SET status = 'running', started_at = coalesce(started_at, now()), "
        "updated_at = now(), version = version + 1 "
        "WHERE tenant_id = $1 AND id = $2 AND status IN ('queued', 'running') RETURNING *",
        tenant_id,
        import_id,
    )


async def save_progress(
    connection: asyncpg.Connection, tenant_id: UUID, import_id: UUID, counts: dict[str, int]
) -> bool:
    """Stores the job's counts; returns whether it should go on."""
    assigned = ", ".join(f"{name} = ${number}" for number, name in enumerate(counts, start=3))
    stop = await connection.fetchval(
        f"UPDATE imports SET {assigned}, updated_at = now(), version = version + 1 "  # noqa: S608 (our own names)
        "WHERE tenant_id = $1 AND id = $2 RETURNING cancel_requested",
        tenant_id,
        import_id,
        *counts.values(),
    )
    return stop is False


async def finish_job(
    connection: asyncpg.Connection, tenant_id: UUID, import_id: UUID, status: str, failure: str | None
) -> None:
    """The job's end; its file is not needed any more."""
    await connection.execute(
        "UPDATE imports SET status = $3, failure = $4, finished_at = now(), updated_at = now(), "
        "version = version + 1 WHERE tenant_id = $1 AND id = $2",
        tenant_id,
        import_id,
        status,
        failure,
    )
    await connection.execute(
        "DELETE FROM import_chunks WHERE tenant_id = $1 AND import_id = $2", tenant_id, import_id
    )


async def add_errors(
    connection: asyncpg.Connection, tenant_id: UUID, import_id: UUID, errors: Sequence[tuple[Any, ...]]
) -> None:
    """Refused rows as `(row, line, column, code, reason, value)`."""
    await connection.copy_records_to_table(
        "import_errors",
        records=[(tenant_id, import_id, *error) for error in errors],
        columns=["tenant_id", "import_id", "row", "line", "column", "code", "reason", "value"],
    )


async def read_errors(
    connection: asyncpg.Connection, tenant_id: UUID, import_id: UUID
) -> AsyncIterator[Sequence[asyncpg.Record]]:
    """The refused rows in the file's order, some thousand at a time."""
    after = (-1, -1)
    while True:
        rows = await connection.fetch(
            'SELECT number, "row", line, "column", code, reason, value FROM import_errors '
            'WHERE tenant_id = $1 AND import_id = $2 AND ("row", number) > ($3, $4) ORDER BY "row", number LIMIT 5000',
            tenant_id,
            import_id,
            *after,
        )
        if not rows:
            return
        yield rows
        after = (rows[-1]["row"], rows[-1]["number"])


async def announce(connection: asyncpg.Connection) -> None:
    """Wakes the workers."""
    await connection.execute(f"NOTIFY {CHANNEL}")


async def forget_old_imports(connection: asyncpg.Connection) -> None:
    """Deletes finished jobs after seven days, and uploads whose caller went away."""
    old = await connection.fetch(
        "DELETE FROM imports WHERE (finished_at < now() - $1::interval) "
        "OR (status = 'uploading' AND created_at < now() - $2::interval) RETURNING tenant_id, id",
        KEPT,
        ABANDONED_AFTER,
    )
    for table in ("import_chunks", "import_errors"):
        await connection.executemany(
            f"DELETE FROM {table} WHERE tenant_id = $1 AND import_id = $2",  # noqa: S608 (our own tables)
            [(row["tenant_id"], row["id"]) for row in old],
        )
