"""Reads of the customers service: by id and lists of 50, at depth 0 and nine tenths, against the textbook and pgbench.

make bench BENCH=reads [ARGS="--rows 1000000 --rounds 5"]
"""

import argparse
import re
import resource
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import httpx2
import psutil

from deploy.local.ports import free_port
from deploy.local.postgres import PostgresServer, temporary_server
from deploy.local.postgres_binaries import find_binaries
from shared.identity import IDENTITY_HEADER, Identity
from shared.identity.signer import IdentitySigner
from shared.testing.databases import migrate_by_command
from shared.testing.services import Keys
from tests.bench import harness
from tests.bench.harness import Candidate, Sample

CONNECTIONS = 32
_STEP = 200
_FILL = """
    INSERT INTO contacts (tenant_id, id, source, external_id, given_name, family_name, emails, phones, title, city,
                          country, locale, time_zone, created_at, updated_at)
    SELECT $1, uuidv7(), 'bench', n::text, 'Given' || n % 5000, 'Family' || n % 70000,
           jsonb_build_array(jsonb_build_object('address', 'person' || n || '@example' || n % 900 || '.com',
                                                'kind', 'work', 'primary', true)),
           '[{"number": "+49 30 1234567", "kind": "work", "primary": true}]', 'Buyer', 'Berlin', 'DE', 'de-DE',
           'Europe/Berlin', now() - n * interval '1 second', now() - n * interval '1 second'
    FROM generate_series(1, $2::bigint) n
"""


