"""Importing a CSV of contacts for real, against PostgreSQL's raw COPY of the same file.

make bench BENCH=imports [ARGS="--rows 1000000 --rounds 1"]

The import is the whole way: an upload over HTTP to a service process, a worker process, a completed job. COPY reads
the file from the client's side: once into a table of text without indexes, and once into a twin of `contacts` with the
same indexes and constraints, where it fills only the columns that need no conversion, so that the search index has the
names alone. A third COPY reads the finished rows, as the import made them, into such a twin. COPY checks nothing and
updates nothing.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx2
import psutil

from deploy.local.ports import free_port
from deploy.local.postgres import PostgresServer, temporary_server
from shared.identity import IDENTITY_HEADER, Identity
from shared.identity.signer import IdentitySigner
from shared.testing.databases import migrate_by_command
from shared.testing.services import Keys
from tests.bench import harness
from tests.bench.harness import Candidate, Sample

_COLUMNS = ("id", "given", "family", "email", "phone", "city", "title", "country")
_MAPPING = {
    "resource": "contacts",
    "columns": {
        "given_name": "given",
        "family_name": "family",
        "email": "email",
        "phone": "phone",
        "city": "city",
        "title": "title",
        "country": "country",
    },
}
_CITIES = ("Berlin", "Lyon", "Graz", "Porto", "Gdansk", "Malmo", "Bergen", "Turku", "Ghent", "Brno", "Split")
_TITLES = ("Buyer", "Head of Purchasing", "Engineer", "Office Manager", "Managing Director", "Accountant")
_PLAIN = f"CREATE TABLE copied_plain ({', '.join(f'{name} text' for name in _COLUMNS)})"
_TWIN = (
    "CREATE TABLE copied_indexed (LIKE contacts INCLUDING ALL,"
    "FOREIGN KEY (tenant_id, account_id) REFERENCES accounts (tenant_id, id))"
)
_BOUNDARY = "kontor-bench"
_PIECE_BYTES = 65_536


async def main() -> None:
    """Writes the file, starts the processes, and lets import and COPY take turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        temporary_server(settings={"shared_buffers": "512MB", "max_wal_size": "8GB"}) as postgres,
    ):
        await _Bench(postgres, Path(folder), options.rows, options.rounds).run()


def _write_file(path: Path, rows: int) -> None:
    with path.open("w") as file:
        file.write(",".join(_COLUMNS) + "\n")
        for n in range(rows):
            given, family = f"Given{n % 5_000}", f"Family{n % 70_000}"
            file.write(
                f"{n},{given},{family},{given.lower()}.{n}@example{n % 900}.com,+49 30 {n % 9_000_000:07},"
                f"{_CITIES[n % 11]},{_TITLES[n % 6]},DE\n"
            )


