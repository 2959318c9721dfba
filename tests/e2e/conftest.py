"""One suite for all stories of this folder, as starting it costs more than any of them; a Valkey for each module."""

import re
import signal
from collections.abc import Iterator

import pytest

from tests.deploy.suite_process import (
    SuiteProcess,
    eventually,
    passable_directory,
    processes_of,
    running_suite,
)
from tests.gateway.caching.second.servers import Valkey

REPLICAS = 6


def _healthy_replicas(suite: SuiteProcess) -> set[str]:
    """The replicas that the gateway has found healthy, going by its log."""
    return set(re.findall(r"(\S+ 127\.0\.0\.1:\d+) is healthy", suite.output()))


@pytest.fixture(scope="package")
def suite() -> Iterator[SuiteProcess]:
    """`make run` without demo data; at the end it has to stop cleanly and silently."""
    with (
        passable_directory() as root,
        running_suite(root / "data", root / "state", "--no-demo", module="deploy.local") as suite,
    ):
        suite.wait_up()
        # The suite is up with one replica of each service; tests that kill one need the others as well.
        eventually(lambda: len(_healthy_replicas(suite)) == REPLICAS, "every replica")
        yield suite
        suite.signal(signal.SIGINT)
        status, output, errors = suite.finish()
        assert (status, errors) == (0, "")
        # Not even of the database that tests here kill under load: everybody who uses it tries again.
        assert "Traceback" not in output
        assert not processes_of(suite.data)


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """What the gateways of a module share, for its tests to break."""
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    yield server
    server.stop()
