"""What waits for the rest of a turn of the event loop: it is written in order, accounted for, and given up in time."""

import asyncio
from collections.abc import AsyncIterator
from time import perf_counter_ns, sleep

import pytest

from services.gateway.exchange import Exchange
from services.gateway.outbox import Together
from services.gateway.protocol.client import ClientConnection
from services.gateway.timing.server_timing import server_timing
from services.gateway.timing.terms import accounted, components_of
from tests.gateway.puppets import PuppetTransport, Stage, transport_of, turns

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
A_WHILE_S = 0.02
A_WHILE_NS = 20_000_000


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage(outbox=Together())
    yield stage
    stage.close()


async def connected(stage: Stage) -> PuppetTransport:
    """A caller to whose replica a connection is open, as to all others."""
    for _ in range(3):
        client, caller = stage.call(GET)
        exchange = client.exchange
        assert exchange is not None
        await stage.connect_all()
        transport_of(exchange.connection).protocol.data_received(OK)
        await turns()
    assert stage.unrest() == []
    for transport in (caller, *stage.connections):
        transport.written = b""
    return caller


def something_else() -> None:
    """It keeps the event loop busy for a while."""
    sleep(A_WHILE_S)


def busy(caller: PuppetTransport) -> Exchange:
    """The caller asks, and is not the only one."""
    assert isinstance(caller.protocol, ClientConnection)
    caller.protocol.data_received(GET)
    exchange = caller.protocol.exchange
    assert exchange is not None
    something_else()
    return exchange


class Note:
    def __init__(self, told: list[tuple[str, int]], name: str, *, wrong: bool = False) -> None:
        self._told = told
        self._name = name
        self._wrong = wrong

    def post(self, waited_ns: int) -> None:
        self._told.append((self._name, waited_ns))
        if self._wrong:
            raise ValueError(self._name)


async def test_what_is_put_in_is_posted_after_the_turn_in_its_order(caplog: pytest.LogCaptureFixture) -> None:
    told: list[tuple[str, int]] = []
    outbox = Together()
    began_ns = perf_counter_ns()
    for name in ("first", "wrong", "last"):
        outbox.put(Note(told, name, wrong=name == "wrong"))
    assert told == []
    await asyncio.sleep(0)
    passed_ns = perf_counter_ns() - began_ns
    assert [name for name, _ in told] == ["first", "wrong", "last"]
    assert all(0 < waited_ns <= passed_ns for _, waited_ns in told)
    assert [record.message for record in caplog.records] == ["what was to be written could not be"]
    outbox.put(Note(told, "next"))
    await asyncio.sleep(0)
    assert [name for name, _ in told][3:] == ["next"]


async def test_a_request_and_its_answer_wait_and_their_waits_are_the_systems(stage: Stage) -> None:
    caller = await connected(stage)
    exchange = busy(caller)
    replica = transport_of(exchange.connection)
    assert replica.written == b""
    await turns()
    assert replica.written.startswith(b"GET /x ")
    replica.protocol.data_received(OK)
    something_else()
    assert caller.written == b""
    await turns()
    finished = exchange.finished()
    components = components_of(finished)
    assert components == accounted(finished)
    assert components.pool_wait >= A_WHILE_NS
    assert components.wake >= A_WHILE_NS
    assert components.pre + components.post < A_WHILE_NS
    assert sum(components) == finished.total_ns
    assert exchange.latency == components.latency
    assert server_timing(*components.latency) in caller.written
    (attempt,) = finished.attempts
    assert attempt.first_byte_ns - attempt.asked_ns < A_WHILE_NS  # it was not the replica who was slow
    assert stage.unrest() == []


async def test_a_caller_who_leaves_before_it_is_written_asks_nobody(stage: Stage) -> None:
    caller = await connected(stage)
    exchange = busy(caller)
    replica = transport_of(exchange.connection)
    caller.breaks()
    await turns()
    assert replica.written == b""
    assert (exchange.error, stage.unrest()) == ("client_left", [])


async def test_a_caller_who_leaves_before_his_answer_is_written_has_left(stage: Stage) -> None:
    caller = await connected(stage)
    exchange = busy(caller)
    await turns()
    transport_of(exchange.connection).protocol.data_received(OK)
    caller.breaks()
    await turns()
    assert (caller.written, exchange.error, stage.unrest()) == (b"", "client_left", [])
    assert [one.outcome.label for one in exchange.finished().attempts] == ["ok"]


async def test_what_a_replica_says_before_it_was_asked_is_no_answer(stage: Stage) -> None:
    caller = await connected(stage)
    exchange = busy(caller)
    early = transport_of(exchange.connection)
    early.protocol.data_received(OK)
    await turns()
    await asyncio.sleep(0.002)  # the longest back-off here
    await turns()
    assert early.lost
    assert caller.written == b""
    replica = transport_of(exchange.connection)
    assert replica is not early
    replica.protocol.data_received(OK)
    await turns()
    assert caller.written.endswith(b"ok")
    assert [one.outcome.label for one in exchange.finished().attempts] == ["broken", "ok"]
    assert stage.unrest() == []
