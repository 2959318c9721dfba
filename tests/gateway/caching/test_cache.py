"""A route's cache in the data path, between puppets: what is served, stored, waited for and dropped."""

from collections.abc import AsyncIterator

import pytest

from tests.gateway.puppets import PuppetTransport, Stage, transport_of, turns

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
FRESH = (
    b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nETag: "1"\r\nCache-Control: public, max-age=60\r\n'
    b"x-kontor-tags: contacts contacts/*\r\nx-kontor-visibility: tenant\r\n\r\nok"
)
UNTAGGED = b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nETag: "1"\r\nCache-Control: HOW\r\n\r\nok'
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno"


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage({"cache": {"visibility": "everyone"}})
    yield stage
    stage.close()


async def ask(stage: Stage, request: bytes = GET) -> PuppetTransport:
    """A caller's request, on its way if it has to go anywhere."""
    _, transport = stage.call(request)
    await stage.connect_all()
    return transport


async def answer(stage: Stage, said: bytes = FRESH) -> None:
    """The replica that was asked says this; there is one."""
    (exchange,) = [one for one in stage.exchanges() if one.connection is not None]
    transport_of(exchange.connection).protocol.data_received(said)
    await turns()


def status_of(transport: PuppetTransport) -> bytes:
    """The value of Cache-Status."""
    head = transport.written.partition(b"\r\n\r\n")[0]
    lines = [line for line in head.split(b"\r\n") if line.lower().startswith(b"cache-status:")]
    assert len(lines) == 1, head
    return lines[0].partition(b": ")[2]


async def test_the_second_request_is_answered_without_asking(stage: Stage) -> None:
    first = await ask(stage)
    await answer(stage)
    assert status_of(first) == b"kontor; fwd=uri-miss; stored"
    second = await ask(stage)
    assert status_of(second).startswith(b"kontor; hit; ttl=")
    assert second.written.endswith(b"\r\n\r\nok")
    assert b"age: 0\r\n" in second.written
    assert b"x-kontor" not in second.written
    assert stage.upstream.ledger.attempts == 1
    assert stage.unrest() == []


async def test_head_and_conditional_requests_are_answered_from_it(stage: Stage) -> None:
    await ask(stage)
    await answer(stage)
    head = await ask(stage, b"HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n")
    assert head.written.endswith(b"\r\n\r\n")
    assert b"Content-Length: 2\r\n" in head.written
    known = await ask(stage, b'GET /x HTTP/1.1\r\nHost: a\r\nIf-None-Match: "1"\r\n\r\n')
    assert known.written.startswith(b"HTTP/1.1 304 Not Modified\r\n")
    part = await ask(stage, b"GET /x HTTP/1.1\r\nHost: a\r\nRange: bytes=1-\r\n\r\n")
    assert part.written.startswith(b"HTTP/1.1 206 ")
    assert part.written.endswith(b"\r\n\r\nk")
    assert stage.upstream.ledger.attempts == 1


async def test_those_who_want_the_same_wait_for_one(stage: Stage) -> None:
    callers = [await ask(stage) for _ in range(250)]
    assert stage.upstream.ledger.attempts == 1
    await answer(stage)
    assert stage.upstream.ledger.attempts == 1
    assert all(one.written.endswith(b"\r\n\r\nok") for one in callers)
    assert status_of(callers[1]) == b"kontor; fwd=miss; collapsed"
    assert stage.unrest() == []


async def test_a_leader_that_leaves_is_followed_by_another(stage: Stage) -> None:
    leader, second, third = [await ask(stage) for _ in range(3)]
    leader.abort()
    await turns()
    await stage.connect_all()
    await answer(stage)
    assert second.written.endswith(b"ok")
    assert third.written.endswith(b"ok")
    assert stage.unrest() == []


async def test_nobody_waits_for_what_cannot_be_stored(stage: Stage) -> None:
    callers = [await ask(stage) for _ in range(3)]
    await answer(stage, PLAIN)
    await stage.connect_all()
    for exchange in stage.exchanges():
        transport_of(exchange.connection).protocol.data_received(PLAIN)
    await turns()
    assert all(one.written.endswith(b"no") for one in callers)
    assert b"fwd=uri-miss" in status_of(callers[2])
    assert stage.unrest() == []


