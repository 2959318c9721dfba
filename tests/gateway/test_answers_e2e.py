"""Replicas' answers on raw sockets: what reaches the caller, and what must not."""

import asyncio
import json

import pytest

from services.gateway.forwarding.pool import ConnectionsRule
from tests.gateway.caller import calling
from tests.gateway.line import GET, NEXT, Line, works
from tests.gateway.processes import eventually
from tests.gateway.scripted import OK, Talk

pytestmark = pytest.mark.process


# Answers without body, interim answers, trailers


@pytest.mark.parametrize(
    ("method", "said", "length"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", [b"500"]),
        (b"HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", []),
        (b"HEAD", b"HTTP/1.1 404 Not Found\r\n\r\n", []),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n", []),
        (b"GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", []),
        (b"GET", b'HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\nETag: "x"\r\n\r\n', [b"500"]),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", []),
        (b"GET", b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n" + OK, [b"2"]),
    ],
)
async def test_answers_without_body(line: Line, method: bytes, said: bytes, length: list[bytes]) -> None:
    line.replica.scripts[b"/x"] = said
    async with calling(line.port) as caller:
        for _ in range(2):
            await caller.send(b"%b /x HTTP/1.1\r\nHost: a\r\n\r\n" % method)
            answer = await caller.answer(method)
            assert (answer.values(b"content-length"), answer.values(b"transfer-encoding")) == (length, [])
            assert answer.body in (b"", b"ok")
        await caller.send(NEXT)
        assert (await caller.answer()).body == b"ok"
    assert {one.connection for one in line.replica.heard} == {line.replica.heard[0].connection}


async def test_interim_answers(line: Line) -> None:
    """Early hints pass; 100 is the gateway's own affair; HTTP/1.0 gets neither."""
    line.replica.scripts[b"/x"] = (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x\r\nX: 1\r\n\r\n"
        b"HTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\n" + OK
    )
    async with calling(line.port) as caller:
        await caller.send(GET)
        hint = b"HTTP/1.1 103 Early Hints\r\nLink: <%b>\r\n\r\n"
        assert await caller.until(b"\r\n\r\n") == hint % b"/a"
        assert await caller.until(b"\r\n\r\n") == hint % b"/b"
        assert (await caller.answer()).status == 200
    async with calling(line.port) as caller:
        await caller.send(b"GET /x HTTP/1.0\r\n\r\n")
        assert (await caller.until(b"\r\n")).startswith(b"HTTP/1.1 200 ")


async def test_many_interim_answers(line: Line) -> None:
    line.replica.scripts[b"/x"] = b"HTTP/1.1 100 Continue\r\n\r\n" * 2000 + OK
    async with calling(line.port) as caller:
        await caller.send(GET)
        assert (await caller.answer()).status == 200


async def test_trailers(line: Line) -> None:
    line.replica.scripts[b"/x"] = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Server-Timing\r\n\r\n2\r\nok\r\n0\r\n"
        b"Server-Timing: a;dur=1\r\nContent-Length: 7\r\nTransfer-Encoding: x\r\nSet-Cookie: a=b\r\nHost: x\r\n"
        b"X-Kontor-Terms: 1\r\nConnection: close\r\nTE: x\r\nKeep-Alive: 5\r\nUpgrade: x\r\n"
        b"Proxy-Authenticate: x\r\nWWW-Authenticate: x\r\nX-Forwarded-For: x\r\nLocation: x\r\nVary: x\r\n"
        b"X-Request-Id: x\r\nExpires: 0\r\nX-Digest: y\r\n\r\n"
    )
    async with calling(line.port) as caller:
        for _ in range(2):
            await caller.send(GET)
            answer = await caller.answer()
            assert answer.body == b"ok"
            assert answer.trailers == [(b"server-timing", b"a;dur=1"), (b"x-digest", b"y")]


async def test_events_are_flushed_one_by_one(line: Line) -> None:
    """Each piece arrives before the replica has made the next, whatever tells the end."""
    step = asyncio.Event()
    heads = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
    )
    for chunked, head in zip((True, False), heads, strict=True):

        async def stream(talk: Talk, head: bytes = head, chunked: bool = chunked) -> None:
            await talk.say(head)
            for number in range(5):
                event = b"data: %d\n\n" % number
                await talk.say(b"%x\r\n%b\r\n" % (len(event), event) if chunked else event)
                await step.wait()
                step.clear()
            if chunked:
                await talk.say(b"0\r\n\r\n")

        line.replica.scripts[b"/x"] = stream
        async with calling(line.port) as caller:
            await caller.send(GET)
            await caller.until(b"\r\n\r\n")
            for number in range(5):
                assert await caller.until(b"\n\n\r\n") == b"9\r\ndata: %d\n\n\r\n" % number
                step.set()
            assert await caller.until(b"0\r\n\r\n") == b"0\r\n\r\n"
            await caller.send(NEXT)
            assert (await caller.answer()).status == 200


