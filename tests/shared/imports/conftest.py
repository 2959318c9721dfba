"""Services that import, each with a database of its own and a worker."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.customers.app import SERVICE as CUSTOMERS
from services.sales.app import SERVICE as SALES
from services.tickets.app import SERVICE as TICKETS
from shared.testing.databases import Templates
from tests.shared.imports.driving import Importer, importing


@pytest.fixture
async def idle(templates: Templates, tmp_path: Path) -> AsyncIterator[Importer]:
    """The customers service, without a worker."""
    async with importing(CUSTOMERS, templates.clone("customers"), tmp_path) as importer:
        yield importer


@pytest.fixture
async def customers(idle: Importer) -> AsyncIterator[Importer]:
    """The customers service and its worker."""
    async with idle.worker():
        yield idle


@pytest.fixture
async def sales(templates: Templates, tmp_path: Path) -> AsyncIterator[Importer]:
    """The sales service and its worker."""
    async with importing(SALES, templates.clone("sales"), tmp_path) as importer, importer.worker():
        yield importer


@pytest.fixture
async def tickets(templates: Templates, tmp_path: Path) -> AsyncIterator[Importer]:
    """The tickets service and its worker."""
    async with importing(TICKETS, templates.clone("tickets"), tmp_path) as importer, importer.worker():
        yield importer
