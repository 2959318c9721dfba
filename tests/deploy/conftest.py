"""Directories for servers and suites of their own."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.local.__main__ import main
from tests.deploy.fake_suite import fake_command


@contextmanager
def _open_directory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="kontor-test-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path)


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory other accounts can pass: pytest's own is closed, and root's server is another account."""
    with _open_directory() as path:
        yield path


@pytest.fixture(scope="session")
def used_data() -> Iterator[Path]:
    """The data directory of a suite that has run before: making one takes the disk a while."""
    with _open_directory() as path:
        assert main(["--data", str(path / "data"), "--migrate-only"], command=fake_command) == 0
        yield path / "data"
