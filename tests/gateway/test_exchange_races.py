"""Races of an exchange with its attempts, its timers and its caller, each brought about on purpose."""

import asyncio
import gc
import random
from collections.abc import AsyncIterator
from time import perf_counter_ns
from typing import Any, cast

import pytest

from services.gateway.exchange import Exchange
from services.gateway.resilience.ledger import Outcome, TurnedAway
from tests.gateway.processes import eventually
from tests.gateway.puppets import Stage, transport_of, turns

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
UPLOAD = b"PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ERROR = b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno"
LONG_ERROR = b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n"
SECOND = 1_000_000_000


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage({"attempt_timeout_s": 1})
    yield stage
    stage.close()


async def asked(stage: Stage, request: bytes = GET) -> tuple[Exchange, bytes]:
    """A request whose first attempt is with a replica."""
    client, _ = stage.call(request)
    exchange = client.exchange
    assert exchange is not None
    await stage.connect_all()
    return exchange, transport_of(exchange.connection).written


def prepare_hedging(exchange: Exchange) -> None:
    """Answers enough to know what is late, and requests enough to pay for a hedge."""
    hedging = exchange.route.hedging
    assert hedging is not None
    for _ in range(200):
        hedging.on_latency(1_000_000)
        hedging.on_request(perf_counter_ns())
    hedging.delay_ns(perf_counter_ns() + SECOND)


class Readable:
    """What tells whether a connection has something to be read: it has."""

    def poll(self, timeout: int) -> list[tuple[int, int]]:
        return [(0, 1)]


async def hedged(stage: Stage) -> Exchange:
    """A request with two attempts under way."""
    exchange, _ = await asked(stage)
    prepare_hedging(exchange)
    exchange.hedge()
    await stage.connect_all()
    assert exchange._rival is not None
    return exchange


def answered(exchange: Exchange) -> bytes:
    """What the caller got."""
    written: bytes = exchange.client.transport.written  # type: ignore[attr-defined]
    return written


async def test_no_hedge_is_sent_for_an_answer_that_only_waits_to_be_read(stage: Stage) -> None:
    exchange, _ = await asked(stage)
    assert exchange.connection is not None
    prepare_hedging(exchange)
    exchange.connection._poll = cast(Any, Readable())
    exchange.hedge()
    assert exchange._rival is None
    assert stage.upstream.ledger.hedges == 0


async def test_a_hedge_that_wins_leaves_no_attempt_behind(stage: Stage) -> None:
    exchange = await hedged(stage)
    transport_of(exchange._rival).protocol.data_received(OK)
    await turns()
    assert answered(exchange).count(b"HTTP/1.1 200") == 1
    assert stage.upstream.ledger.count(Outcome.HEDGE_LOSER) == 1
    assert stage.unrest() == []


async def test_the_first_one_fails_while_the_hedge_is_under_way(stage: Stage) -> None:
    exchange = await hedged(stage)
    transport_of(exchange.connection).breaks()
    assert stage.complaints() == []
    transport_of(exchange.connection).protocol.data_received(OK)
    await turns()
    assert (exchange.status, exchange.retries) == (200, 0)
    assert stage.unrest() == []


async def test_a_hedge_that_is_refused_after_the_answer_changes_nothing(stage: Stage) -> None:
    exchange, _ = await asked(stage)
    prepare_hedging(exchange)
    exchange.hedge()
    await turns()
    transport_of(exchange.connection).protocol.data_received(OK)
    assert stage.complaints() == []
    await stage.openings[0].fail()
    assert stage.unrest() == []
    assert answered(exchange).count(b"HTTP/1.1") == 1


async def test_both_fall_silent_and_a_third_is_asked(stage: Stage) -> None:
    exchange = await hedged(stage)
    both = {exchange.connection.pool.endpoint, exchange._rival.pool.endpoint}  # type: ignore[union-attr]
    exchange.expire(exchange.attempt_deadline_ns + 1)
    await stage.connect_all()
    assert set(exchange._tried) == both
    assert stage.upstream.ledger.count(Outcome.TIMED_OUT) == 2
    transport_of(exchange.connection).protocol.data_received(OK)
    await turns()
    assert stage.unrest() == []


