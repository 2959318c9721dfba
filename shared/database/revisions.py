"""Which schema the code wants; kept light, because readiness asks it."""

import re
from pathlib import Path

_REVISION = re.compile(r"(\d{4})_\w+\.py\Z")


def newest_revision(migrations: Path) -> str:
    """The number of the newest revision, read from the files' names without loading Alembic's scripts."""
    numbers = [
        match[1] for file in (migrations / "versions").iterdir() if (match := _REVISION.match(file.name))
    ]
    return max(numbers)
