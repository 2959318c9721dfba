"""Small demo workspaces in real databases."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg

from deploy.local.demo.seeding import seed
from deploy.local.demo.sizes import Sizes
from shared.testing.databases import Templates

SMALL = Sizes(accounts=150, contacts=500, deals=400, tickets=500)
NOW = datetime(2026, 11, 18, 15, 30, tzinfo=UTC)
TENANT = uuid.UUID("01a00000-0000-7000-8000-000000000001")
TABLES = {
    "customers": ("accounts", "contacts"),
    "sales": ("pipelines", "products", "sales_reps", "deals", "deal_stage_changes"),
    "tickets": ("tickets", "ticket_comments", "ticket_events", "ticket_counters"),
}
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Databases:
    """The URLs of one deployment's databases."""

    urls: dict[str, str]

    @classmethod
    def make(cls, templates: Templates) -> "Databases":
        """Fresh, migrated ones."""
        return cls({service: templates.clone(service) for service in TABLES})

    async def fill(self, sizes: Sizes = SMALL, now: datetime = NOW) -> list[tuple[int, int]]:
        """Seeds; what progress was told."""
        told: list[tuple[int, int]] = []
        await seed(
            database_urls=self.urls,
            tenant_id=TENANT,
            progress=lambda done, total: told.append((done, total)),
            sizes=sizes,
            now=now,
        )
        return told

    async def rows(self, service: str, statement: str) -> list[Row]:
        """What one statement answers."""
        connection = await asyncpg.connect(self.urls[service])
        try:
            return [dict(row) for row in await connection.fetch(statement)]
        finally:
            await connection.close()

    async def count(self, service: str, statement: str) -> int:
        """The single number that one statement answers."""
        (row,) = await self.rows(service, statement)
        (number,) = row.values()
        return int(number)

    async def everything(self) -> dict[str, list[Row]]:
        """Every row of every table, in one order."""
        return {
            table: await self.rows(service, f"SELECT * FROM {table} t ORDER BY t::text")
            for service, tables in TABLES.items()
            for table in tables
        }