async def test_the_hedge_is_due_during_the_back_off(stage: Stage) -> None:
    exchange, _ = await asked(stage)
    transport_of(exchange.connection).breaks()
    exchange.hedge()
    assert exchange._rival is None
    assert stage.complaints() == []


async def test_the_caller_leaves_during_the_back_off(stage: Stage) -> None:
    exchange, _ = await asked(stage)
    transport_of(exchange.connection).breaks()
    exchange.client.transport.abort()
    await asyncio.sleep(0.01)
    assert stage.upstream.ledger.retries == 0
    assert stage.unrest() == []


async def test_the_deadline_passes_during_the_back_off(stage: Stage) -> None:
    exchange, _ = await asked(stage)
    transport_of(exchange.connection).breaks()
    exchange.expire(exchange.deadline_ns + 1)
    await asyncio.sleep(0.01)
    assert (exchange.status, stage.upstream.ledger.retries) == (504, 0)
    assert stage.unrest() == []


async def test_who_is_refused_while_waiting_for_a_place_never_begins() -> None:
    """Its place came free later, and a request that was answered with 400 went to a replica."""
    stage = Stage(concurrency={"min_limit": 1, "initial_limit": 1, "max_limit": 1})
    try:
        first, _ = await asked(stage)
        client, transport = stage.call(UPLOAD + b"2\r\nhi\r\n")
        waiting = client.exchange
        assert waiting is not None
        client.data_received(b"not a length\r\n")
        assert transport.written.startswith(b"HTTP/1.1 400")
        transport_of(first.connection).protocol.data_received(OK)
        await turns()
        ledger = stage.upstream.ledger
        assert (ledger.firsts, ledger.requests) == (1, 2)
        assert stage.unrest() == []
    finally:
        stage.close()


async def test_who_leaves_while_waiting_for_a_place_is_counted_once() -> None:
    stage = Stage(concurrency={"min_limit": 1, "initial_limit": 1, "max_limit": 1})
    try:
        first, _ = await asked(stage)
        client, _ = stage.call(GET)
        client.transport.abort()
        await turns()
        transport_of(first.connection).protocol.data_received(OK)
        await turns()
        counts = stage.upstream.ledger.snapshot()["turned_away"]
        assert isinstance(counts, dict)
        assert counts[TurnedAway.CLIENT_LEFT.value] == 1
        assert stage.unrest() == []
    finally:
        stage.close()


async def test_no_connection_is_free_anywhere() -> None:
    """Each attempt fails while it is being made."""
    stage = Stage(connections={"max_per_replica": 1})
    try:
        for _ in range(3):
            await asked(stage)
        exchange_before = len(stage.exchanges())
        _, transport = stage.call(GET)
        await asyncio.sleep(0.02)
        assert transport.written.startswith(b"HTTP/1.1 503")
        assert stage.upstream.ledger.count(Outcome.BUSY) == 3
        assert len(stage.exchanges()) == exchange_before
        assert stage.complaints() == []
    finally:
        stage.close()


async def test_the_connection_comes_about_as_its_time_is_up(stage: Stage) -> None:
    """The request is out by then: a POST must not be made again, nor the connection be counted twice."""
    client, transport = stage.call(POST)
    await turns()
    opening = stage.openings[0]
    connection = opening.protocol
    connection.connection_made(puppet := transport.__class__(connection))
    opening.done.set_exception(TimeoutError())
    puppet.close()  # as the event loop does with a connection that nobody waits for any more
    await turns()
    assert transport.written.startswith(b"HTTP/1.1 502")
    assert (client.exchange, stage.upstream.ledger.retries) == (None, 0)
    assert stage.unrest() == []


