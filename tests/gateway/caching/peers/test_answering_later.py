"""The answer to a write, while other gateways do not know of it yet."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from services.gateway.protocol.client import ClientConnection
from tests.gateway.puppets import PuppetTransport, Stage, transport_of, turns

POST = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
DONE = b"HTTP/1.1 200 OK\r\nx-kontor-changed: a/1 a/*\r\ncontent-length: 4\r\n\r\ndone"


class Told:
    """Stands for all other gateways: keeps what they were told, and lets writes through when the test says so."""

    def __init__(self) -> None:
        self.tags: list[tuple[bytes, ...] | None] = []
        self._through: list[Callable[[], None]] = []

    def __call__(self, tenant: bytes, tags: tuple[bytes, ...] | None, through: Callable[[], None]) -> None:
        self.tags.append(tags)
        self._through.append(through)

    def know(self) -> None:
        for through in self._through:
            through()
        self._through.clear()


class Scene(Stage):
    """A gateway that has others beside it."""

    def __init__(self, **upstream: Any) -> None:
        super().__init__({"cache": {"visibility": "everyone"}, "public": True}, **upstream)
        self.told = Told()
        assert self.upstream.coherence is not None
        self.upstream.coherence.tell = self.told

    async def ask(self, request: bytes = POST) -> tuple[ClientConnection, PuppetTransport]:
        """Somebody asks, and a replica has it."""
        client, transport = self.call(request)
        await self.connect_all()
        return client, transport

    def answer(self, data: bytes = DONE) -> None:
        """The replica of the only request under way says this."""
        [exchange] = self.exchanges()
        connection = exchange.connection
        assert connection is not None
        transport_of(connection)
        connection.data_received(data)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    yield scene
    scene.close()


async def test_it_waits_until_they_know(scene: Scene) -> None:
    client, transport = await scene.ask()
    scene.answer()
    assert (scene.told.tags, transport.written) == ([(b"a/1", b"a/*")], b"")
    assert scene.complaints() == []
    [exchange] = scene.exchanges()
    began_ns = exchange.received_ns
    await asyncio.sleep(0.02)
    scene.told.know()
    assert transport.written.startswith(b"HTTP/1.1 200 OK\r\n")
    assert transport.written.endswith(b"\r\n\r\ndone")
    # The wait is the request's own time, and a wait: of the third term.
    assert exchange.latency is not None
    assert sum(exchange.latency) == exchange.done_ns - began_ns
    processing, network, system = (ns / 1e6 for ns in exchange.latency)
    assert system > 19
    told = b"processing;dur=%.3f, network;dur=%.3f, system;dur=%.3f" % (processing, network, system)
    assert told in transport.written
    assert (client.exchange, scene.unrest()) == (None, [])


async def test_what_changed_nothing_does_not_wait(scene: Scene) -> None:
    for answer in (
        b"HTTP/1.1 200 OK\r\nx-kontor-changed: \r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 422 No\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 500 No\r\nx-kontor-changed: a/1\r\ncontent-length: 0\r\n\r\n",
    ):
        _, transport = await scene.ask()
        scene.answer(answer)
        assert transport.written.startswith(answer[:12])
    assert scene.told.tags == []


async def test_a_read_tells_nobody(scene: Scene) -> None:
    _, transport = await scene.ask(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
    scene.answer()
    assert transport.written.endswith(b"done")
    assert scene.told.tags == []


async def test_who_does_not_say_what_it_changed_has_changed_its_address(scene: Scene) -> None:
    await scene.ask()
    scene.answer(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    [tags] = scene.told.tags
    assert tags is not None
    assert b"/a" in tags[0]


async def test_after_an_attempt_that_failed_anything_may_have_changed() -> None:
    scene = Scene()
    try:
        client, transport = await scene.ask(POST.replace(b"POST", b"PUT"))
        [exchange] = scene.exchanges()
        transport_of(exchange.connection).breaks()
        async with asyncio.timeout(10):
            while exchange.connection is None or exchange.connection.transport is None:
                await scene.connect_all()
                await asyncio.sleep(0.001)
        scene.answer()
        assert scene.told.tags == [None]
        scene.told.know()
        assert transport.written.endswith(b"done")
        assert client.exchange is None
    finally:
        scene.close()


async def test_whoever_left_meanwhile_is_not_answered(scene: Scene) -> None:
    client, transport = await scene.ask()
    scene.answer()
    client.connection_lost(None)
    scene.told.know()
    assert (transport.written, scene.unrest()) == (b"", [])


async def test_a_deadline_ends_the_wait(scene: Scene) -> None:
    _, transport = await scene.ask()
    scene.answer()
    [exchange] = scene.exchanges()
    exchange.expire(exchange.deadline_ns + 1)
    assert transport.written.startswith(b"HTTP/1.1 504 ")
    written = transport.written
    scene.told.know()
    assert (transport.written, scene.unrest()) == (written, [])


async def test_what_is_sent_on_as_it_comes_is_held_back_from_its_head_on(scene: Scene) -> None:
    client, transport = await scene.ask()
    head = b"HTTP/1.1 200 OK\r\nx-kontor-changed: a/1\r\ntransfer-encoding: chunked\r\n\r\n"
    scene.answer(head + b"4\r\ndone\r\n")
    assert (transport.written, client.full) == (b"", True)
    scene.told.know()
    assert transport.written.startswith(b"HTTP/1.1 200 OK\r\n")
    assert transport.written.endswith(b"4\r\ndone\r\n")
    assert client.full is False
    scene.answer(b"0\r\n\r\n")
    assert transport.written.endswith(b"0\r\n\r\n")
    assert scene.unrest() == []


async def test_one_that_ends_before_they_know_lets_nobody_overtake_it(scene: Scene) -> None:
    client, transport = await scene.ask()
    head = b"HTTP/1.1 200 OK\r\nx-kontor-changed: a/1\r\ntransfer-encoding: chunked\r\n\r\n"
    scene.answer(head + b"4\r\ndone\r\n0\r\n\r\n")
    client.data_received(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
    await turns()
    assert transport.written == b""
    scene.told.know()
    await turns()
    first, _, second = transport.written.partition(b"0\r\n\r\n")
    assert first.endswith(b"4\r\ndone\r\n")
    assert second.startswith(b"HTTP/1.1 200 ")


async def test_a_connection_that_is_to_close_closes_after_what_was_held_back(scene: Scene) -> None:
    _, transport = await scene.ask(POST.replace(b"Host: a", b"Host: a\r\nConnection: close"))
    head = b"HTTP/1.1 200 OK\r\nx-kontor-changed: a/1\r\ntransfer-encoding: chunked\r\n\r\n"
    scene.answer(head + b"4\r\ndone\r\n0\r\n\r\n")
    assert (transport.written, transport.is_closing()) == (b"", False)
    scene.told.know()
    assert transport.written.endswith(b"0\r\n\r\n")
    assert transport.is_closing()
