"""One PostgreSQL server for the whole run; each service's schema is made once, as a template that tests clone."""

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from deploy.local.postgres import PostgresServer, temporary_server
from shared.testing.databases import Templates

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real server, thrown away afterwards."""
    with temporary_server(settings={"max_connections": "300"}) as server:
        yield server


@pytest.fixture(scope="session")
def templates(postgres: PostgresServer) -> Templates:
    """Databases of any service, freshly migrated: `templates.clone("customers")`."""
    return Templates(
        url_of=postgres.url, execute=partial(postgres.execute, database="postgres"), migrate=_migrate
    )


def _migrate(service: str, url: str) -> None:
    """By the service's own command, as a deployment does it."""
    environment = {
        f"{service.upper()}_{name}": value
        for name, value in {
            "DATABASE_URL": url,
            "PORT": "0",
            "IDENTITY_PUBLIC_KEY_FILE": "unused",
            "CURSOR_KEY_FILE": "unused",
        }.items()
    }
    subprocess.run(
        [sys.executable, "-m", f"services.{service}", "migrate"], env=environment, cwd=ROOT, check=True
    )
