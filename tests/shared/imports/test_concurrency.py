"""Batches that are merged side by side, and others who write the same records meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from shared.database.tables import new_id
from shared.imports import job as job_module
from tests.shared.imports.driving import PEOPLE, Importer, many_people, people

_REFUSE = (
    "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not this one'; END $$",
    "CREATE TRIGGER refuse BEFORE INSERT ON contacts FOR EACH ROW WHEN (NEW.external_id = '20000') "
    "EXECUTE FUNCTION refuse()",
)
_WAITING = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches as small as the reader's blocks allow: some thousand rows."""
    monkeypatch.setattr(job_module, "MERGED_ROWS", 1)


async def test_of_batches_that_share_keys_the_later_wins(customers: Importer, small_batches: None) -> None:
    keys, rounds = 1_000, 30
    rows = [f"{key},Round{number},p{key}@example.com" for number in range(rounds) for key in range(keys)]
    outcome = await customers.run(PEOPLE, people(*rows))
    assert (outcome.status, outcome.counts[:2]) == ("completed", (keys * rounds, keys))
    assert sum(outcome.counts[1:]) == keys * rounds
    stored = await customers.fetch("SELECT given_name, count(*) FROM contacts GROUP BY given_name")
    assert [tuple(row) for row in stored] == [(f"Round{rounds - 1}", keys)]


async def test_nothing_is_kept_beyond_a_batch_that_was_refused(
    customers: Importer, small_batches: None
) -> None:
    for statement in _REFUSE:
        await customers.fetch(statement)
    outcome = await customers.run(PEOPLE, many_people(60_000))
    assert outcome.status == "failed"
    read, created = outcome.counts[:2]
    assert 0 < read == created < 20_000
    ((count, last),) = await customers.fetch("SELECT count(*), max(external_id::int) FROM contacts")
    assert count == last == created


async def test_what_another_makes_meanwhile_is_changed_and_not_made_twice(idle: Importer) -> None:
    location = await idle.queue(PEOPLE, many_people(100))
    async with another_transaction(idle) as other:
        await other.execute(
            "INSERT INTO contacts (tenant_id, id, source, external_id, given_name) VALUES ($1, $2, 'test', '7', 'X')",
            idle.tenant_id,
            new_id(),
        )
        async with idle.worker():
            await someone_waits(idle)
            await other.execute("COMMIT")
            outcome = await idle.ended(location)
    assert (outcome.status, outcome.counts) == ("completed", (100, 99, 1, 0, 0))
    (seventh,) = await idle.fetch("SELECT given_name, version FROM contacts WHERE external_id = '7'")
    assert tuple(seventh) == ("Given7", 2)


@asynccontextmanager
async def another_transaction(importer: Importer) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(importer.database_url)
    await connection.execute("BEGIN")
    try:
        yield connection
    finally:
        await connection.close()


async def someone_waits(importer: Importer) -> None:
    async with asyncio.timeout(30):
        while True:
            if await importer.fetch(_WAITING):
                return
            await asyncio.sleep(0.02)
