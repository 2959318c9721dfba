"""Driving imports in a test: a service over a real database, its worker as a task, files uploaded and waited for."""

import asyncio
import csv
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import asyncpg
import httpx2

from shared.database.tables import new_id
from shared.service.application import make_parts
from shared.service.definition import Parts, Service
from shared.testing.services import Keys, ServiceUnderTest, running

Form = list[tuple[str, tuple[str | None, str | bytes, str]]]
PATIENCE_S = 60
ENDED = ("completed", "failed", "cancelled")
PEOPLE: dict[str, Any] = {
    "resource": "contacts",
    "key": {"source": "test", "column": "id"},
    "columns": {"given_name": "given", "email": "email"},
}
HEADER = b"id,given,email\n"


def people(*rows: str) -> bytes:
    """A file of contacts for the mapping `PEOPLE`."""
    return HEADER + "".join(f"{row}\n" for row in rows).encode()


def many_people(count: int, *, start: int = 1) -> bytes:
    """Distinct good ones."""
    return people(*(f"{n},Given{n},p{n}@example.com" for n in range(start, start + count)))


@dataclass
class Outcome:
    """An ended job and the rows that it refused."""

    job: dict[str, Any]
    errors: list[list[str]]

    @property
    def counts(self) -> tuple[int, int, int, int, int]:
        """Rows read, created, updated, unchanged, failed."""
        names = ("read", "created", "updated", "unchanged", "failed")
        read, created, updated, unchanged, failed = (int(self.job[f"rows_{name}"]) for name in names)
        return read, created, updated, unchanged, failed

    @property
    def status(self) -> str:
        """How the job ended."""
        return str(self.job["status"])


class Worker:
    """The imports of a service's worker as a task, with connections of its own."""

    def __init__(self, service: Service, parts: Parts) -> None:
        self._parts = parts
        self._jobs = [job(parts) for job in service.jobs]
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await self._parts.database.open()
        self._tasks = [asyncio.ensure_future(job) for job in self._jobs]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._parts.database.close()
        faults = [result for result in results if isinstance(result, Exception)]
        assert not faults, faults


class Importer:
    """One service under test and one tenant of it."""

    def __init__(self, under_test: ServiceUnderTest, keys: Keys) -> None:
        self.tenant_id = new_id()
        self.service = under_test.service
        self.database_url = under_test.database_url
        self.client = under_test.client(self.tenant_id)
        self.client.timeout = httpx2.Timeout(PATIENCE_S)
        self.stranger = under_test.client()
        self.keys = keys
        self.path = f"/v1/{self.service.name}/imports"

    def worker(self) -> Worker:
        """Another worker, to be entered."""
        settings = self.service.settings(
            port=0,
            database_url=self.database_url,
            identity_public_key_file=self.keys.public_file,
            cursor_key_file=self.keys.cursor_file,
        )
        return Worker(self.service, make_parts(self.service, settings))

    async def post(self, mapping: Any, data: bytes, **headers: str) -> httpx2.Response:
        """Uploads a file."""
        parts: Form = [
            (
                "mapping",
                (None, mapping if isinstance(mapping, str) else json.dumps(mapping), "application/json"),
            ),
            ("file", ("file.csv", data, "text/csv")),
        ]
        return await self.client.post(self.path, files=parts, headers=headers)

    async def queue(self, mapping: Mapping[str, Any], data: bytes) -> str:
        """Uploads a file and returns where its job is."""
        response = await self.post(mapping, data)
        assert response.status_code == 202, response.text
        return str(response.headers["location"])

    async def ended(self, location: str) -> Outcome:
        """Waits for the job's end."""
        job = await self.when(location, lambda job: job["status"] in ENDED)
        response = await self.client.get(f"{location}/errors")
        assert response.status_code == 200
        lines = list(_csv_rows(response.text))
        assert lines[0] == ["row", "line", "column", "code", "reason", "value"]
        return Outcome(job, lines[1:])

    async def when(self, location: str, condition: Any) -> dict[str, Any]:
        """The job once the condition holds for it."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                job: dict[str, Any] = (await self.client.get(location)).json()
                if condition(job):
                    return job
                await asyncio.sleep(0.02)

    async def run(self, mapping: Mapping[str, Any], data: bytes) -> Outcome:
        """Imports a file; needs a worker."""
        return await self.ended(await self.queue(mapping, data))

    async def records(self, resource: str, **query: str) -> list[dict[str, Any]]:
        """All of them, page by page."""
        found: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            response = await self.client.get(f"/v1/{resource}", params={"limit": "200", **query, **cursor})
            assert response.status_code == 200, response.text
            page = response.json()
            found += page["data"]
            if page["next_cursor"] is None:
                return found
            cursor = {"cursor": page["next_cursor"]}

    async def fetch(self, sql: str, *values: Any) -> list[asyncpg.Record]:
        """What the database says."""
        connection = await asyncpg.connect(self.database_url)
        try:
            return list(await connection.fetch(sql, *values))
        finally:
            await connection.close()


@asynccontextmanager
async def importing(service: Service, url: str, folder: Path) -> AsyncIterator[Importer]:
    """The service over this database; workers are started by whoever wants one."""
    keys = Keys.make(folder)
    async with running(service, url, keys) as under_test:
        importer = Importer(under_test, keys)
        yield importer
        with suppress(RuntimeError):
            await importer.client.aclose()


def _csv_rows(text: str) -> list[list[str]]:
    return list(csv.reader(StringIO(text)))
