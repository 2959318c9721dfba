"""Each service runs once, on one database; every test brings tenants of its own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import pytest

from shared.database.tables import new_id
from shared.service.definition import Service
from shared.testing.databases import Templates
from shared.testing.services import Keys, ServiceUnderTest, running
from tests.conformance.catalogue import Case
from tests.conformance.world import World


@dataclass
class Fleet:
    """The services under test, started when first asked for."""

    templates: Templates
    keys: Keys
    stack: AsyncExitStack
    started: dict[str, tuple[ServiceUnderTest, asyncpg.Pool]] = field(default_factory=dict)

    async def get(self, service: Service) -> tuple[ServiceUnderTest, asyncpg.Pool]:
        """The running service, and a way to look into its database."""
        if service.name not in self.started:
            url = self.templates.clone(service.name)
            under_test = await self.stack.enter_async_context(running(service, url, self.keys))
            pool = await self.stack.enter_async_context(
                asyncpg.create_pool(url, min_size=0, max_size=4, server_settings={"TimeZone": "UTC"})
            )
            self.started[service.name] = under_test, pool
        return self.started[service.name]


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """The keys of this deployment."""
    folder: Path = tmp_path_factory.mktemp("keys")
    return Keys.make(folder)


@pytest.fixture(scope="session")
async def fleet(templates: Templates, keys: Keys) -> AsyncIterator[Fleet]:
    """Every service, for the whole run."""
    async with AsyncExitStack() as stack:
        yield Fleet(templates, keys, stack)


@pytest.fixture
async def make_world(case: Case, fleet: Fleet) -> AsyncIterator[Callable[[], Awaitable[World]]]:
    """Makes further tenants."""
    under_test, pool = await fleet.get(case.service)
    async with AsyncExitStack() as stack:

        async def make() -> World:
            tenant_id = new_id()
            client = await stack.enter_async_context(under_test.client(tenant_id))
            return World(case, under_test, tenant_id, client, pool)

        yield make


@pytest.fixture
async def world(make_world: Callable[[], Awaitable[World]]) -> World:
    """A fresh tenant."""
    return await make_world()
