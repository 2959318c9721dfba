"""The log is kept for as long as the settings say, by whole months."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import asyncpg

from services.customers.app import SERVICE
from shared.database.partitions import months
from shared.events.keeping import keep_event_log
from shared.service.application import make_parts
from shared.testing.services import Keys

_PARTITIONS = (
    "SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE inhparent = 'event_log'::regclass"
)


async def _partitions(connection: asyncpg.Connection) -> set[str]:
    return {row["relname"] for row in await connection.fetch(_PARTITIONS)}


async def test_old_months_go(url: str, writer: asyncpg.Connection, tmp_path: Path) -> None:
    keys = Keys.make(tmp_path)
    old, _ = next(months(datetime.now(UTC).date() - timedelta(days=100), 1))
    await writer.execute(
        f"CREATE TABLE event_log_{old:%Y_%m} PARTITION OF event_log "
        f"FOR VALUES FROM ('{old}') TO ('{_next(old)}')"
    )
    settings = SERVICE.settings(
        port=0,
        database_url=url,
        identity_public_key_file=keys.public_file,
        cursor_key_file=keys.cursor_file,
        event_retention_days=31,
    )
    parts = make_parts(SERVICE, settings)
    await parts.database.open()
    task = asyncio.create_task(keep_event_log(parts))
    async with asyncio.timeout(20):
        while f"event_log_{old:%Y_%m}" in await _partitions(writer):  # noqa: ASYNC110 (jobs tell nobody)
            await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await parts.database.close()
    today = datetime.now(UTC).date()
    assert {f"event_log_{today:%Y_%m}", "event_log_default"} <= await _partitions(writer)


def _next(month: date) -> date:
    return list(months(month, 2))[1][0]
