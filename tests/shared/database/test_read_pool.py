import asyncio
from typing import cast

import asyncpg
import pytest

from shared.database.read_pool import ReadPool


class FakeConnection:
    """What the pool knows of a connection."""

    def __init__(self) -> None:
        self.lost = False

    def is_closed(self) -> bool:
        return self.lost

    async def close(self, **_options: float) -> None:
        self.lost = True


class FakeServer:
    """Lets clients in, or refuses them."""

    def __init__(self) -> None:
        self.connections: list[FakeConnection] = []
        self.refusing = False

    async def connect(self) -> asyncpg.Connection:
        await asyncio.sleep(0)
        if self.refusing:
            raise ConnectionRefusedError
        self.connections.append(FakeConnection())
        return cast(asyncpg.Connection, self.connections[-1])

    def restart(self) -> None:
        for connection in self.connections:
            connection.lost = True


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def pool(server: FakeServer) -> ReadPool:
    return ReadPool(server.connect, 2)


async def settle() -> None:
    """Lets every task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_the_connection_returned_last_is_lent_first(pool: ReadPool, server: FakeServer) -> None:
    first, second = await pool.acquire(), await pool.acquire()
    pool.release(second)
    pool.release(first)
    assert await pool.acquire() is first
    assert await pool.acquire() is second
    assert len(server.connections) == 2


async def test_no_more_connections_are_made_than_are_used_at_once(pool: ReadPool, server: FakeServer) -> None:
    for _ in range(3):
        pool.release(await pool.acquire())
    assert len(server.connections) == 1


async def test_it_tells_how_much_of_it_is_lent(pool: ReadPool) -> None:
    assert pool.in_use == 0
    connection = await pool.acquire()
    assert pool.in_use == 0.5
    pool.release(connection)
    assert pool.in_use == 0


async def test_whoever_waits_is_served_in_turn(pool: ReadPool) -> None:
    lent = [await pool.acquire(), await pool.acquire()]
    waiting = [asyncio.create_task(pool.acquire()) for _ in range(2)]
    await settle()
    assert not any(task.done() for task in waiting)
    pool.release(lent[1])
    await settle()
    assert [task.done() for task in waiting] == [True, False]
    pool.release(lent[0])
    assert [await task for task in waiting] == [lent[1], lent[0]]


async def test_lost_connections_are_replaced(pool: ReadPool, server: FakeServer) -> None:
    idle, lent = await pool.acquire(), await pool.acquire()
    pool.release(idle)
    server.restart()
    pool.release(lent)
    fresh = [await pool.acquire(), await pool.acquire()]
    assert not any(connection.is_closed() for connection in fresh)
    assert len(server.connections) == 4


async def test_whoever_waits_gets_the_place_of_a_lost_connection(pool: ReadPool, server: FakeServer) -> None:
    lent, _ = await pool.acquire(), await pool.acquire()
    waiting = asyncio.create_task(pool.acquire())
    await settle()
    server.restart()
    pool.release(lent)
    assert not (await waiting).is_closed()


async def test_whoever_waits_is_told_when_there_is_no_server(pool: ReadPool, server: FakeServer) -> None:
    lent = [await pool.acquire(), await pool.acquire()]
    waiting = [asyncio.create_task(pool.acquire()) for _ in range(3)]
    await settle()
    server.refusing = True
    server.restart()
    pool.release(lent[0])
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ConnectionRefusedError] * 3
    server.refusing = False
    pool.release(lent[1])
    assert not (await pool.acquire()).is_closed()
    assert not (await pool.acquire()).is_closed()


async def test_a_running_statement_is_left_behind_and_its_connection_closed(
    pool: ReadPool, server: FakeServer
) -> None:
    connection = await pool.acquire()
    pool.discard(connection)
    assert await pool.acquire() is not connection
    await settle()
    assert connection.is_closed()
    assert len(server.connections) == 2


@pytest.mark.parametrize("served_first", [True, False])
async def test_a_connection_outlives_a_cancelled_wait(pool: ReadPool, *, served_first: bool) -> None:
    lent, _ = await pool.acquire(), await pool.acquire()
    waiting = [asyncio.create_task(pool.acquire()) for _ in range(2)]
    await settle()
    if served_first:
        pool.release(lent)
        waiting[0].cancel()
    else:
        waiting[0].cancel()
        pool.release(lent)
    assert await waiting[1] is lent
    assert waiting[0].cancelled()


async def test_a_cancelled_attempt_to_connect_frees_its_place(pool: ReadPool, server: FakeServer) -> None:
    tasks = [asyncio.create_task(pool.acquire()) for _ in range(2)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await settle()
    assert pool.in_use == 0
    await pool.acquire()
    await pool.acquire()
    assert len(server.connections) == 2


async def test_closing_waits_for_what_is_lent(pool: ReadPool, server: FakeServer) -> None:
    idle, lent = await pool.acquire(), await pool.acquire()
    pool.release(idle)
    closing = asyncio.create_task(pool.close())
    await settle()
    assert idle.is_closed()
    assert not closing.done()
    pool.release(lent)
    await closing
    assert all(connection.lost for connection in server.connections)
    assert pool.in_use == 0
