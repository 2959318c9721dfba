"""What back-pressure does to an exchange, and what it leaves behind."""

from collections.abc import AsyncIterator
from time import perf_counter_ns
from typing import Any

import pytest

from services.gateway.exchange import Exchange
from services.gateway.protocol.client import ClientConnection
from tests.gateway.puppets import PuppetTransport, Stage, transport_of, turns

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD_OF_THREE_BYTES = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"
SECOND = 1_000_000_000


class PausableTransport(PuppetTransport):
    """Knows whether it shall read."""

    reading = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class BrimfulTransport(PuppetTransport):
    """Whatever is written fills its buffer."""

    def write(self, data: Any) -> None:
        super().write(data)
        self.protocol.pause_writing()


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """Answers begin with their heads, however short they are."""
    stage = Stage(transport=PausableTransport, hold_bytes=0)
    yield stage
    stage.close()


async def asked(stage: Stage) -> tuple[Exchange, ClientConnection, PausableTransport]:
    """A request that is with a replica, and its two connections."""
    client, _ = stage.call(GET)
    exchange = client.exchange
    assert exchange is not None
    await stage.connect_all()
    replica = transport_of(exchange.connection)
    assert isinstance(replica, PausableTransport)
    return exchange, client, replica


async def begun(stage: Stage) -> tuple[Exchange, ClientConnection, PausableTransport]:
    """The same once an answer of three bytes has begun."""
    exchange, client, replica = await asked(stage)
    replica.protocol.data_received(HEAD_OF_THREE_BYTES)
    return exchange, client, replica


async def test_a_full_caller_stops_the_replica_until_there_is_room(stage: Stage) -> None:
    _, client, replica = await begun(stage)
    client.pause_writing()
    assert not replica.reading
    client.resume_writing()
    assert replica.reading


async def test_an_answer_that_begins_behind_another_one_waits_for_it(stage: Stage) -> None:
    """The transport says only once that it is full."""
    _, client, replica = await asked(stage)
    client.pause_writing()
    assert replica.reading
    replica.protocol.data_received(HEAD_OF_THREE_BYTES)
    assert not replica.reading


async def test_who_takes_nothing_for_long_has_left(stage: Stage) -> None:
    """Else a caller could hold a replica's connection for ever."""
    exchange, client, replica = await begun(stage)
    client.pause_writing()
    now_ns, idle_ns = perf_counter_ns(), stage.gateway.timeouts.idle_ns
    assert idle_ns > exchange.route.timeout_ns
    exchange.expire(now_ns + idle_ns - SECOND)
    await turns()
    assert not exchange.over
    exchange.expire(now_ns + idle_ns + SECOND)
    await turns()
    assert exchange.error == "client_left"
    assert replica.lost


async def test_a_replica_that_is_silent_for_long_has_cut_its_answer_short(stage: Stage) -> None:
    """What passed while its caller was full does not count."""
    exchange, client, replica = await begun(stage)
    timeout_ns = exchange.route.timeout_ns
    client.pause_writing()
    exchange._moved_ns -= 2 * timeout_ns
    client.resume_writing()
    now_ns = perf_counter_ns()
    exchange.expire(now_ns + timeout_ns - SECOND)
    assert not exchange.over
    exchange.expire(now_ns + timeout_ns + SECOND)
    await turns()
    assert exchange.error == "cut_short"
    assert replica.lost


async def test_a_connection_goes_back_to_the_pool_reading(stage: Stage) -> None:
    """The last piece of an answer filled the caller's buffer: whoever gets the connection next needs to hear."""
    exchange, client, replica = await begun(stage)
    client.transport = BrimfulTransport(client)
    replica.protocol.data_received(b"abc")
    assert exchange.over
    assert client.full
    assert stage.unrest() == []
    assert replica.reading
