"""What a lost connection looks like to the driver."""

import asyncio
import struct
from collections.abc import AsyncIterator

import asyncpg
import pytest

from shared.database.failures import connection_lost


def _message(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("!I", len(content) + 4) + content


_WELCOME = (
    _message(b"R", struct.pack("!I", 0))  # AuthenticationOk
    + _message(b"S", b"server_version\x0018.0\x00")
    + _message(b"S", b"client_encoding\x00UTF8\x00")
    + _message(b"K", struct.pack("!II", 1, 2))
    + _message(b"Z", b"I")  # ReadyForQuery
)
_FAREWELL = _message(b"E", b"SFATAL\x00VFATAL\x00C57P01\x00Mterminating connection\x00\x00")


class _Server:
    """Speaks just enough of PostgreSQL's protocol (version 3.0) to let a client in and to bid it farewell."""

    def __init__(self) -> None:
        self._writer: asyncio.StreamWriter | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, which stays open after the farewell until the client hangs up."""
        (length,) = struct.unpack("!I", await reader.readexactly(4))
        await reader.readexactly(length - 4)
        writer.write(_WELCOME)
        self._writer = writer
        await reader.read()
        writer.close()

    def bid_farewell(self) -> None:
        """As a server that was killed or is stopped says it to each connection."""
        assert self._writer is not None
        self._writer.write(_FAREWELL)


@pytest.fixture
async def server() -> AsyncIterator[tuple[_Server, str]]:
    server = _Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        yield server, f"postgresql://someone@127.0.0.1:{port}/somewhere?sslmode=disable"


@pytest.mark.parametrize("statement", ["SELECT 1", "BEGIN"])
async def test_a_server_that_ends_an_idle_connection_is_lost(
    server: tuple[_Server, str], statement: str
) -> None:
    fake, url = server
    connection = await asyncpg.connect(url)
    fake.bid_farewell()
    await asyncio.sleep(0.05)  # the event loop reads the farewell; the connection's end does not come
    with pytest.raises(asyncpg.InternalClientError) as raised:
        await connection.execute(statement)
    assert connection_lost(raised.value)
    connection.terminate()


def test_other_confusion_of_the_driver_is_a_defect() -> None:
    assert not connection_lost(asyncpg.InternalClientError("got result for unknown protocol state 15"))


def test_a_value_that_the_driver_cannot_send_is_no_lost_connection() -> None:
    assert not connection_lost(asyncpg.exceptions.DataError("invalid input for query argument $1"))
    assert connection_lost(asyncpg.InterfaceError("connection is closed"))
