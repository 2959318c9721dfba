"""Conditions and ranges of callers, validations and HEADs in the data path, by sections of RFC 9110 and 9111."""

from collections.abc import AsyncIterator

import pytest

from services.gateway.exchange import Exchange
from tests.gateway.caching.test_cache import FRESH, GET, PLAIN, UNTAGGED, answer, ask, status_of
from tests.gateway.puppets import Stage, transport_of, turns

HEAD = GET.replace(b"GET", b"HEAD")
LONG = b"0123456789" * 200_000
NOT_MODIFIED = b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n'


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage({"cache": {"visibility": "everyone"}})
    yield stage
    stage.close()


def wanting(*lines: bytes, request: bytes = GET) -> bytes:
    """The request with more header lines."""
    return request.replace(b"\r\n\r\n", b"".join([b"\r\n" + line for line in lines]) + b"\r\n\r\n")


INSISTING = wanting(b"Cache-Control: no-cache")
KNOWING = wanting(b'If-None-Match: "1"')
PART = wanting(b"Range: bytes=1-1")


def asking(stage: Stage) -> Exchange:
    """The one whose request is with a replica."""
    (exchange,) = [one for one in stage.exchanges() if one.connection is not None]
    return exchange


def asked(stage: Stage) -> bytes:
    """What the replica that was asked last has heard last."""
    written = transport_of(asking(stage).connection).written
    return written[max(written.rfind(b"GET /"), written.rfind(b"HEAD /")) :].lower()


def body_of(written: bytes) -> bytes:
    return written.partition(b"\r\n\r\n")[2]


# HEAD (RFC 9111, 4.3.5)


@pytest.mark.parametrize(
    "tags", [b"", b"x-kontor-tags: contacts contacts/*\r\nx-kontor-visibility: tenant\r\n"]
)
async def test_4_3_5_a_head_that_agrees_brings_what_is_stored_up_to_date(stage: Stage, tags: bytes) -> None:
    await ask(stage)
    await answer(stage, FRESH if tags else UNTAGGED.replace(b"HOW", b"max-age=60"))
    await ask(stage, wanting(b"Cache-Control: no-cache", request=HEAD))
    said = b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nETag: "1"\r\nCache-Control: max-age=60\r\nX-New: 1\r\n'
    await answer(stage, said + tags + b"\r\n")
    again = await ask(stage)
    assert status_of(again).startswith(b"kontor; hit; ttl=")
    assert b"X-New: 1\r\n" in again.written
    assert body_of(again.written) == b"ok"
    assert stage.unrest() == []


async def test_4_3_5_a_head_that_differs_ends_what_is_stored(stage: Stage) -> None:
    await ask(stage)
    await answer(stage)
    await ask(stage, wanting(b"Cache-Control: no-cache", request=HEAD))
    await answer(stage, b'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nETag: "2"\r\n\r\n')
    assert len(stage.cache.store) == 0


async def test_4_3_5_a_head_tells_nothing_of_what_was_asked_for_after_it(stage: Stage) -> None:
    await ask(stage, HEAD)
    head = asking(stage)
    await ask(stage)
    (getting,) = [one for one in stage.exchanges() if one is not head]
    transport_of(getting.connection).protocol.data_received(FRESH)
    older = b'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nETag: "0"\r\n\r\n'
    transport_of(head.connection).protocol.data_received(older)
    assert status_of(await ask(stage)).startswith(b"kontor; hit; ttl=")


