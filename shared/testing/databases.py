"""Databases for tests: migrated once into a template, cloned in some 30 ms for whoever wants a fresh one."""

import os
import subprocess
import sys
from collections.abc import Callable
from itertools import count


class Templates:
    """Makes clones of each service's migrated database.

    `execute` runs one SQL command as the superuser, `url_of` gives the URL of a database, and `migrate(service, url)`
    brings it to the newest schema.
    """

    def __init__(
        self,
        url_of: Callable[[str], str],
        execute: Callable[[str], object],
        migrate: Callable[[str, str], None],
    ) -> None:
        self._url_of = url_of
        self._execute = execute
        self._migrate = migrate
        self._made: set[str] = set()
        self._failures: dict[str, Exception] = {}
        self._numbers = count(1)

    def clone(self, service: str) -> str:
        """The URL of a fresh, empty database with the service's schema.

        A schema that could not be made is not tried again: every later clone raises the same failure.
        """
        template = f"template_{service}"
        if template not in self._made:
            self._make(service, template)
        name = f"{service}_{next(self._numbers)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self._url_of(name)

    def _make(self, service: str, template: str) -> None:
        if service in self._failures:
            raise self._failures[service]
        try:
            self._execute(f"CREATE DATABASE {template}")
            self._migrate(service, self._url_of(template))
        except Exception as failure:
            self._failures[service] = failure
            raise
        self._made.add(template)


def migrate_by_command(service: str, url: str) -> None:
    """Migrates by the service's own command, as a deployment does it."""
    settings = {
        "DATABASE_URL": url,
        "PORT": "0",
        "IDENTITY_PUBLIC_KEY_FILE": "unused",
        "CURSOR_KEY_FILE": "unused",
    }
    environment = {f"{service.upper()}_{name}": value for name, value in settings.items()}
    command = [sys.executable, "-m", f"services.{service}", "migrate"]
    subprocess.run(command, env={**os.environ, **environment}, check=True)  # noqa: S603 (our own command)