@pytest.mark.parametrize("answer", [ERROR, LONG_ERROR])
async def test_an_error_is_asked_about_elsewhere_however_long_it_is(stage: Stage, answer: bytes) -> None:
    exchange, _ = await asked(stage)
    transport_of(exchange.connection).protocol.data_received(answer)
    await asyncio.sleep(0.01)
    await stage.connect_all()
    transport_of(exchange.connection).protocol.data_received(OK)
    await turns()
    assert answered(exchange).startswith(b"HTTP/1.1 200")
    assert stage.upstream.ledger.count(Outcome.SERVER_ERROR) == 1
    assert stage.unrest() == []


async def test_an_error_that_is_not_asked_about_passes_whole(stage: Stage) -> None:
    exchange, _ = await asked(stage, POST)
    transport_of(exchange.connection).protocol.data_received(LONG_ERROR + b"0\r\n\r\n")
    await turns()
    assert answered(exchange).startswith(b"HTTP/1.1 500")
    assert answered(exchange).endswith(b"2\r\nno\r\n0\r\n\r\n")
    assert stage.unrest() == []


async def test_a_request_of_an_earlier_configuration_goes_on_with_the_replicas_of_the_new_one() -> None:
    """While replicas start slowly its balancer asks again who may be used, and one of them is gone."""
    stage = Stage(slow_start_s=10)
    try:
        exchange, _ = await asked(stage)
        gateway = stage.gateway
        one = stage.upstream.endpoints[2]
        for _ in range(3):
            stage.upstream.observe(one, False, "it is ill")
        stage.upstream.observe(one, True, "it is well")
        gateway.apply(stage.snapshot(("one", "two"), slow_start_s=20), gateway._keys)
        transport_of(exchange.connection).breaks()
        exchange.route.balancer.refresh(perf_counter_ns())
        await asyncio.sleep(0.01)
        await stage.connect_all()
        transport_of(exchange.connection).protocol.data_received(OK)
        await turns()
        assert exchange.status == 200
        assert stage.unrest() == []
    finally:
        stage.close()


async def test_a_reload_to_another_source_keeps_the_replicas_until_it_has_found_some(stage: Stage) -> None:
    gateway, before = stage.gateway, stage.upstream.endpoints
    gateway.apply(stage.snapshot(replicas={"file": "elsewhere.yaml"}), gateway._keys)
    assert stage.upstream.endpoints == before
    exchange, _ = await asked(stage)
    transport_of(exchange.connection).protocol.data_received(OK)
    await turns()
    assert exchange.status == 200


async def test_nothing_keeps_a_request_that_is_over() -> None:
    storm = Storm(seed=0)
    try:
        for _ in range(300):
            await storm.step()
        await storm.settle()
        storm.stage.gateway._recorder.flush()  # which the sweep does

        async def no_hedge_is_due() -> bool:
            return not storm.stage.upstream.timer._line

        await eventually(no_hedge_is_due)
    finally:
        storm.stage.close()
    gc.collect()
    kept = [one for one in gc.get_objects() if type(one) is Exchange]
    assert not [one for one in kept if one._gateway is storm.stage.gateway]


@pytest.mark.parametrize("seed", range(30))
async def test_whatever_happens_the_books_balance(seed: int) -> None:
    """Everything at random, and after each step nothing may be lost, counted twice or left behind."""
    storm = Storm(seed)
    try:
        for _ in range(150):
            await storm.step()
            assert storm.stage.complaints() == []
        await storm.settle()
        assert storm.stage.unrest() == []
        assert storm.answers() == []
        assert storm.repeated() == []
    finally:
        storm.stage.close()


