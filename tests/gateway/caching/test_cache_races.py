"""What a cache must not do when several things happen at once."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.gateway import config
from services.gateway.auth.keys import KeyRing
from tests.gateway.puppets import PuppetTransport, Stage, transport_of, turns

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD = b"HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /y HTTP/1.1\r\nHost: a\r\nIdempotency-Key: 1\r\nContent-Length: 0\r\n\r\n"
CHANGED = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\nx-kontor-changed: contacts/*\r\n\r\n"


TAGS = b"x-kontor-tags: contacts contacts/*\r\nx-kontor-visibility: tenant\r\n"


def said(body: bytes, how: bytes = b"max-age=60", more: bytes = TAGS) -> bytes:
    """An answer that may be stored; with tags it is fresh until it is changed, whatever `how` says."""
    return (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nETag: %b\r\nCache-Control: public, %b\r\n%b\r\n%b") % (
        len(body),
        b'"' + body + b'"',
        how,
        more,
        body,
    )


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage({"cache": {"visibility": "everyone"}})
    yield stage
    stage.close()


async def ask(stage: Stage, request: bytes = GET) -> PuppetTransport:
    _, transport = stage.call(request)
    await stage.connect_all()
    return transport


async def answer(stage: Stage, data: bytes) -> None:
    """All replicas that were asked say this."""
    await stage.connect_all()
    asked = [transport_of(one.connection) for one in stage.exchanges() if one.connection is not None]
    for transport in asked:
        transport.protocol.data_received(data)
    await turns()


def reload(stage: Stage, **route: Any) -> None:
    """Put a configuration in force that has another route."""
    stage._route = route
    stage.gateway.apply(stage.snapshot(), KeyRing(()))


async def test_who_waited_for_a_validation_asks_for_what_he_wants_when_there_is_nothing_left_to_validate(
    stage: Stage,
) -> None:
    await ask(stage)
    await answer(stage, said(b"1", b"no-cache", b""))
    leader = await ask(stage)
    follower = await ask(stage)
    (validating,) = [one for one in stage.exchanges() if one.connection is not None]
    assert b'if-none-match: "1"' in transport_of(validating.connection).written.lower()
    stage.cache.store.clear()  # a write, or a purge
    leader.abort()
    await turns()
    await stage.connect_all()
    (asking,) = [one for one in stage.exchanges() if one.connection is not None]
    assert b"if-none-match" not in transport_of(asking.connection).written.lower().split(b"GET /x")[-1]
    await answer(stage, said(b"2"))
    assert follower.written.endswith(b"\r\n\r\n2")


async def test_what_was_changed_meanwhile_does_not_take_the_place_of_a_failure(stage: Stage) -> None:
    await ask(stage)
    await answer(stage, said(b"1", b"max-age=0, stale-if-error=60", b""))
    reader = await ask(stage)
    (reading,) = stage.exchanges()
    writer = await ask(stage, b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    (writing,) = [one for one in stage.exchanges() if one is not reading]
    transport_of(writing.connection).protocol.data_received(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert writer.written.startswith(b"HTTP/1.1 204 ")
    for _ in range(4):  # with the retries
        await answer(stage, b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
        await turns(200)
    assert reader.written.startswith(b"HTTP/1.1 503 ")


async def test_a_head_that_finds_nothing_stored_does_not_keep_others_from_waiting(stage: Stage) -> None:
    await ask(stage, HEAD)
    await answer(stage, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n")
    before = stage.upstream.ledger.attempts
    callers = [await ask(stage) for _ in range(3)]
    assert stage.upstream.ledger.attempts == before + 1
    await answer(stage, said(b"1"))
    assert all(one.written.endswith(b"\r\n\r\n1") for one in callers)


async def test_what_a_write_has_outdated_does_not_keep_others_from_waiting(stage: Stage) -> None:
    await ask(stage)
    (reading,) = stage.exchanges()
    await ask(stage, POST)
    (writing,) = [one for one in stage.exchanges() if one is not reading]
    transport_of(writing.connection).protocol.data_received(CHANGED)
    late = await ask(stage)  # after the acknowledgement, while the reading is under way
    transport_of(reading.connection).protocol.data_received(said(b"1"))
    await turns()
    assert late.written == b""
    others = [await ask(stage) for _ in range(3)]
    await answer(stage, said(b"2"))
    assert all(one.written.endswith(b"\r\n\r\n2") for one in (late, *others))
    assert stage.upstream.ledger.attempts == 3


async def test_a_repeated_write_says_again_what_it_changed(stage: Stage) -> None:
    for _ in range(2):
        await ask(stage)
        await answer(stage, said(b"1"))
        attempts = stage.upstream.ledger.attempts
        await ask(stage, POST)
        await answer(stage, CHANGED)
        await ask(stage)
        assert stage.upstream.ledger.attempts == attempts + 2
        await answer(stage, said(b"1"))
        stage.cache.store.clear()


@pytest.mark.parametrize(
    "failure",
    [b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 504 Oh\r\nContent-Length: 0\r\n\r\n", b""],
)
async def test_a_write_that_failed_may_have_changed_everything(stage: Stage, failure: bytes) -> None:
    await ask(stage)
    await answer(stage, said(b"1"))
    await ask(stage, b"PATCH /z HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    (writing,) = stage.exchanges()
    if failure:
        await answer(stage, failure)
    else:
        writing.expire(writing.deadline_ns + 1)
        await turns()
    attempts = stage.upstream.ledger.attempts
    again = await ask(stage)
    assert again.written == b""
    assert stage.upstream.ledger.attempts == attempts + 1


async def test_what_an_unsafe_method_does_after_101_may_have_changed_everything(stage: Stage) -> None:
    await ask(stage)
    await answer(stage, said(b"1"))
    lines = b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    await ask(stage, b"POST /z HTTP/1.1\r\nHost: a\r\n" + lines)
    await answer(stage, b"HTTP/1.1 101 Switching Protocols\r\n" + lines)
    attempts = stage.upstream.ledger.attempts
    await ask(stage)
    assert stage.upstream.ledger.attempts == attempts + 1


async def test_a_get_that_becomes_a_tunnel_has_changed_nothing(stage: Stage) -> None:
    await ask(stage)
    await answer(stage, said(b"1"))
    lines = b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    await ask(stage, b"GET /z HTTP/1.1\r\nHost: a\r\n" + lines)
    await answer(stage, b"HTTP/1.1 101 Switching Protocols\r\n" + lines)
    assert (await ask(stage)).written.endswith(b"\r\n\r\n1")


async def test_who_leaves_while_he_waits_is_forgotten(stage: Stage) -> None:
    leader, leaving, staying = [await ask(stage) for _ in range(3)]
    leaving.abort()
    await turns()
    await answer(stage, said(b"1"))
    assert leaving.written == b""
    assert (leader.written[-1:], staying.written[-1:]) == (b"1", b"1")
    assert stage.unrest() == []


async def test_who_waits_has_a_deadline_of_his_own(stage: Stage) -> None:
    leader, follower = await ask(stage), await ask(stage)
    (waiting,) = [one for one in stage.exchanges() if one.connection is None]
    waiting.expire(waiting.deadline_ns + 1)
    await turns()
    assert follower.written.startswith(b"HTTP/1.1 504 ")
    await answer(stage, said(b"1"))
    assert leader.written.endswith(b"\r\n\r\n1")
    assert stage.unrest() == []


async def test_those_who_wait_are_answered_though_the_gateway_drains(stage: Stage) -> None:
    callers = [await ask(stage) for _ in range(3)]
    stage.gateway.drain()
    await answer(stage, said(b"1"))
    assert all(one.written.endswith(b"\r\n\r\n1") for one in callers)
    assert all(b"connection: close\r\n" in one.written for one in callers)
    await turns()
    assert stage.exchanges() == []


async def test_those_who_wait_are_answered_though_the_route_loses_its_cache(stage: Stage) -> None:
    callers = [await ask(stage) for _ in range(3)]
    reload(stage)
    assert stage.gateway.caches.get("all") is None
    for _ in range(5):
        await answer(stage, said(b"1"))
    assert all(one.written.endswith(b"\r\n\r\n1") for one in callers)
    assert stage.unrest() == []


async def test_those_who_wait_are_answered_though_the_route_goes(stage: Stage) -> None:
    callers = [await ask(stage) for _ in range(3)]
    reload(stage, name="other", prefix="/other", cache={"visibility": "everyone"})
    for _ in range(5):
        await answer(stage, said(b"1"))
    assert all(one.written.endswith(b"\r\n\r\n1") for one in callers)
    assert stage.unrest() == []


async def test_a_mistake_with_one_who_waited_is_not_that_of_whoever_fetched(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader, first, second = [await ask(stage) for _ in range(3)]
    cache = stage.cache

    def fails(*arguments: object) -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(cache, "_doubt", fails)
    await answer(stage, said(b"1"))
    assert leader.written.endswith(b"\r\n\r\n1")
    assert first.written.startswith(b"HTTP/1.1 500 ")
    assert second.written.startswith(b"HTTP/1.1 500 ")


@pytest.mark.parametrize("said_by_proxy", [b"X-Forwarded-Host: b", b"X-Forwarded-Proto: https"])
async def test_what_a_trusted_proxy_says_of_the_address_is_part_of_it(said_by_proxy: bytes) -> None:
    stage = Stage({"cache": {"visibility": "everyone"}})
    try:
        document = json.dumps(
            {
                "auth": {"mode": "none"},
                "rate_limit": {"enabled": False},
                "trusted_proxies": ["127.0.0.1"],
                "routes": [
                    {"name": "all", "prefix": "/", "upstream": "u", "cache": {"visibility": "everyone"}}
                ],
                "upstreams": {"u": {"replicas": [{"host": "one", "port": 80}]}},
            }
        )
        stage.gateway.apply(config.parse(document), KeyRing(()))
        await ask(stage, GET.replace(b"\r\n\r\n", b"\r\n" + said_by_proxy + b"\r\n\r\n"))
        await answer(stage, said(b"1"))
        other = await ask(stage)
        await answer(stage, said(b"2"))
        assert other.written.endswith(b"\r\n\r\n2")
    finally:
        stage.close()


async def test_what_is_renewed_aside_varies_by_what_was_asked(stage: Stage) -> None:
    german = GET.replace(b"\r\n\r\n", b"\r\nAccept-Language: de\r\n\r\n")
    await ask(stage, german)
    await answer(stage, said(b"1", b"max-age=0, stale-while-revalidate=60", b""))
    await ask(stage, german)
    await stage.connect_all()
    for transport in stage.connections:
        if transport.written.count(b"GET /x") > 1 or b"if-none-match" in transport.written.lower():
            transport.protocol.data_received(said(b"2", b"max-age=60", b"Vary: Accept-Language\r\n"))
    await turns()
    english = await ask(stage)
    assert b"\r\n\r\n2" not in english.written
    assert b"\r\n\r\n1" not in english.written
