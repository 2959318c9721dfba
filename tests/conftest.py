"""One PostgreSQL server for the whole run; each service's schema is made once, as a template that tests clone."""

from collections.abc import Iterator
from functools import partial

import pytest

from deploy.local.postgres import PostgresServer, temporary_server
from shared.testing.databases import Templates, migrate_by_command


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real server, thrown away afterwards."""
    with temporary_server(settings={"max_connections": "300"}, in_memory=True) as server:
        yield server


@pytest.fixture(scope="session")
def templates(postgres: PostgresServer) -> Templates:
    """Databases of any service, freshly migrated: `templates.clone("customers")`."""
    return Templates(
        url_of=postgres.url,
        execute=partial(postgres.execute, database="postgres"),
        migrate=migrate_by_command,
    )