# Answers that are none

HEAD = b"HTTP/1.1 200 OK\r\n"
BAD_ANSWERS = [
    *(
        HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
        HEAD + b"Content-Length: -1\r\n\r\nok",
    ),
    *(
        HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        HEAD + b"Transfer-Encoding: gzip\r\n\r\nok",
    ),
    *(
        HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"X: y\r\n folded\r\n\r\n",
        b"garbage\r\n\r\n",
    ),
    *(
        HEAD + b"X: \x00\r\nContent-Length: 2\r\n\r\nok",
        HEAD + b"no colon\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"",
    ),
    *(
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nx",
    ),
    *(HEAD + b"X: " + b"y" * 400_000 + b"\r\n\r\n", b"x" * 400_000, HEAD[:10]),
]


@pytest.mark.parametrize("said", BAD_ANSWERS, ids=[repr(said[:60]) for said in BAD_ANSWERS])
async def test_answers_that_are_none(line: Line, said: bytes) -> None:
    """502, and nothing of it reaches the caller or is left in the connection for the next."""

    async def say(talk: Talk) -> None:
        await talk.say(said)
        if said in (b"", HEAD[:10]):
            return
        await talk.reader.read()  # the gateway is to close

    line.replica.scripts[b"/x"] = say
    async with calling(line.port) as caller:
        await caller.send(GET)
        answer = await caller.answer()
        assert (answer.status, json.loads(answer.body)["code"]) == (502, "upstream_broke")
        await caller.send(NEXT)
        assert (await caller.answer()).body == b"ok"


@pytest.mark.parametrize(
    "rest", [b"5\r\nhe", b"g\r\n", b"2;x\r\nok\r\n0\r\n\r\n", b"2\nok\n0\n\n", b"2\r\nokay\r\n"]
)
async def test_answers_that_go_wrong_midway(line: Line, rest: bytes) -> None:
    """What has begun cannot be taken back: the connection ends without the last chunk."""

    async def say(talk: Talk) -> None:
        await talk.say(HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await asyncio.sleep(0.05)
        await talk.say(rest)

    line.replica.scripts[b"/x"] = say
    async with calling(line.port) as caller:
        await caller.send(GET)
        try:
            data = await caller.rest()
        except ConnectionResetError:
            data = b""
        assert b"0\r\n\r\n" not in data
    await works(line)


SURPLUS = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"


@pytest.mark.parametrize(
    "said",
    [
        *(OK, b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n"),
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        HEAD + b"Content-Length: 100000\r\n\r\n" + bytes(100_000),
    ],
)
@pytest.mark.parametrize("delay", [0.0, 0.05])
async def test_surplus_bytes_reach_nobody(line: Line, said: bytes, delay: float) -> None:
    """Whether they come with the answer or a moment later, they answer no other request."""

    async def say(talk: Talk) -> None:
        if not delay:
            await talk.say(said + SURPLUS)
        else:
            await talk.say(said)
            await asyncio.sleep(delay)
            await talk.say(SURPLUS)
        await talk.reader.read()

    line.replica.scripts[b"/x"] = say
    async with calling(line.port) as caller:
        await caller.send(GET)
        first = await caller.answer()
        await asyncio.sleep(2 * delay)
        await caller.send(NEXT)
        second = await caller.answer()
    assert b"poison" not in first.body + second.body
    assert line.replica.heard[0].connection != line.replica.heard[1].connection


@pytest.mark.parametrize("method", [b"GET", b"PUT", b"POST"])
async def test_an_answer_may_come_before_the_body(line: Line, method: bytes) -> None:
    """It is passed on, says that it is the last, and the connection to the replica is not used again."""

    async def refuse(talk: Talk) -> None:
        await talk.say(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\n\r\nlarge")
        await talk.reader.read()

    line.replica.scripts[b"/x"] = refuse
    async with calling(line.port) as caller:
        await caller.send(
            b"%b /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" % method + bytes(70_000)
        )
        answer = await caller.answer()
        assert (answer.status, answer.body, answer.closes) == (413, b"large", True)
        assert await caller.closed()
    await works(line)


async def test_idle_connections_are_ours_to_close(line: Line) -> None:
    """What an idle replica says unasked costs it the connection, and nobody a request."""
    talks: list[Talk] = []

    async def keep(talk: Talk) -> None:
        talks.append(talk)
        await talk.say(OK)
        await talk.reader.read()

    line.replica.scripts[b"/x"] = keep
    async with calling(line.port) as caller:
        await caller.send(GET)
        assert (await caller.answer()).status == 200
        await talks[0].say(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")

        async def dropped() -> bool:
            return talks[0].reader.at_eof()

        await eventually(dropped)
        await caller.send(NEXT)
        assert (await caller.answer()).status == 200
    assert ConnectionsRule().keep_s < 5  # the services' servers close theirs after five seconds
