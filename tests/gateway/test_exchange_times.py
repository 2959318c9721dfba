"""Which instants a request's time is counted from and to, and what becomes of it when it breaks off."""

import asyncio
import re
from collections.abc import AsyncIterator
from time import perf_counter_ns

import pytest

from services.gateway.exchange import Exchange
from services.gateway.timing.finished import FinishedRequest
from services.gateway.timing.server_timing import server_timing
from services.gateway.timing.terms import components_of
from shared.telemetry.terms import ServiceTerms, write_terms
from tests.gateway.puppets import PuppetTransport, Stage, transport_of, turns

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
TERMS = b"x-kontor-terms: " + write_terms(ServiceTerms(0, 0, 1_000, 0, 0)) + b"\r\n"
LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n" + TERMS + b"\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + TERMS + b"\r\n2\r\nok\r\n"
A_WHILE_S = 0.003
A_WHILE_NS = 3_000_000


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    stage.close()


async def asked(stage: Stage, request: bytes = GET) -> tuple[Exchange, PuppetTransport]:
    """A request that is with a replica, and the connection to it."""
    client, _ = stage.call(request)
    exchange = client.exchange
    assert exchange is not None
    await stage.connect_all()
    return exchange, transport_of(exchange.connection)


def told(exchange: Exchange) -> FinishedRequest:
    """What is remembered of a request that is over; what the log says of it is the same, and adds up."""
    assert exchange.over
    finished = exchange.finished()
    components = components_of(finished)
    assert sum(components) == finished.total_ns
    if exchange.latency is not None:
        assert tuple(exchange.latency) == components.latency
    return finished


@pytest.mark.parametrize("answer", [LONG, CHUNKED])
async def test_a_caller_who_leaves_an_answer(stage: Stage, answer: bytes) -> None:
    """What was measured for its head is not the whole; what the replica said with it stays."""
    exchange, replica = await asked(stage)
    replica.protocol.data_received(answer)
    await asyncio.sleep(A_WHILE_S)
    stage.clients[0].connection_lost(None)
    finished = told(exchange)
    assert components_of(finished).body >= A_WHILE_NS
    assert components_of(finished).service_processing == 1_000
    (attempt,) = finished.attempts
    assert (attempt.outcome.label, attempt.status) == ("client_left", 200)


@pytest.mark.parametrize("answer", [LONG, CHUNKED])
async def test_a_replica_that_leaves_its_answer(stage: Stage, answer: bytes) -> None:
    exchange, replica = await asked(stage)
    replica.protocol.data_received(answer)
    await asyncio.sleep(A_WHILE_S)
    replica.breaks()
    finished = told(exchange)
    assert (exchange.error, components_of(finished).service_processing) == ("cut_short", 1_000)
    assert components_of(finished).body >= A_WHILE_NS
    assert [one.outcome.label for one in finished.attempts] == ["cut_short"]


@pytest.mark.parametrize(
    "pieces",
    [[OK], [OK[:-2], OK[-2:]], [LONG, b"x" * 99_999, b"x"], [CHUNKED, b"0\r\n\r\n"]],
    ids=["whole", "in two reads", "long", "chunked"],
)
async def test_time_ends_before_the_last_bytes_are_written(
    stage: Stage, pieces: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller may have read them before the writing returns."""
    exchange, replica = await asked(stage)
    last_written_ns = 0

    def write(self: PuppetTransport, data: bytes) -> None:
        nonlocal last_written_ns
        last_written_ns = perf_counter_ns()
        self.written += data

    monkeypatch.setattr(PuppetTransport, "write", write)
    for piece in pieces:
        replica.protocol.data_received(piece)
    assert 0 < told(exchange).done_ns <= last_written_ns


async def test_an_answer_in_two_reads_is_told_as_a_whole(stage: Stage) -> None:
    """Also one to a request that is not made again: what its caller is told is about all of it."""
    client, caller = stage.call(POST + b"123456")
    exchange = client.exchange
    assert exchange is not None
    await stage.connect_all()
    replica = transport_of(exchange.connection)
    replica.protocol.data_received(OK[:-2])
    await asyncio.sleep(A_WHILE_S)
    replica.protocol.data_received(OK[-2:])
    components = components_of(told(exchange))
    assert components.body >= A_WHILE_NS
    assert server_timing(*components.latency) in caller.written


async def test_a_small_body_on_its_way_is_the_callers_time(stage: Stage) -> None:
    client, _ = stage.call(POST)
    exchange = client.exchange
    assert exchange is not None
    await asyncio.sleep(A_WHILE_S)
    client.data_received(b"123456")
    await stage.connect_all()
    transport_of(exchange.connection).protocol.data_received(OK)
    components = components_of(told(exchange))
    assert components.upload >= A_WHILE_NS > components.pre


async def test_a_head_in_pieces_counts_from_the_first(stage: Stage) -> None:
    """The wait for the rest is the caller's own: neither a wait of ours nor off the replica's time."""
    client, _ = stage.call(GET[:10])
    await asyncio.sleep(A_WHILE_S)
    client.data_received(GET[10:20])
    client.data_received(GET[20:])
    exchange = client.exchange
    assert exchange is not None
    assert exchange.deadline_ns - exchange.started_ns == exchange.route.timeout_ns
    await stage.connect_all()
    transport_of(exchange.connection).protocol.data_received(OK)
    components = components_of(told(exchange))
    assert components.upload >= A_WHILE_NS
    assert components.queue == 0


async def test_a_refused_request_counts_from_its_first_piece_as_well(stage: Stage) -> None:
    refused = b"TRACE /x HTTP/1.1\r\nHost: a\r\n\r\n"
    client, caller = stage.call(refused[:10])
    await asyncio.sleep(A_WHILE_S)
    client.data_received(refused[10:])
    timing = re.search(rb"network;dur=([\d.]+)", caller.written)
    assert timing is not None
    assert float(timing[1]) >= A_WHILE_S * 1e3


async def test_pipelined_requests_count_from_their_bytes(stage: Stage) -> None:
    """However many are answered before them."""
    client, _ = stage.call(GET * 3)
    began_ns = perf_counter_ns()
    received = []
    for _ in range(3):
        await stage.connect_all()
        exchange = client.exchange
        assert exchange is not None
        received.append(exchange.received_ns)
        transport_of(exchange.connection).protocol.data_received(OK)
        told(exchange)
        await turns()
    assert max(received) < began_ns


async def test_a_pipelined_request_does_not_count_from_those_before_it(stage: Stage) -> None:
    """It came later than the request it waits for; after a body, too, and after what was read meanwhile."""
    client, _ = stage.call(POST)
    await asyncio.sleep(A_WHILE_S)
    late_ns = perf_counter_ns()
    client.data_received(b"123456" + GET)
    client.data_received(GET)
    for number in range(3):
        await stage.connect_all()
        exchange = client.exchange
        assert exchange is not None
        assert (exchange.received_ns < late_ns) == (number == 0)
        transport_of(exchange.connection).protocol.data_received(OK)
        await turns()
    assert client.exchange is None