class _Bench:
    def __init__(self, postgres: PostgresServer, folder: Path, rows: int, rounds: int) -> None:
        self._url = postgres.url("bench")
        self._rows = rows
        self._rounds = rounds
        self._folder = folder
        self._file = folder / "contacts.csv"
        self._finished = folder / "finished.csv"
        self._keys = Keys.make(folder)
        self._port = free_port()
        self._signer = IdentitySigner(self._keys.private_pem)
        postgres.execute("CREATE DATABASE bench", database="postgres")
        self._database_cpu: dict[str, float] = {}

    async def run(self) -> None:
        """Prints the table and the figures."""
        migrate_by_command("customers", self._url)
        _write_file(self._file, self._rows)
        print(f"{self._rows:,} rows, {self._file.stat().st_size / self._rows:.0f} bytes each")
        with self._processes() as ours:
            candidates = [
                Candidate("import", lambda: self._import(ours)),
                Candidate("COPY, no indexes", lambda: self._turn("plain", self._copy_plain)),
                Candidate("COPY, same indexes", lambda: self._turn("indexed", self._copy_indexed)),
                Candidate("COPY of finished rows", lambda: self._turn("finished", self._copy_finished)),
            ]
            # No round to warm up: each turn takes long enough to be its own.
            for _ in range(self._rounds):
                for candidate in candidates:
                    candidate.samples.append(await candidate.turn())
        self._print(candidates)

    def _print(self, candidates: list[Candidate]) -> None:
        imported, plain, indexed, finished = candidates
        print(f"{'':22} {'rows/s':>10} {'spread':>12} {'our CPU s/1M':>13} {'PostgreSQL CPU s/1M':>20}")
        for candidate, name in zip(candidates, ("import", "plain", "indexed", "finished"), strict=True):
            database = self._database_cpu[name] / self._rounds / self._rows * 1e6
            rate, ours = candidate.median("rate"), candidate.median("cpu_us")
            print(
                f"{candidate.name:22} {rate:10,.0f} {candidate.spread():>12} {ours:13,.1f} {database:20,.1f}"
            )
        size = (
            f"import_{self._rows // 1_000_000}m"
            if self._rows % 1_000_000 == 0
            else f"import_{self._rows // 1000}k"
        )
        harness.finish(
            "imports",
            {
                f"{size}_rows_per_s": imported.median("rate"),
                f"{size}_vs_copy_plain": harness.ratio(imported, plain),
                f"{size}_vs_copy_same_indexes": harness.ratio(imported, indexed),
                f"{size}_vs_copy_finished_rows": harness.ratio(imported, finished),
                f"{size}_cpu_s": imported.median("cpu_us"),
                f"{size}_postgres_cpu_s": self._database_cpu["import"] / self._rounds / self._rows * 1e6,
            },
        )

    async def _import(self, ours: list[psutil.Process]) -> Sample:
        """Into a table that is as empty as COPY's."""
        await self._execute("TRUNCATE contacts")
        before = _cpu(ours)
        sample = await self._turn("import", self._upload_and_wait)
        burned = _cpu(ours) - before
        await self._write_finished()
        return Sample(sample.requests, sample.seconds, burned)

    async def _write_finished(self) -> None:
        connection = await asyncpg.connect(self._url)
        await connection.copy_from_table(
            "contacts", output=str(self._finished), format="csv", header=True, timeout=1800
        )
        await connection.close()

    async def _turn(self, name: str, work: Callable[[], Awaitable[None]]) -> Sample:
        before = _database_cpu()
        started = time.perf_counter()
        await work()
        seconds = time.perf_counter() - started
        self._database_cpu[name] = self._database_cpu.get(name, 0.0) + _database_cpu() - before
        return Sample(self._rows, seconds, 0.0)

    async def _upload_and_wait(self) -> None:
        tenant = uuid4()
        mapping = json.dumps({**_MAPPING, "key": {"source": "bench", "column": "id"}})
        headers = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
        # An upload is answered when the last byte is safe, however long that takes.
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{self._port}", timeout=None) as client:
            identity = {IDENTITY_HEADER: self._signer.sign(Identity(tenant, "bench"), "customers")}
            response = await client.post(
                "/v1/customers/imports", content=self._form(mapping), headers=headers | identity
            )
            response.raise_for_status()
            while True:
                identity = {IDENTITY_HEADER: self._signer.sign(Identity(tenant, "bench"), "customers")}
                job = (await client.get(response.headers["location"], headers=identity)).json()
                if job["status"] not in ("queued", "running"):
                    break
                await asyncio.sleep(0.1)
        if (job["status"], job["rows_created"]) != ("completed", self._rows):
            raise RuntimeError(f"the import went wrong: {job}")

    async def _form(self, mapping: str) -> AsyncIterator[bytes]:
        part = f"--{_BOUNDARY}\r\nContent-Disposition: form-data; name="
        yield f'{part}"mapping"\r\n\r\n{mapping}\r\n{part}"file"; filename="contacts.csv"\r\n\r\n'.encode()
        with self._file.open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                yield piece
        yield f"\r\n--{_BOUNDARY}--\r\n".encode()

    async def _copy_plain(self) -> None:
        await self._copy("copied_plain", _PLAIN, list(_COLUMNS))

    async def _copy_indexed(self) -> None:
        create = (
            f"{_TWIN}; ALTER TABLE copied_indexed ADD email text, ADD phone text,"
            f"ALTER tenant_id SET DEFAULT '{uuid4()}', ALTER source SET DEFAULT 'bench',"
            "ALTER id SET DEFAULT uuidv7(), ALTER version SET DEFAULT 1"
        )
        columns = ["external_id", "given_name", "family_name", "email", "phone", "city", "title", "country"]
        await self._copy("copied_indexed", create, columns)

    async def _copy_finished(self) -> None:
        await self._copy("copied_indexed", _TWIN, None, self._finished)

    async def _copy(
        self, table: str, create: str, columns: list[str] | None, file: Path | None = None
    ) -> None:
        connection = await asyncpg.connect(self._url)
        await connection.execute(f"DROP TABLE IF EXISTS {table}")
        await connection.execute(create)
        await connection.copy_to_table(
            table, source=str(file or self._file), columns=columns, format="csv", header=True, timeout=1800
        )
        await connection.close()

    async def _execute(self, sql: str) -> None:
        connection = await asyncpg.connect(self._url)
        await connection.execute(sql)
        await connection.close()

    @contextmanager
    def _processes(self) -> Iterator[list[psutil.Process]]:
        settings = {
            "CUSTOMERS_PORT": str(self._port),
            "CUSTOMERS_DATABASE_URL": self._url,
            "CUSTOMERS_IDENTITY_PUBLIC_KEY_FILE": str(self._keys.public_file),
            "CUSTOMERS_CURSOR_KEY_FILE": str(self._keys.cursor_file),
            "CUSTOMERS_LOG_FORMAT": "json",
        }
        with harness.served(["-m", "services.customers"], settings, self._port, "/readyz") as service:
            worker = subprocess.Popen(
                [sys.executable, "-m", "services.customers", "worker"],
                cwd=harness.ROOT,
                env={**os.environ, **settings},
                stdout=subprocess.DEVNULL,
            )
            try:
                yield [service, psutil.Process(worker.pid)]
            finally:
                worker.terminate()
                worker.wait(30)


def _database_cpu() -> float:
    """What this run's PostgreSQL has burned, in seconds: its processes, and those that it has seen end."""
    burned = 0.0
    for process in psutil.Process().children(recursive=True):
        # One that ends meanwhile is in its parent's account, sooner or later.
        with suppress(psutil.NoSuchProcess):
            if process.name().startswith("postgres"):
                burned += sum(process.cpu_times()[:4])
    return burned


def _cpu(processes: list[psutil.Process]) -> float:
    return float(sum(sum(process.cpu_times()[:2]) for process in processes))


if __name__ == "__main__":
    harness.run(main)
