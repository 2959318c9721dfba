"""Directories for servers and suites of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.__main__ import main
from tests.deploy.fake_suite import fake_command
from tests.deploy.suite_process import passable_directory


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory for a server or a suite."""
    with passable_directory() as path:
        yield path


@pytest.fixture(scope="session")
def used_data() -> Iterator[Path]:
    """The data directory of a suite that has run before: making one takes the disk a while."""
    with passable_directory() as path:
        assert main(["--data", str(path / "data"), "--migrate-only"], command=fake_command) == 0
        yield path / "data"
