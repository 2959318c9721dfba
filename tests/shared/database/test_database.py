"""Reads on a real PostgreSQL, also while it restarts."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from deploy.local.postgres import PostgresServer, temporary_server
from shared.database.database import Database
from shared.problems import Problem


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with temporary_server() as server:
        yield server


@pytest.fixture
async def database(server: PostgresServer) -> AsyncIterator[Database]:
    database = Database(server.url("postgres"), name="test", reads=2)
    await database.open()
    yield database
    await database.close()


async def backends(database: Database, times: int) -> set[int]:
    """The server processes that answer so many reads at once."""
    read = "SELECT pg_backend_pid(), pg_sleep(0.01)"
    rows = await asyncio.gather(*(database.fetch("SELECT", read) for _ in range(times)))
    return {row[0][0] for row in rows}


async def test_reads_share_a_few_connections(database: Database) -> None:
    assert len(await backends(database, 20)) == 2


async def test_a_refused_statement_leaves_the_connection_usable(database: Database) -> None:
    (before,) = await backends(database, 1)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await database.fetch("SELECT", "SELECT 1 / $1::int", 0)
    assert await backends(database, 1) == {before}


async def test_a_cancelled_read_is_cancelled_in_the_server_too(database: Database) -> None:
    running = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(10)' AND state = 'active'"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await database.fetch("SELECT", "SELECT pg_sleep(10)")
    for _ in range(100):
        if (count := (await database.fetch("SELECT", running))[0][0]) == 0:
            break
        await asyncio.sleep(0.05)
    assert count == 0
    assert len(await backends(database, 4)) == 2


async def test_a_read_follows_a_change_of_the_schema(database: Database, server: PostgresServer) -> None:
    server.execute("CREATE TABLE things AS SELECT 1 AS number")
    assert (await database.fetch("SELECT things", "SELECT * FROM things"))[0][0] == 1
    server.execute("ALTER TABLE things ALTER number TYPE text USING 'one'")
    assert (await database.fetch("SELECT things", "SELECT * FROM things"))[0][0] == "one"


async def test_reads_wait_for_a_server_that_restarts(database: Database, server: PostgresServer) -> None:
    await backends(database, 2)
    await asyncio.to_thread(server.stop)
    reading = [asyncio.create_task(database.fetch("SELECT", "SELECT 7")) for _ in range(5)]
    await asyncio.sleep(0.1)
    assert not any(task.done() for task in reading)
    server.start()  # from the main thread: the server ends with the thread that started it
    assert [rows[0][0] for rows in await asyncio.gather(*reading)] == [7] * 5


async def test_patience_ends() -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/none", name="test")
    await database.open()
    with pytest.raises(Problem) as raised:
        await database.fetch("SELECT", "SELECT 1")
    assert raised.value.status == 503
    await database.close()
