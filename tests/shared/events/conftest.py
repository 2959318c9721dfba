"""The log of the customers service, in a database of the test's own."""

from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest

from shared.database.tables import new_id
from shared.testing.databases import Templates
from tests.shared.events.logs import connected


@pytest.fixture
def url(templates: Templates) -> str:
    return templates.clone("customers")


@pytest.fixture
def tenant() -> UUID:
    return new_id()


@pytest.fixture
async def writer(url: str) -> AsyncIterator[asyncpg.Connection]:
    async with connected(url) as connection:
        yield connection


@pytest.fixture
async def other_writer(url: str) -> AsyncIterator[asyncpg.Connection]:
    async with connected(url) as connection:
        yield connection


@pytest.fixture
async def reader(url: str) -> AsyncIterator[asyncpg.Connection]:
    async with connected(url) as connection:
        yield connection
