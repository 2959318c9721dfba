"""The services' databases in the embedded server: one each, owned by a role of its own.

What has been done is noted in files beside the server's data, so that losing the data loses the notes too.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from deploy.local.credentials import write_private
from deploy.local.postgres import PostgresServer


class Progress:
    """Which one-time steps a data directory has behind it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(mode=0o700, exist_ok=True)

    def is_done(self, step: str, version: str) -> bool:
        """Whether the step was completed for exactly this version of its input."""
        try:
            return (self._directory / step).read_text() == version
        except FileNotFoundError:
            return False

    def done(self, step: str, version: str) -> None:
        """Note that the step is complete."""
        write_private(self._directory / step, version)


def fingerprint(directory: Path) -> str:
    """A digest of a service's migration files: it changes when one is added, removed or edited."""
    digest = hashlib.sha256()
    for path in sorted(directory.rglob("*.py")):
        digest.update(f"{path.relative_to(directory)}\0".encode())
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


def create_databases(server: PostgresServer, passwords: Mapping[str, str]) -> None:
    """Make (or complete) a database and its owner per service. Safe to repeat. Blocks.

    Raises PostgresError.
    """
    server.execute("".join(_creation(name, password) for name, password in passwords.items()))


def _creation(name: str, password: str) -> str:
    # `\gexec` runs what the query returns, since CREATE DATABASE has no IF NOT EXISTS.
    return f"""
        SELECT 'CREATE ROLE {name} LOGIN'
            WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{name}') \\gexec
        ALTER ROLE {name} PASSWORD '{password}';
        SELECT 'CREATE DATABASE {name} OWNER {name}'
            WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{name}') \\gexec
        REVOKE ALL ON DATABASE {name} FROM PUBLIC;
    """  # noqa: S608 - nothing here comes from outside
