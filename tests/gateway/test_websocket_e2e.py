"""WebSockets through a real gateway, their few frames written by hand."""

import asyncio

import pytest

from tests.gateway.caller import Caller, calling
from tests.gateway.line import Line, works
from tests.gateway.scripted import OK, Talk

pytestmark = pytest.mark.process

UPGRADE = (
    b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
# RFC 6455, 1.3: what this key has to be answered with.
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
# RFC 6455, 5.7: "Hello", masked and plain; a close frame with its code.
MASKED_HELLO = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
HELLO = b"\x81\x05Hello"
GOODBYE = b"\x88\x02\x03\xe8"


async def switched(caller: Caller) -> None:
    head = (await caller.until(b"\r\n\r\n")).split(b"\r\n")
    assert head[0] == b"HTTP/1.1 101 Switching Protocols"
    fields = {name.lower(): value for name, _, value in (line.partition(b": ") for line in head[1:-2])}
    assert (fields[b"connection"].lower(), fields[b"upgrade"]) == (b"upgrade", b"websocket")
    assert fields[b"sec-websocket-accept"] == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


async def test_a_websocket(line: Line) -> None:
    """The handshake passes, then bytes both ways, those that came with a head among them; the replica ends it."""
    frames: list[bytes] = []

    async def serve(talk: Talk) -> None:
        assert (talk.heard.values(b"connection"), talk.heard.values(b"upgrade")) == (
            [b"Upgrade"],
            [b"websocket"],
        )
        assert talk.heard.values(b"sec-websocket-key") == [b"dGhlIHNhbXBsZSBub25jZQ=="]
        early = talk.parser.trailing_data[0]
        await talk.say(SWITCHED + HELLO)
        frames.append(early + await talk.reader.readexactly(2 * len(MASKED_HELLO) - len(early)))
        await talk.say(HELLO * 50_000 + GOODBYE)

    line.replica.scripts[b"/x"] = serve
    async with calling(line.port) as caller:
        await caller.send(UPGRADE + MASKED_HELLO)
        await switched(caller)
        assert await caller.until(HELLO) == HELLO
        await caller.send(MASKED_HELLO)
        assert await caller.rest() == HELLO * 50_000 + GOODBYE
    assert frames == [MASKED_HELLO * 2]
    await works(line)


async def test_a_websocket_that_the_caller_ends(line: Line) -> None:
    """What the caller said last arrives, and what the replica says to it comes back."""
    ended = asyncio.Event()

    async def serve(talk: Talk) -> None:
        await talk.say(SWITCHED)
        assert len(await talk.reader.read()) == 100_000 * len(MASKED_HELLO)
        await talk.say(GOODBYE)
        ended.set()

    line.replica.scripts[b"/x"] = serve
    async with calling(line.port) as caller:
        await caller.send(UPGRADE)
        await switched(caller)
        await caller.send(MASKED_HELLO * 100_000)
        caller.writer.write_eof()
        assert await caller.rest() == GOODBYE
    await asyncio.wait_for(ended.wait(), 5)


async def test_a_websocket_whose_caller_vanishes(line: Line) -> None:
    ended = asyncio.Event()

    async def serve(talk: Talk) -> None:
        await talk.say(SWITCHED)
        try:
            await talk.reader.read()
        finally:
            ended.set()

    line.replica.scripts[b"/x"] = serve
    async with calling(line.port) as caller:
        await caller.send(UPGRADE)
        await switched(caller)
    await asyncio.wait_for(ended.wait(), 5)


@pytest.mark.parametrize(
    "said", [OK, b"HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 8\r\nContent-Length: 0\r\n\r\n"]
)
async def test_a_refused_upgrade_is_an_ordinary_answer(line: Line, said: bytes) -> None:
    """What follows is a request again, seen by the gateway: nobody gets a tunnel by asking for one."""
    line.replica.scripts[b"/x"] = said
    async with calling(line.port) as caller:
        await caller.send(UPGRADE + b"DELETE /livez HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await caller.answer()).status in (200, 426)
        assert (await caller.answer()).status == 405
    assert line.replica.targets == [b"/x"]


async def test_no_other_protocol_is_asked_for(line: Line) -> None:
    async with calling(line.port) as caller:
        await caller.send(
            b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n"
            b"Upgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n"
        )
        assert (await caller.answer()).status == 200
    assert not {b"connection", b"upgrade", b"http2-settings"} & {
        name for name, _ in line.replica.heard[0].headers
    }