async def test_4_3_5_a_head_of_what_is_gone_ends_nothing(stage: Stage) -> None:
    await ask(stage)
    await answer(stage)
    await ask(stage, wanting(b"Cache-Control: no-cache", request=HEAD))
    await answer(stage, b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n")
    assert status_of(await ask(stage)).startswith(b"kontor; hit; ttl=")


# Validation (RFC 9111, 4.3.4)


async def test_4_3_4_what_its_tags_keep_fresh_is_fresh_again_after_a_304(stage: Stage) -> None:
    private = b"Cache-Control: private, no-cache"
    await ask(stage)
    await answer(stage, FRESH.replace(b"Cache-Control: public, max-age=60", private))
    again = await ask(stage, INSISTING)
    tags = b"\r\nx-kontor-tags: contacts contacts/*\r\nx-kontor-visibility: tenant\r\n\r\n"
    await answer(stage, NOT_MODIFIED + private + tags)
    assert status_of(again) == b"kontor; fwd=stale; fwd-status=304; stored"
    third = await ask(stage)
    assert status_of(third).startswith(b"kontor; hit; ttl=")
    assert b"kontor-cache-control" not in third.written


async def test_4_3_4_a_304_that_fits_nothing_stored_is_asked_again_without_conditions(stage: Stage) -> None:
    await ask(stage)
    await answer(stage)
    caller = await ask(stage, INSISTING)
    assert b'if-none-match: "1"' in asked(stage)
    await answer(stage, NOT_MODIFIED.replace(b'"1"', b'"2"') + b"\r\n")
    await stage.connect_all()
    assert caller.written == b""
    assert b"if-none-match" not in asked(stage)
    await answer(stage, FRESH.replace(b'"1"', b'"2"').replace(b"\r\n\r\nok", b"\r\n\r\nno"))
    assert caller.written.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body_of(caller.written) == b"no"
    assert body_of((await ask(stage)).written) == b"no"
    ledger = stage.upstream.ledger
    assert (ledger.firsts, ledger.retries, ledger.hedges) == (3, 0, 0)
    assert stage.unrest() == []


async def test_4_3_4_what_was_asked_again_is_presented_as_its_caller_wanted(stage: Stage) -> None:
    await ask(stage)
    await answer(stage)
    caller = await ask(stage, wanting(b'If-None-Match: "2"', request=INSISTING))
    await answer(stage, NOT_MODIFIED.replace(b'"1"', b'"2"') + b"\r\n")
    await stage.connect_all()
    await answer(stage, FRESH.replace(b'"1"', b'"2"'))
    assert caller.written.startswith(b"HTTP/1.1 304 Not Modified\r\n")
    assert b"fwd-status=200; stored" in status_of(caller)


async def test_4_3_4_a_replica_that_answers_304_to_everything_is_asked_twice(stage: Stage) -> None:
    await ask(stage)
    await answer(stage)
    caller = await ask(stage, INSISTING)
    for _ in range(2):
        await stage.connect_all()
        await answer(stage, NOT_MODIFIED.replace(b'"1"', b'"2"') + b"\r\n")
    assert caller.written.startswith(b"HTTP/1.1 502 ")
    assert stage.upstream.ledger.attempts == 3
    assert stage.unrest() == []


async def test_4_3_4_asking_again_keeps_to_the_deadline(stage: Stage) -> None:
    await ask(stage)
    await answer(stage)
    caller = await ask(stage, INSISTING)
    deadline_ns = asking(stage).deadline_ns
    await answer(stage, NOT_MODIFIED.replace(b'"1"', b'"2"') + b"\r\n")
    await stage.connect_all()
    asking(stage).expire(deadline_ns + 1)
    await turns()
    assert caller.written.startswith(b"HTTP/1.1 504 ")
    assert stage.unrest() == []


async def test_4_3_4_a_renewal_beside_the_request_is_asked_again_as_well(stage: Stage) -> None:
    await ask(stage)
    await answer(stage, UNTAGGED.replace(b"HOW", b"max-age=0, stale-while-revalidate=60"))
    await ask(stage)
    for said in (NOT_MODIFIED.replace(b'"1"', b'"2"') + b"\r\n", FRESH):
        await stage.connect_all()
        (aside,) = [client.exchange for client in stage.gateway._clients if client.exchange is not None]
        transport_of(aside.connection).protocol.data_received(said)
        await turns()
    assert status_of(await ask(stage)) in (b"kontor; hit; ttl=59", b"kontor; hit; ttl=60")
    assert stage.unrest() == []


async def test_4_3_2_a_304_to_the_callers_own_condition_is_passed_on(stage: Stage) -> None:
    await ask(stage)
    await answer(stage, PLAIN)  # nobody leads for a while
    caller = await ask(stage, KNOWING)
    assert b'if-none-match: "1"' in asked(stage)
    await answer(stage, NOT_MODIFIED + b"\r\n")
    assert caller.written.startswith(b"HTTP/1.1 304 Not Modified\r\n")


# Misses that want something else than the whole (RFC 9110, 13 and 14; RFC 9111, 4)


async def test_4_those_who_know_it_and_those_who_want_a_part_wait_for_one(stage: Stage) -> None:
    requests = [KNOWING, PART, GET, wanting(b'If-None-Match: "2"'), wanting(b"Range: bytes=5-"), PART]
    callers = [await ask(stage, request) for request in requests]
    assert stage.upstream.ledger.attempts == 1
    assert b"if-none-match" not in asked(stage)
    await answer(stage)
    answers = [(one.written[9:12], body_of(one.written)) for one in callers]
    part = (b"206", b"k")
    assert answers == [(b"304", b""), part, (b"200", b"ok"), (b"200", b"ok"), (b"416", b""), part]
    assert status_of(callers[0]) == b"kontor; fwd=uri-miss; fwd-status=200; stored"
    assert status_of(callers[1]) == b"kontor; fwd=miss; collapsed"
    assert stage.upstream.ledger.attempts == 1
    assert stage.unrest() == []


async def test_4_a_part_that_leads_is_cut_out_of_the_whole(stage: Stage) -> None:
    caller = await ask(stage, PART)
    assert b"range" not in asked(stage)
    await answer(stage)
    assert caller.written.startswith(b"HTTP/1.1 206 Partial Content\r\n")
    assert b"content-range: bytes 1-1/2\r\n" in caller.written
    assert body_of(caller.written) == b"k"


async def test_4_a_leader_with_a_condition_that_leaves_is_followed_by_another(stage: Stage) -> None:
    leader, second, third = [await ask(stage, PART) for _ in range(3)]
    leader.abort()
    await turns()
    await stage.connect_all()
    assert b"range" not in asked(stage)
    await answer(stage)
    assert [body_of(one.written) for one in (second, third)] == [b"k", b"k"]
    assert stage.unrest() == []


async def test_4_no_more_than_may_wait_do_and_the_others_ask_for_what_they_want(stage: Stage) -> None:
    stage._route["cache"]["most_waiting"] = 1
    stage.gateway.apply(stage.snapshot(), stage.gateway._keys)
    callers = [await ask(stage, PART) for _ in range(3)]
    heard = [transport_of(one.connection).written.lower() for one in stage.exchanges() if one.connection]
    assert sorted(b"range: bytes=1-1" in one for one in heard) == [False, True]
    part = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 1-1/2\r\nContent-Length: 1\r\n\r\nk"
    for exchange in stage.exchanges():
        if exchange.connection is not None:
            wants = b"range: bytes=1-1" in transport_of(exchange.connection).written.lower()
            transport_of(exchange.connection).protocol.data_received(part if wants else FRESH)
    await turns()
    assert [body_of(one.written) for one in callers] == [b"k", b"k", b"k"]


async def test_4_what_cannot_be_stored_comes_whole_to_who_led_and_as_wanted_to_the_others(
    stage: Stage,
) -> None:
    leader, second = await ask(stage, PART), await ask(stage, PART)
    await answer(stage, PLAIN)
    assert leader.written.startswith(b"HTTP/1.1 200 OK\r\n")
    await stage.connect_all()
    assert b"range: bytes=1-1" in asked(stage)
    await answer(
        stage, b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 1-1/2\r\nContent-Length: 1\r\n\r\no"
    )
    assert second.written.startswith(b"HTTP/1.1 206 ")
    assert stage.unrest() == []


@pytest.mark.parametrize(
    "framing", [b"Content-Length: %d\r\n\r\n" % len(LONG), b"Transfer-Encoding: chunked\r\n\r\n400\r\n"]
)
async def test_4_a_part_of_what_is_too_large_to_be_stored_is_asked_for_as_it_came(
    stage: Stage, framing: bytes
) -> None:
    leader, second = await ask(stage, PART), await ask(stage, PART)
    first = transport_of(asking(stage).connection)
    first.protocol.data_received(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n" + framing + LONG[:1024])
    await stage.connect_all()
    assert first.lost
    part = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 1-1/2000000\r\nContent-Length: 1\r\n\r\n1"
    for exchange in stage.exchanges():
        transport = transport_of(exchange.connection)
        assert b"range: bytes=1-1" in transport.written.lower()
        transport.protocol.data_received(part)
    await turns()
    assert [body_of(one.written) for one in (leader, second)] == [b"1", b"1"]
    assert stage.unrest() == []


async def test_4_an_error_that_comes_in_parts_is_passed_on(stage: Stage) -> None:
    leader = await ask(stage, PART)
    await answer(stage, b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n")
    assert leader.written.startswith(b"HTTP/1.1 404 ")
    assert stage.upstream.ledger.attempts == 1
    assert stage.unrest() == []


async def test_5_2_1_5_nobody_waits_for_an_answer_that_its_caller_does_not_want_stored(stage: Stage) -> None:
    await ask(stage, wanting(b"Cache-Control: no-store"))
    await ask(stage)
    assert stage.upstream.ledger.attempts == 2
    first, second = [transport_of(one.connection).protocol for one in stage.exchanges()]
    first.data_received(FRESH)
    third = await ask(stage)
    assert stage.upstream.ledger.attempts == 2  # it waits for the second
    second.data_received(FRESH)
    await turns()
    assert body_of(third.written) == b"ok"


async def test_rfc9211_2_what_caches_nearer_to_the_origin_said_comes_before_ours_and_once(
    stage: Stage,
) -> None:
    first = await ask(stage)
    await answer(stage, FRESH.replace(b"ETag", b"Cache-Status: inner; hit\r\nETag"))
    lines = [line for line in first.written.split(b"\r\n") if line.lower().startswith(b"cache-status")]
    assert lines == [b"Cache-Status: inner; hit", b"cache-status: kontor; fwd=uri-miss; stored"]
    assert status_of(await ask(stage)).startswith(b"kontor; hit; ttl=")