class Storm:
    """Callers, replicas, clocks and operators who do whatever comes to mind."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)  # noqa: S311 - reproducible, not secret
        self.stage = Stage(
            {"attempt_timeout_s": 1},
            concurrency={"min_limit": 4, "initial_limit": 4, "max_limit": 8, "queue": {"max_wait_s": 0.01}},
            connections={"max_per_replica": 3, "idle": 2},
            hedging={"min_samples": 1, "min_delay_s": 0.001, "max_hedges_percent": 100, "refresh_s": 0.01},
            ejection={"consecutive_gateway_errors": 0, "consecutive_server_errors": 0},
            retry_budget={"percent": 100},
        )
        self.steps = [
            *(self.call,) * 4,
            *(self.answer,) * 6,
            self.open,
            self.open,
            self.refuse,
            self.breaks,
            self.hedge,
            self.leave,
            self.late,
            self.body,
            self.reconfigure,
            self.wait,
        ]

    async def step(self) -> None:
        """Something happens."""
        await self.dice.choice(self.steps)()

    async def call(self) -> None:
        request = self.dice.choice((GET, GET, POST, UPLOAD, UPLOAD + b"2\r\nhi\r\n0\r\n\r\n"))
        self.stage.call(request.replace(b"/x", b"/%d" % len(self.stage.clients)))

    def _live(self) -> list[Exchange]:
        return [one for one in self.stage.exchanges() if one.connection is not None]

    async def answer(self) -> None:
        able = [
            one
            for exchange in self._live()
            for one in (exchange.connection, exchange._rival)
            if one is not None and one.transport is not None and not one.transport.is_closing()
        ]
        if able:
            pieces = (OK, OK, OK, OK[:-1], b"k", ERROR, LONG_ERROR, b"0\r\n\r\n", b"HTTP/1.1 503 No\r\n\r\n")
            self.dice.choice(able).data_received(self.dice.choice(pieces))

    async def open(self) -> None:
        await turns()
        if self.stage.openings:
            await self.dice.choice(self.stage.openings).succeed()

    async def refuse(self) -> None:
        await turns()
        if self.stage.openings:
            await self.dice.choice(self.stage.openings).fail()
            for endpoint in self.stage.upstream.endpoints:
                self.stage.upstream.observe(endpoint, True, "it is well again")

    async def breaks(self) -> None:
        able = [one for one in self._live() if one.connection and one.connection.transport is not None]
        if able:
            transport_of(self.dice.choice(able).connection).breaks()

    async def hedge(self) -> None:
        for exchange in self._live():
            exchange.hedge()

    async def leave(self) -> None:
        if self.stage.exchanges():
            self.dice.choice(self.stage.exchanges()).client.transport.abort()

    async def late(self) -> None:
        if self.stage.exchanges():
            exchange = self.dice.choice(self.stage.exchanges())
            exchange.expire(self.dice.choice((exchange.deadline_ns, exchange.attempt_deadline_ns)) + 1)

    async def body(self) -> None:
        able = [one for one in self.stage.exchanges() if one.client.unread]
        if able:
            piece = self.dice.choice((b"2\r\nhi\r\n", b"0\r\n\r\n", b"nonsense\r\n"))
            self.dice.choice(able).client.data_received(piece)

    async def reconfigure(self) -> None:
        names = self.dice.choice((("one", "two", "three"), ("one", "two"), ("two", "three", "four")))
        gateway = self.stage.gateway
        gateway.apply(self.stage.snapshot(names, slow_start_s=self.dice.choice((0, 1))), gateway._keys)
        for endpoint in self.stage.upstream.endpoints:
            self.stage.upstream.observe(endpoint, True, "it says so")

    async def wait(self) -> None:
        await asyncio.sleep(0.002)
        self.stage.upstream.sweep(perf_counter_ns())

    async def settle(self) -> None:
        """All callers give up or are answered, all replicas accept or refuse."""
        for exchange in self.stage.exchanges():
            exchange.client.transport.abort()
        await turns()
        for opening in list(self.stage.openings):
            await opening.succeed()
        await asyncio.sleep(0.02)

    def answers(self) -> list[str]:
        """Callers who got more than one answer to their one request."""
        heads = [
            client.transport.written.count(b"x-request-id: ")  # type: ignore[attr-defined]
            for client in self.stage.clients
        ]
        return [f"{count} answers" for count in heads if count > 1]

    def repeated(self) -> list[bytes]:
        """Targets of POSTs that went out more than once, to whomever."""
        said = b"".join(connection.written for connection in self.stage.connections)
        targets = [b"POST /%d " % number for number in range(len(self.stage.clients))]
        return [target for target in targets if said.count(target) > 1]
