"""What is relied on of uvicorn's protocol, on a real connection."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from shared.service.protocol import timed_by
from shared.telemetry.server import RECEIVED, Receive, Scope, Send
from shared.telemetry.stopwatch import LoopWork
from tests.shared.telemetry.recording import answer

HEAD = b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n"


class Server:
    """What requests saw: their path, and how long before their task began their first bytes had come."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []
        self.work = LoopWork()
        self.blocking_s = 0.0

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen.append((scope["path"], time.perf_counter_ns() - scope[RECEIVED]))
        time.sleep(self.blocking_s)  # noqa: ASYNC251 (a fault)
        await answer(send)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        config = uvicorn.Config(
            self.app, http=timed_by(self.work), interface="asgi3", log_config=None, lifespan="off"
        )
        config.load()
        state = uvicorn.Server(config).server_state

        def protocol() -> asyncio.Protocol:
            make: Any = config.http_protocol_class
            made: asyncio.Protocol = make(config=config, server_state=state, app_state={})
            return made

        server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        yield reader, writer
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()


async def answered(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    await reader.readuntil(b"0\r\n\r\n")


async def test_each_request_of_a_connection_knows_when_it_came() -> None:
    server = Server()
    async with server.connected() as (reader, writer):
        for number in range(3):
            writer.write(HEAD % number)
            await answered(reader)
    assert [path for path, _ in server.seen] == ["/0", "/1", "/2"]
    assert all(waited >= 0 for _, waited in server.seen)


async def test_a_request_has_come_with_its_first_byte() -> None:
    """What follows the request line comes later; `sleep` is generous, for a pause may be cut short by a clock tick."""
    server = Server()
    head = HEAD % 1
    async with server.connected() as (reader, writer):
        writer.write(head[:9])
        await asyncio.sleep(0.05)
        writer.write(head[9:])
        await answered(reader)
    assert server.seen[0][1] >= 40_000_000


async def test_the_next_in_a_pipeline_waits_for_the_one_before() -> None:
    server = Server()
    server.blocking_s = 0.02
    async with server.connected() as (reader, writer):
        writer.write(HEAD % 1 + HEAD % 2)
        await answered(reader)
        await answered(reader)
    assert [path for path, _ in server.seen] == ["/1", "/2"]
    assert server.seen[1][1] >= 20_000_000


async def test_reading_and_parsing_is_work_that_others_wait_for() -> None:
    server = Server()
    async with server.connected() as (reader, writer):
        writer.write(HEAD % 1)
        await answered(reader)
    assert server.work.busy > 0


def test_each_process_has_its_own_work() -> None:
    one, other = LoopWork(), LoopWork()
    assert timed_by(one).work is one
    assert timed_by(other).work is other
