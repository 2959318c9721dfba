"""Fixtures: a server of one's own, one that all tests share which leave it as it was, and a cluster."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.caching.second.servers import Valkey, cluster


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    """For a test that breaks it."""
    server = Valkey(tmp_path)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def shared_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def valkey_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Valkey]]:
    """Three primaries and a replica of each, for tests that break nothing."""
    with cluster(tmp_path_factory.mktemp("cluster")) as servers:
        yield servers
