import asyncio
from collections.abc import Iterable

import pytest
import uvicorn

from shared.service.middleware import Receive, Scope, Send
from shared.service.protocol import JoinedWrites, OneWriteProtocol


class FakeTransport(asyncio.Transport):
    """Remembers what is written, and whether it was closed after that."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.written.append(b"".join(list_of_data))

    def close(self) -> None:
        self.written.append(b"closed")

    def is_closing(self) -> bool:
        return False


@pytest.fixture
def transport() -> FakeTransport:
    return FakeTransport()


@pytest.fixture
async def joined(transport: FakeTransport) -> JoinedWrites:
    return JoinedWrites(transport, asyncio.get_running_loop())


async def test_head_and_body_are_one_write(joined: JoinedWrites, transport: FakeTransport) -> None:
    for _ in range(2):
        joined.write(b"head ")
        joined.write(b"body")
    await asyncio.sleep(0)
    assert transport.written == [b"head body", b"head body"]


async def test_a_write_of_its_own_does_not_wait(joined: JoinedWrites, transport: FakeTransport) -> None:
    joined.write(b"head ")
    assert transport.written == []
    await asyncio.sleep(0)
    assert transport.written == [b"head "]
    joined.write(b"body")
    await asyncio.sleep(0)
    assert transport.written == [b"head ", b"body"]


async def test_closing_writes_what_is_held(joined: JoinedWrites, transport: FakeTransport) -> None:
    joined.write(b"last words")
    joined.close()
    await asyncio.sleep(0)
    assert transport.written == [b"last words", b"closed"]


async def test_everything_else_is_the_transports_own(joined: JoinedWrites) -> None:
    assert joined.is_closing() is False


async def streaming(scope: Scope, receive: Receive, send: Send) -> None:
    """Three chunks, the last after a pause."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for chunk in (b"one", b"two"):
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await asyncio.sleep(0.01)
    await send({"type": "http.response.body", "body": b"three"})


async def test_uvicorn_speaks_through_it() -> None:
    """A contract test: the transport is handed over in one place of uvicorn's protocol."""
    config = uvicorn.Config(streaming, port=0, http=OneWriteProtocol, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    port = server.servers[0].sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(2):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n0\r\n\r\n"), 10)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert body == b"3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n"
    writer.close()
    await writer.wait_closed()
    await server.shutdown()
