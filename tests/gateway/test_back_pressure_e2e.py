"""Whoever does not take what it is sent makes the other side wait, and the gateway holds little."""

import asyncio

import pytest

from tests.gateway.caller import calling
from tests.gateway.line import GET, POST, Line, works
from tests.gateway.processes import eventually
from tests.gateway.scripted import OK, Talk

pytestmark = pytest.mark.process

HEAD = b"HTTP/1.1 200 OK\r\n"


async def test_a_replica_that_reads_slowly_slows_the_caller(line: Line) -> None:
    """The gateway holds little of what the replica does not take."""
    go_on = asyncio.Event()
    size = 40_000_000

    async def slow(talk: Talk) -> None:
        await go_on.wait()
        await talk.read_body()
        await talk.say(OK)

    await works(line)
    line.replica.scripts[b"/x"] = slow
    before = line.gateway.rss()
    async with calling(line.port) as caller:
        await caller.send(POST + b"Content-Length: %d\r\n\r\n" % size)
        sending = asyncio.create_task(caller.send(bytes(size)))
        await asyncio.sleep(0.5)
        assert not sending.done()
        assert line.gateway.rss() - before < 20_000_000
        go_on.set()
        assert (await caller.answer()).status == 200
        await sending


async def test_a_second_answer_waits_for_the_reader_as_the_first_did(line: Line) -> None:
    """Two long answers to one who reads neither: the gateway holds no more than it does of one."""
    await works(line)
    line.replica.scripts[b"/x"] = HEAD + b"Content-Length: 40000000\r\n\r\n" + bytes(40_000_000)
    line.replica.scripts[b"/y"] = HEAD + b"Content-Length: 8000000\r\n\r\n" + bytes(8_000_000)
    before = line.gateway.rss()
    async with calling(line.port) as caller:
        await caller.send(b"GET /y HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
        await asyncio.sleep(1)
        assert line.gateway.rss() - before < 20_000_000
        assert len((await caller.answer()).body) == 8_000_000
        assert len((await caller.answer()).body) == 40_000_000


async def test_who_pipelines_but_does_not_read_waits(line: Line) -> None:
    """Answers that nobody takes do not pile up in the gateway."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 30000\r\n\r\n" + bytes(30_000)
    line.replica.scripts[b"/x"] = answer
    async with calling(line.port) as caller:
        await caller.send(GET)
        await caller.answer()
        before = line.gateway.rss()
        sending = asyncio.create_task(caller.send(GET * 3000))  # 90 MB of answers
        await steady(line)
        assert line.gateway.rss() - before < 30_000_000
        asked = len(line.replica.heard)
        assert asked < 1000
        for _ in range(2000):
            assert len((await caller.answer()).body) == 30_000
        await sending


async def steady(line: Line) -> None:
    """Wait until the replica hears nothing new."""
    heard = [-1]

    async def rests() -> bool:
        await asyncio.sleep(0.2)
        heard.append(len(line.replica.heard))
        return heard[-1] == heard[-2]

    await eventually(rests)
