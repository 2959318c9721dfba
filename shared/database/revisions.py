"""Which schema a database has, and which one the code wants; kept light, because readiness asks it."""

import re
from pathlib import Path

import asyncpg

_REVISION = re.compile(r"(\d{4})_\w+\.py\Z")


def newest_revision(migrations: Path) -> str:
    """The number of the newest revision, read from the files' names without loading Alembic's scripts."""
    numbers = [
        match[1] for file in (migrations / "versions").iterdir() if (match := _REVISION.match(file.name))
    ]
    return max(numbers)


async def current_revision(connection: asyncpg.Connection) -> str | None:
    """The schema's revision, or None for a database that was never migrated."""
    if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
        return None
    return str(await connection.fetchval("SELECT version_num FROM alembic_version"))
