"""How staged keys are looked up: by the index of the external id, also for a tenant that statistics do not know."""

import asyncio
from typing import Any

import asyncpg
import pytest

from services.customers.accounts.imports import ACCOUNT_IMPORT
from services.customers.contacts.imports import CONTACT_IMPORT
from services.tickets.tickets.imports import TICKET_IMPORT
from shared.database.tables import new_id
from shared.imports.merging import Merger, Scope
from shared.imports.plan import Plan
from shared.imports.reading.copy_text import to_copy_text
from shared.imports.reading.mapping import Mapping
from shared.imports.record_ids import record_ids
from shared.imports.target import ImportTarget
from shared.testing.databases import Templates

STAGED = 500
KNOWN = 5_000
"""Accounts and tickets that the tenant has, enough for reading all of them to be no shorter way."""
ACCOUNTS = """
    INSERT INTO accounts (tenant_id, id, source, external_id, name)
    SELECT $1, uuidv7(), 'test', n::text, 'Firm ' || n FROM generate_series(1, $2) n
"""
TICKETS = """
    INSERT INTO tickets (tenant_id, id, source, external_id, number, subject, status, priority, channel, opened_at)
    SELECT $1, uuidv7(), 'test', n::text, 1000000 + n, 'Printer ' || n, 'new', 'normal', 'other', now()
    FROM generate_series(1, $2) n
"""
ACCOUNT_FILE = (ACCOUNT_IMPORT, ("name", "parent"), ["Firm", "1"])
CONTACT_FILE = (CONTACT_IMPORT, ("given_name", "account"), ["Ada", "1"])
TICKET_FILE = (TICKET_IMPORT, ("subject", "opened_at"), ["Broken", "2020-03-01T09:00:00Z"])
LOG_FILE = (TICKET_IMPORT, (*TICKET_FILE[1], "source_sequence"), [*TICKET_FILE[2], "1"])
File = tuple[ImportTarget, tuple[str, ...], list[str]]


class Explained:
    """Every plan that a connection runs; PostgreSQL says them as notices."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._plans: list[str] = []

    async def begin(self) -> None:
        await self._connection.execute("LOAD 'auto_explain'")
        for name, value in {"log_min_duration": "0", "log_level": "notice", "log_verbose": "on"}.items():
            await self._connection.execute(f"SET auto_explain.{name} = {value}")
        self._connection.add_log_listener(lambda _, message: self._plans.append(message.message))

    async def scans(self, table: str) -> list[str]:
        """The parts of the plans that read this table by index or as a whole, with their conditions."""
        await asyncio.sleep(0)  # what was said is handed over by the event loop
        nodes = [node for plan in self._plans for node in plan.split("->")]
        return [node for node in nodes if "Scan" in node and f" on public.{table} " in node]


async def with_stale_statistics(connection: asyncpg.Connection, insert: str, known: int) -> Any:
    """A tenant with this many records in a table that was last analysed before they came."""
    for _ in range(3):
        await connection.execute(insert, new_id(), 2_000)
    await connection.execute("ANALYZE")
    tenant_id = new_id()
    await connection.execute(insert, tenant_id, known)
    return tenant_id


def plan_of(target: ImportTarget, fields: tuple[str, ...]) -> Plan:
    document = {
        "resource": target.resource.name,
        "key": {"source": "test", "column": "id"},
        "columns": {name: name for name in fields},
    }
    return Plan(Mapping.model_validate(document), target)


async def nothing_before() -> None:
    """The turn of a batch that is the first."""


@pytest.mark.parametrize("known", [KNOWN, 1], ids=["many", "first"])
@pytest.mark.parametrize(
    ("service", "insert", "table", "file"),
    [
        ("customers", ACCOUNTS, "accounts", ACCOUNT_FILE),
        ("customers", ACCOUNTS, "accounts", CONTACT_FILE),
        ("tickets", TICKETS, "tickets", TICKET_FILE),
        ("tickets", TICKETS, "tickets", LOG_FILE),
    ],
    ids=["accounts", "contacts", "tickets", "log"],
)
async def test_keys_are_looked_up_by_their_index(
    templates: Templates, service: str, insert: str, table: str, file: File, known: int
) -> None:
    target, fields, values = file
    connection = await asyncpg.connect(templates.clone(service))
    try:
        tenant_id = await with_stale_statistics(connection, insert, known)
        merger = Merger(connection, plan_of(target, fields), Scope(tenant_id, "test", "eve"))
        await merger.open()
        explained = Explained(connection)
        await explained.begin()
        numbers = [str(n) for n in range(2, STAGED + 2)]
        columns = [record_ids(STAGED, 0), numbers, numbers, numbers, *([value] * STAGED for value in values)]
        async with connection.transaction():
            await merger.stage(to_copy_text(columns))
            merged = await merger.merge(nothing_before, repeats=False)
        assert not merged.errors
        by_key = [scan for scan in await explained.scans(table) if "external_id = " in scan]
        assert by_key
        assert all(f"using uq_{table}_external_id" in scan for scan in by_key), by_key
    finally:
        await connection.close()
