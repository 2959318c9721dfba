"""An exchange between fakes: what back-pressure leaves behind."""

from time import perf_counter_ns
from types import SimpleNamespace
from typing import Any, cast

from services.gateway.exchange import Exchange
from services.gateway.forwarding.answer_head import parse_answer_head
from services.gateway.limits.timeouts import Timeouts
from services.gateway.protocol.request_head import parse_request_head
from services.gateway.timing.trace_ids import TraceIds
from tests.gateway.protocol.test_client import SECOND, FakeTransport


class Fake(SimpleNamespace):
    """Takes any call that a test does not look at."""

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **named: None


def begun(*, full: bool) -> tuple[Exchange, Any, Any]:
    """A caller's exchange whose answer of three bytes has begun, with its two connections."""
    client: Any = Fake(transport=FakeTransport(), full=full, unread=False, closing=False, peer="10.0.0.1")
    connection: Any = Fake(
        **dict.fromkeys(("asked_ns", "connected_ns", "sent_ns", "first_byte_ns", "last_byte_ns", "token"), 0),
        transport=FakeTransport(),
        kind="first",
        span_id=b"1",
        min_rtt=None,
        why="",
        candidates=1,
        pool=Fake(endpoint=Fake(replica=Fake(host="r", port=1))),
    )
    head = parse_request_head(b"GET / HTTP/1.1\r\nHost: a")
    gateway: Any = Fake(timeouts=Timeouts(idle_ns=10 * SECOND))
    exchange = Exchange(gateway, client, head, 0, 0)
    exchange.upstream = cast(Any, Fake())
    exchange.route = cast(Any, Fake(hedging=None, timeout_ns=1 * SECOND))
    exchange.trace = TraceIds({}, b"1" * 64)
    exchange.connection = connection
    exchange.attempts = 1
    exchange.began(connection, parse_answer_head(b"HTTP/1.1 200 OK\r\nContent-Length: 3", False))
    return exchange, client, connection


def test_a_full_caller_stops_the_replica_until_there_is_room() -> None:
    exchange, _, connection = begun(full=False)
    exchange.client_full()
    assert not connection.transport.reading
    exchange.client_ready()
    assert connection.transport.reading


def test_an_answer_that_begins_behind_another_one_waits_for_it() -> None:
    """The transport says only once that it is full."""
    _, _, connection = begun(full=True)
    assert not connection.transport.reading


def test_who_takes_nothing_for_long_has_left() -> None:
    """Else a caller could hold a replica's connection for ever; the replica itself may be slow no longer than ever."""
    exchange, client, _ = begun(full=True)
    left: list[bool] = []
    client.abort = lambda: left.append(True)
    exchange.expire(perf_counter_ns() + 9 * SECOND)
    assert (left, exchange.over) == ([], False)
    exchange.expire(perf_counter_ns() + 11 * SECOND)
    assert left
    client.full = False
    exchange.expire(perf_counter_ns() + 2 * SECOND)
    assert exchange.error == "cut_short"


def test_a_connection_goes_back_to_the_pool_reading() -> None:
    """The last piece of an answer filled the caller's buffer: whoever gets the connection next needs to hear."""
    exchange, client, connection = begun(full=False)
    exchange.piece(b"abc")
    client.full = True
    exchange.client_full()
    exchange.ended(connection, [])
    assert connection.transport.reading
    assert exchange.over
