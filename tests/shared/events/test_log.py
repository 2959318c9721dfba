"""Reading in commit order without gaps, whatever transactions do meanwhile."""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from deploy.local.postgres import PostgresServer
from deploy.local.postgres_binaries import find_binaries, run_as, server_user
from shared.events.log import end_of_log, knows, log_name, read_early, read_log
from shared.events.position import Cursor, Position
from shared.testing.databases import migrate_by_command
from tests.shared.events.logs import (
    BEGINNING,
    add_account,
    connected,
    ids_of,
    read_settled,
    settled,
)


async def test_nothing_is_read_while_an_older_transaction_runs(
    writer: asyncpg.Connection, other_writer: asyncpg.Connection, reader: asyncpg.Connection, tenant: UUID
) -> None:
    older = writer.transaction()
    await older.start()
    first = await add_account(writer, tenant)
    second = await add_account(other_writer, tenant)
    waiting = await read_log(reader, BEGINNING)
    assert (list(waiting.events), waiting.held) == ([], 1)
    assert (await read_log(reader, BEGINNING)).behind_s > waiting.behind_s > 0
    await older.commit()
    await settled(reader)
    reading = await read_log(reader, waiting.through)
    assert (ids_of(reading.events), reading.held, reading.behind_s) == ([first, second], 0, 0)


async def test_an_older_transaction_that_fails_lets_the_others_through(
    writer: asyncpg.Connection, other_writer: asyncpg.Connection, reader: asyncpg.Connection, tenant: UUID
) -> None:
    older = writer.transaction()
    await older.start()
    await add_account(writer, tenant)
    second = await add_account(other_writer, tenant)
    await older.rollback()
    await settled(reader)
    assert ids_of((await read_log(reader, BEGINNING)).events) == [second]


async def test_a_lost_connection_is_a_transaction_that_fails(
    url: str, other_writer: asyncpg.Connection, reader: asyncpg.Connection, tenant: UUID
) -> None:
    async with connected(url) as lost:
        await lost.execute("BEGIN")
        await add_account(lost, tenant)
        second = await add_account(other_writer, tenant)
        lost.terminate()
    async with asyncio.timeout(10):
        await settled(reader)  # as soon as the server notices
    assert ids_of((await read_log(reader, BEGINNING)).events) == [second]


async def test_the_end_is_where_the_next_event_will_be(
    writer: asyncpg.Connection, reader: asyncpg.Connection, tenant: UUID
) -> None:
    await add_account(writer, tenant)
    end = await end_of_log(reader)
    assert list((await read_log(reader, end)).events) == []
    later = await add_account(writer, tenant)
    await settled(reader)
    assert ids_of((await read_log(reader, end)).events) == [later]


@pytest.fixture
async def crowd(url: str) -> AsyncIterator[list[asyncpg.Connection]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(connected(url)) for _ in range(6)]


@pytest.mark.parametrize("seed", range(8))
async def test_every_event_is_read_once_and_in_order(
    crowd: list[asyncpg.Connection], reader: asyncpg.Connection, tenant: UUID, seed: int
) -> None:
    """Transactions of several statements begin, commit and fail in any order; a reader looks in between."""
    choices = random.Random(seed)  # noqa: S311 (a test that can be repeated)
    open_now: dict[int, list[UUID]] = {}
    committed: set[UUID] = set()
    seen: list[UUID] = []
    positions: list[Position] = []
    at = BEGINNING

    async def look() -> None:
        nonlocal at
        reading = await read_log(reader, at, limit=choices.choice((1, 3, 50)))
        assert reading.through >= at
        assert all(at < event.position <= reading.through for event in reading.events)
        seen.extend(ids_of(reading.events))
        positions.extend(event.position for event in reading.events)
        at = reading.through

    for _ in range(250):
        number = choices.randrange(len(crowd))
        connection = crowd[number]
        step = choices.random()
        if number not in open_now:
            await connection.execute("BEGIN")
            open_now[number] = []
        elif step < 0.5:
            open_now[number].append(await add_account(connection, tenant))
        elif step < 0.85:
            await connection.execute("COMMIT")
            committed.update(open_now.pop(number))
        else:
            await connection.execute("ROLLBACK")
            del open_now[number]
        if choices.random() < 0.4:
            await look()
    for number in open_now:
        await crowd[number].execute("ROLLBACK")
    end = await end_of_log(reader)
    while at < end:
        await look()
    assert len(seen) == len(set(seen))
    assert set(seen) == committed
    assert all(first < second for first, second in pairwise(positions))


async def test_what_waits_can_be_read_early_and_only_once(
    writer: asyncpg.Connection, other_writer: asyncpg.Connection, reader: asyncpg.Connection, tenant: UUID
) -> None:
    older = writer.transaction()
    await older.start()
    await add_account(writer, tenant)
    second = await add_account(other_writer, tenant)
    at = (await read_log(reader, BEGINNING)).through
    early = await read_early(reader, at, [])
    assert ids_of(early) == [second]
    assert await read_early(reader, at, [early[0].position.transaction]) == []
    await older.rollback()


async def test_a_cursor_is_known_to_its_own_log_alone(
    writer: asyncpg.Connection, reader: asyncpg.Connection, tenant: UUID
) -> None:
    await add_account(writer, tenant)
    (event,) = await read_settled(reader)
    name = await log_name(reader)
    await add_account(writer, tenant)
    assert await knows(reader, Cursor(name, event.position))
    assert not await knows(reader, Cursor("1" + name, event.position))
    assert not await knows(reader, Cursor(name, Position(2**62, 1))), "a log that was set back"
    await writer.execute("DELETE FROM event_log WHERE transaction_id = $1", event.position.transaction)
    assert not await knows(reader, Cursor(name, event.position)), "a log whose old months were dropped"


@pytest.mark.process
async def test_a_crash_and_the_next_epoch_keep_the_order(tmp_path: Path, tenant: UUID) -> None:
    """PostgreSQL is killed with a transaction open, and later goes on with its 32-bit counter begun anew."""
    server = PostgresServer(tmp_path / "log", password="kept-for-one-test")
    server.prepare()
    server.start()
    try:
        server.execute("CREATE DATABASE log")
        url = server.url("log")
        migrate_by_command("customers", url)
        async with connected(url) as writer, connected(url) as lost, connected(url) as reader:
            await lost.execute("BEGIN")
            await add_account(lost, tenant)
            before = await add_account(writer, tenant)
            at = (await read_log(reader, BEGINNING)).through
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
            for connection in (writer, lost, reader):
                connection.terminate()
        server.stop()
        server.start()
        async with connected(url) as writer, connected(url) as reader:
            assert ids_of((await read_log(reader, at)).events) == [before]
            after = await add_account(writer, tenant)
            reading = await read_log(reader, at)
            assert ids_of(reading.events) == [before, after]
        server.stop()
        begin_epoch(server, 5)
        server.start()
        async with connected(url) as writer, connected(url) as reader:
            later = await add_account(writer, tenant)
            events = (await read_log(reader, reading.through)).events
            assert ids_of(events) == [later]
            assert events[0].position.transaction >= 5 * 2**32
            assert await knows(reader, Cursor(await log_name(reader), reading.through))
    finally:
        server.stop()


def begin_epoch(server: PostgresServer, epoch: int) -> None:
    """Has the stopped server's transaction counter come round so many times."""
    program = find_binaries().program("pg_resetwal")
    done = run_as(server_user(), [program, "-e", str(epoch), str(server.cluster)])
    assert done.returncode == 0, done.stderr
