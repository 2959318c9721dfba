"""What is relied on of uvicorn's protocol, on a real connection."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from shared.asgi import Receive, Scope, Send
from shared.service.protocol import timed_by
from shared.telemetry.server import RECEIVED
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


class Written(asyncio.Transport):
    """Keeps each write by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        assert not self.closed
        self.writes.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


async def written(app: Any, request: bytes) -> Written:
    """What is written when this has been asked."""
    config = uvicorn.Config(
        app,
        http=timed_by(LoopWork()),
        interface="asgi3",
        log_config=None,
        lifespan="off",
    )
    config.load()
    make: Any = config.http_protocol_class
    protocol = make(config=config, server_state=uvicorn.Server(config).server_state, app_state={})
    transport = Written()
    protocol.connection_made(transport)
    protocol.data_received(request)
    for _ in range(20):
        await asyncio.sleep(0.001)
    closed = transport.closed
    protocol.connection_lost(None)  # ends its timers, and closes
    transport.closed = closed
    return transport


def answering(*pieces: bytes, fails: bool = False, pause_s: float = 0.0) -> Any:
    """An application that answers in these pieces, or fails after its head."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        length = str(sum(map(len, pieces))).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        if pause_s:
            await asyncio.sleep(pause_s)
        if fails:
            raise RuntimeError("after the head")
        for number, piece in enumerate(pieces, 1):
            await send({"type": "http.response.body", "body": piece, "more_body": number < len(pieces)})

    return app


async def test_head_and_body_are_one_write() -> None:
    transport = await written(answering(b"body"), HEAD % 1)
    (one,) = transport.writes
    assert one.startswith(b"HTTP/1.1 200 OK\r\n")
    assert one.endswith(b"\r\n\r\nbody")


async def test_each_answer_of_a_connection_is_one_write() -> None:
    transport = await written(answering(b"HTTP/1.1 is not a head"), HEAD % 1 + HEAD % 2)
    assert [one.count(b"HTTP/1.1 200 OK") for one in transport.writes] == [1, 1]
    assert all(one.endswith(b"HTTP/1.1 is not a head") for one in transport.writes)


async def test_a_head_does_not_wait_for_a_body() -> None:
    first, second = (await written(answering(b"body", pause_s=0.002), HEAD % 1)).writes
    assert first.endswith(b"\r\n\r\n")
    assert second == b"body"


async def test_later_pieces_go_as_they_come() -> None:
    transport = await written(answering(b"one", b"HTTP/1.1 two", b"three"), HEAD % 1)
    assert b"".join(transport.writes).endswith(b"\r\n\r\noneHTTP/1.1 twothree")
    assert transport.writes[0].endswith(b"\r\n\r\none")


async def test_a_head_without_a_body_goes_out() -> None:
    transport = await written(answering(b"body"), b"HEAD /1 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"".join(transport.writes).endswith(b"\r\n\r\n")
    assert not transport.closed


async def test_what_was_written_goes_out_before_the_end() -> None:
    closing = b"GET /1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    for app in (answering(b"body"), answering(b"body", fails=True)):
        transport = await written(app, closing)
        assert transport.closed
        assert transport.writes[0].startswith(b"HTTP/1.1 200 OK\r\n")
