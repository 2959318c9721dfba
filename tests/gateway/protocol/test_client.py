"""The caller's connection against a transport of the test's own: who waits, for how long, and for what."""

import asyncio
from time import perf_counter_ns
from types import SimpleNamespace
from typing import Any, cast

import pytest

from services.gateway.limits.timeouts import Timeouts
from services.gateway.protocol.client import ClientConnection
from shared.problems import Problem

SECOND = 1_000_000_000


class FakeTransport(asyncio.Transport):
    """Keeps what is written; `unsent` is what the peer has not taken of it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.unsent = 0
        self.ended = ""
        self.reading = True

    def write(self, data: Any) -> None:
        self.written += data

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = "half-closed"

    def close(self) -> None:
        self.ended = "closed"

    def abort(self) -> None:
        self.ended = "aborted"

    def is_closing(self) -> bool:
        return self.ended in ("closed", "aborted")

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class FakeGateway(SimpleNamespace):
    """As much of the gateway as a connection without a request asks for."""

    longest_head = 1000
    timeouts = Timeouts(head_ns=1 * SECOND, body_ns=2 * SECOND, idle_ns=10 * SECOND)

    def connected(self, client: ClientConnection) -> bool:
        return True

    def trusts(self, peer: str) -> bool:
        return False

    def rejection(self, client: ClientConnection, problem: Problem, now_ns: int) -> bytes:
        return b"%d" % problem.status


@pytest.fixture
def client() -> ClientConnection:
    connection = ClientConnection(cast(Any, FakeGateway()))
    connection.connection_made(FakeTransport())
    return connection


def transport(client: ClientConnection) -> FakeTransport:
    return cast(FakeTransport, client.transport)


def after(client: ClientConnection, seconds: float) -> str:
    """How the connection has ended when so much time has passed without a byte."""
    client.sweep(perf_counter_ns() + int(seconds * SECOND))
    return transport(client).ended


def test_an_idle_connection_is_closed(client: ClientConnection) -> None:
    assert after(client, 8) == ""
    assert after(client, 12) == "closed"


def test_a_head_has_to_end_in_time(client: ClientConnection) -> None:
    client.data_received(b"GET / ")
    client.data_received(b"HTTP/1.1\r\n")
    assert after(client, 0) == ""
    assert after(client, 2) == "half-closed"
    assert transport(client).written == b"408"


def test_who_is_rejected_has_two_seconds_to_read_it(client: ClientConnection) -> None:
    client.data_received(b"nonsense\r\n\r\n")
    assert (transport(client).written, after(client, 1)) == (b"400", "half-closed")
    client.data_received(b"GET / HTTP/1.1\r\n\r\n")  # nobody listens any more
    assert transport(client).written == b"400"
    assert after(client, 3) == "aborted"


def test_who_still_takes_the_answer_has_more(client: ClientConnection) -> None:
    client.data_received(b"nonsense\r\n\r\n")
    transport(client).unsent = 1
    assert after(client, 8) == "half-closed"
    assert after(client, 12) == "aborted"


def test_a_request_behind_an_answer_that_is_not_taken_is_not_slow(client: ClientConnection) -> None:
    client.data_received(b"GET / ")
    client.pause_writing()
    assert after(client, 8) == ""
    assert after(client, 12) == "aborted"
    assert transport(client).written == b""
