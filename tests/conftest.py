"""One PostgreSQL server for the whole run; each service's schema is made once, as a template that tests clone."""

from collections.abc import Iterator
from functools import partial

import hypothesis
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from deploy.local.postgres import PostgresServer, temporary_server
from shared.testing.databases import Templates, migrate_by_command

# An example may take its time: how long one takes on a busy machine says nothing about the code.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

_SHARES_A_SUITE = "tests/e2e/"


class _ByModule(LoadScopeScheduling):  # type: ignore[misc]  # xdist ships no types
    """A module's tests stay in one worker and share its fixtures; those of the real suite stay together as well."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return _SHARES_A_SUITE if module.startswith(_SHARES_A_SUITE) else module


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """How `-n` shares the tests out among its workers."""
    return _ByModule(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long modules first, so that no worker begins one when the others are done: those that start processes."""
    if hasattr(config, "workerinput"):
        long = {item.path for item in items if item.get_closest_marker("process")}
        items.sort(key=lambda item: item.path not in long)


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