async def main() -> None:
    """Fills a database, starts both servers, and lets them take turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    with temporary_server(settings={"shared_buffers": "512MB", "max_wal_size": "8GB"}) as postgres:
        bench = _Bench(postgres, options.rows, options.rounds, options.seconds)
        await bench.run()


class _Bench:
    def __init__(self, postgres: PostgresServer, rows: int, rounds: int, seconds: float) -> None:
        self._postgres = postgres
        self._rows = rows
        self._depth = rows * 9 // 10
        self._rounds = rounds
        self._seconds = seconds
        self._tenant = uuid4()
        self._folder = Path(tempfile.mkdtemp())
        self._keys = Keys.make(self._folder)
        self._ours, self._textbook = free_port(), free_port()
        self._signer = IdentitySigner(self._keys.private_pem)

    async def run(self) -> None:
        """Prints the table and the figures."""
        self._postgres.execute("CREATE DATABASE bench", database="postgres")
        self._migrate()
        ids = await self._fill()
        with self._servers() as (ours, textbook):
            deep = await self._deep_cursor()
            await self._measure(ids, deep, ours, textbook)

    async def _measure(
        self, ids: list[UUID], deep: str, ours: psutil.Process, textbook: psutil.Process
    ) -> None:
        get = Candidate(
            "get by id, Kontor",
            lambda: self._load(self._ours, self._requests(f"/v1/contacts/{i}" for i in ids), ours),
        )
        get_book = Candidate(
            "get by id, textbook",
            lambda: self._load(self._textbook, self._requests(f"/contacts/{i}" for i in ids), textbook),
        )
        pages = Candidate("list of 50, Kontor", lambda: self._list("/v1/contacts", ours))
        deep_pages = Candidate(
            f"list of 50 at depth {self._depth:,}, Kontor",
            lambda: self._list(f"/v1/contacts?cursor={deep}", ours),
        )
        pages_book = Candidate(
            "list of 50, textbook",
            lambda: self._load(self._textbook, self._requests(["/contacts"]), textbook),
        )
        pgbench = Candidate("pgbench -S", self._pgbench)
        everyone = [get, get_book, pgbench, pages, deep_pages, pages_book]
        await harness.interleave(everyone, self._rounds)
        harness.print_table(everyone)
        size = f"{_size(self._rows)}_c{CONNECTIONS}"
        harness.finish(
            "reads",
            {
                f"get_by_id_{size}_vs_textbook": harness.ratio(get, get_book),
                f"get_by_id_cpu_{size}_vs_textbook": 1 / harness.ratio(get, get_book, "cpu_us"),
                f"list_50_{size}_vs_textbook": harness.ratio(pages, pages_book),
                f"list_50_cpu_{size}_vs_textbook": 1 / harness.ratio(pages, pages_book, "cpu_us"),
                f"list_50_{size}_depth_{_size(self._depth)}_vs_depth_0": harness.ratio(deep_pages, pages),
                f"get_by_id_{size}_vs_pgbench": harness.ratio(get, pgbench),
            },
        )

    async def _list(self, path: str, ours: psutil.Process) -> Sample:
        return await self._load(self._ours, self._requests([path]), ours)

    async def _load(self, port: int, requests: list[bytes], process: psutil.Process) -> Sample:
        return await harness.load(port, requests, process, connections=CONNECTIONS, seconds=self._seconds)

    def _requests(self, paths: Iterator[str] | list[str]) -> list[bytes]:
        return [harness.get(path, self._headers()) for path in paths]

    def _headers(self) -> dict[str, str]:
        """A token lives shorter than the benchmark, so each turn takes a fresh one."""
        return {IDENTITY_HEADER: self._signer.sign(Identity(self._tenant, "bench"), "customers")}

    async def _fill(self) -> list[UUID]:
        connection = await asyncpg.connect(self._postgres.url("bench"))
        await connection.execute(_FILL, self._tenant, self._rows, timeout=1800)
        await connection.execute("VACUUM ANALYZE contacts", timeout=600)
        ids = await connection.fetch("SELECT id FROM contacts TABLESAMPLE SYSTEM (5) LIMIT 5000")
        await connection.close()
        return [row["id"] for row in ids]

    async def _deep_cursor(self) -> str:
        """By walking there, as any caller has to."""
        cursor: str | None = None
        async with httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{self._ours}", headers=self._headers()
        ) as client:
            for _ in range(self._depth // _STEP):
                query = {"limit": str(_STEP), "fields": "id"} | ({"cursor": cursor} if cursor else {})
                cursor = (await client.get("/v1/contacts", params=query)).json()["next_cursor"]
        if cursor is None:
            raise RuntimeError("the walk ended too early")
        return cursor

    async def _pgbench(self) -> Sample:
        """As many primary key look-ups as PostgreSQL can; the CPU is that of pgbench, the client, itself."""
        binary = find_binaries().program("pgbench")
        url = self._postgres.url("bench")
        seconds = str(2 + round(self._seconds))
        options = ["-n", "-S", "-M", "prepared", "-c", str(CONNECTIONS), "-j", "1", "-T", seconds]
        before = _children_cpu_s()
        done = subprocess.run([binary, *options, url], capture_output=True, text=True, check=True)  # noqa: ASYNC221
        count = int(re.search(r"transactions actually processed: (\d+)", done.stdout)[1])  # type: ignore[index]
        rate = float(re.search(r"tps = ([\d.]+)", done.stdout)[1])  # type: ignore[index]
        return Sample(count, count / rate, _children_cpu_s() - before)

    def _migrate(self) -> None:
        migrate_by_command("customers", self._postgres.url("bench"))
        binary = find_binaries().program("pgbench")
        subprocess.run(
            [binary, "-i", "-q", "-s", "10", self._postgres.url("bench")],
            check=True,
            capture_output=True,
        )

    @contextmanager
    def _servers(self) -> Iterator[tuple[psutil.Process, psutil.Process]]:
        url = self._postgres.url("bench")
        ours = {
            "CUSTOMERS_PORT": str(self._ours),
            "CUSTOMERS_DATABASE_URL": url,
            "CUSTOMERS_IDENTITY_PUBLIC_KEY_FILE": str(self._keys.public_file),
            "CUSTOMERS_CURSOR_KEY_FILE": str(self._keys.cursor_file),
        }
        textbook = {
            "BENCH_PORT": str(self._textbook),
            "BENCH_DATABASE_URL": url.replace("postgresql://", "postgresql+asyncpg://"),
            "BENCH_TENANT": str(self._tenant),
        }
        with (
            harness.served(["-m", "services.customers"], ours, self._ours, "/readyz") as first,
            harness.served(["-m", "tests.bench.textbook"], textbook, self._textbook, "/docs") as second,
        ):
            yield first, second


def _size(rows: int) -> str:
    """A figure is named after the rows that it was measured with: 1m, 300k."""
    for unit, letter in ((1_000_000, "m"), (1_000, "k")):
        if rows and rows % unit == 0:
            return f"{rows // unit}{letter}"
    return str(rows)


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    harness.run(main)