async def test_a_write_drops_what_it_changed_before_its_answer(stage: Stage) -> None:
    await ask(stage)
    await answer(stage)
    post = b"POST /y HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
    await ask(stage, post)
    await answer(stage, b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\nx-kontor-changed: contacts/*\r\n\r\n")
    again = await ask(stage)
    await answer(stage)
    assert status_of(again) == b"kontor; fwd=uri-miss; stored"
    assert stage.upstream.ledger.attempts == 3


async def test_an_answer_that_was_asked_for_before_a_write_is_not_stored(stage: Stage) -> None:
    await ask(stage)
    (reading,) = stage.exchanges()
    await ask(stage, b"DELETE /x HTTP/1.1\r\nHost: a\r\n\r\n")
    (writing,) = [one for one in stage.exchanges() if one is not reading]
    changed = b"HTTP/1.1 204 No Content\r\nx-kontor-changed: contacts contacts/1\r\n\r\n"
    transport_of(writing.connection).protocol.data_received(changed)
    transport_of(reading.connection).protocol.data_received(FRESH)
    await turns()
    later = await ask(stage)
    await answer(stage)
    assert b"fwd=uri-miss" in status_of(later)


async def test_what_is_stale_is_validated(stage: Stage) -> None:
    await ask(stage)
    await answer(stage, UNTAGGED.replace(b"HOW", b"no-cache"))
    again = await ask(stage)
    (exchange,) = stage.exchanges()
    assert b'if-none-match: "1"' in transport_of(exchange.connection).written
    await answer(stage, b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nCache-Control: no-cache\r\n\r\n')
    assert again.written.startswith(b"HTTP/1.1 200 OK\r\n")
    assert again.written.endswith(b"\r\n\r\nok")
    assert b"fwd=stale; fwd-status=304" in status_of(again)


async def test_a_stored_answer_takes_the_place_of_a_failure_where_it_permits_that(stage: Stage) -> None:
    await ask(stage)
    await answer(stage, UNTAGGED.replace(b"HOW", b"max-age=0, stale-if-error=60"))
    again = await ask(stage)
    for _ in range(3):  # with the retries
        for exchange in stage.exchanges():
            if exchange.connection is not None:
                transport_of(exchange.connection).breaks()
        await turns(200)
        await stage.connect_all()
    assert again.written.endswith(b"\r\n\r\nok")
    assert b"hit; ttl=" in status_of(again)


async def test_only_if_cached(stage: Stage) -> None:
    caller = await ask(stage, b"GET /x HTTP/1.1\r\nHost: a\r\nCache-Control: only-if-cached\r\n\r\n")
    assert caller.written.startswith(b"HTTP/1.1 504 ")
    assert stage.upstream.ledger.attempts == 0


async def test_what_is_stale_is_served_while_it_is_renewed_aside(stage: Stage) -> None:
    await ask(stage)
    await answer(stage, UNTAGGED.replace(b"HOW", b"max-age=0, stale-while-revalidate=60"))
    again = await ask(stage)
    assert again.written.endswith(b"\r\n\r\nok")
    assert status_of(again).startswith(b"kontor; hit; ttl=")
    third = await ask(stage)
    assert third.written.endswith(b"ok")
    assert stage.upstream.ledger.attempts == 2, "once is enough"
    (aside,) = [client.exchange for client in stage.gateway._clients if client.exchange is not None]
    assert b'if-none-match: "1"' in transport_of(aside.connection).written
    said = b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nCache-Control: max-age=60\r\n\r\n'
    transport_of(aside.connection).protocol.data_received(said)
    await turns()
    fourth = await ask(stage)
    assert status_of(fourth) in (b"kontor; hit; ttl=59", b"kontor; hit; ttl=60")
    assert stage.upstream.ledger.attempts == 2
    assert stage.unrest() == []
