"""Old idempotency keys are forgotten, young ones are kept."""

import asyncio
from pathlib import Path

import asyncpg

from services.customers.app import SERVICE
from shared.database.tables import new_id
from shared.service.application import make_parts
from shared.service.sweeping import sweep_idempotency_keys
from shared.testing.databases import Templates
from shared.testing.services import Keys

_ADD = """
    INSERT INTO idempotency_keys (tenant_id, principal, key, fingerprint, status, headers, body, created_at)
    VALUES ($1, 'p', $2, '', 201, '{}', '', now() - $3::text::interval)
"""


async def test_only_old_keys_go(templates: Templates, tmp_path: Path) -> None:
    url = templates.clone("customers")
    keys = Keys.make(tmp_path)
    connection = await asyncpg.connect(url)
    tenant_id = new_id()
    for key, age in (("old", "25 hours"), ("young", "23 hours")):
        await connection.execute(_ADD, tenant_id, key, age)
    settings = SERVICE.settings(
        port=0,
        database_url=url,
        identity_public_key_file=keys.public_file,
        cursor_key_file=keys.cursor_file,
    )
    parts = make_parts(SERVICE, settings)
    await parts.database.open()
    sweeping = asyncio.create_task(sweep_idempotency_keys(parts))
    left = ["old", "young"]
    async with asyncio.timeout(10):
        while "old" in left:
            await asyncio.sleep(0.02)
            left = [row["key"] for row in await connection.fetch("SELECT key FROM idempotency_keys")]
    sweeping.cancel()
    await asyncio.gather(sweeping, return_exceptions=True)
    await parts.database.close()
    await connection.close()
    assert left == ["young"]
