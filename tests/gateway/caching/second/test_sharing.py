"""Two gateways that share a second level over a real server, between puppets: what callers of either get."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from time import perf_counter_ns

import pytest

from services.gateway.caching.coherence import EVERYONE, Coherence
from services.gateway.caching.second.level import SecondLevel
from tests.gateway.caching.second.servers import Valkey, until
from tests.gateway.caching.second.test_level import running
from tests.gateway.caching.test_cache import FRESH, GET, answer, ask, status_of
from tests.gateway.caching.test_cache_told import explained
from tests.gateway.puppets import PuppetTransport, Stage

pytestmark = pytest.mark.process

VARYING = FRESH.replace(b"ETag", b"Vary: Accept-Language\r\nETag")


class Gateways:
    """Two of them, of which nobody knows what passes the other."""

    def __init__(self, stages: list[Stage], levels: list[SecondLevel]) -> None:
        self.first, self.second = stages
        self.levels = levels

    async def fetch(self, stage: Stage, said: bytes = FRESH, request: bytes = GET) -> PuppetTransport:
        """Ask one of them, which asks its replica, and wait until the answer is shared."""
        stored = self.count("stored") + self.count("refused")
        transport = await self.look(stage, request)
        await answer(stage, said)
        await until(lambda: self.count("stored") + self.count("refused") > stored)
        return transport

    async def look(self, stage: Stage, request: bytes = GET) -> PuppetTransport:
        """Ask one of them, and wait until it is answered or asks its replica."""
        transport = await ask(stage, request)
        await until(lambda: bool(transport.written) or asks(stage))
        await self.second.connect_all()  # it was made last, and so gets the connections of both
        return transport

    def count(self, name: str) -> int:
        return sum(level.counts[name] for level in self.levels)


def asks(stage: Stage) -> bool:
    return any(exchange.open_attempts for exchange in stage.exchanges())


def coherence_of(stage: Stage) -> Coherence:
    coherence = stage.upstream.coherence
    assert coherence is not None
    return coherence


@pytest.fixture
async def gateways(shared_valkey: Valkey) -> AsyncIterator[Gateways]:
    shared_valkey.flush()
    async with AsyncExitStack() as stack:
        levels = [await stack.enter_async_context(running(shared_valkey)) for _ in range(2)]
        # Once they are connected: from here on connections are puppets.
        stages = [Stage({"cache": {"visibility": "everyone"}}) for _ in levels]
        for stage, level in zip(stages, levels, strict=True):
            coherence_of(stage).second = level
        yield Gateways(stages, levels)
        for stage in reversed(stages):
            stage.close()


async def test_what_one_has_fetched_the_other_has(gateways: Gateways) -> None:
    first = await gateways.fetch(gateways.first)
    assert status_of(first) == b"kontor; fwd=uri-miss; stored"
    shared = await gateways.look(gateways.second)
    assert shared.written.endswith(b"\r\n\r\nok")
    assert status_of(shared).startswith(b"kontor-shared; hit; ttl=")
    assert status_of(shared).endswith(b", kontor; fwd=miss; stored")
    assert gateways.second.upstream.ledger.attempts == 0
    assert gateways.second.cache.requests["shared"] == 1
    own = await gateways.look(gateways.second)
    assert status_of(own).startswith(b"kontor; hit; ttl=")
    assert headers(own) == headers(shared) == headers(first) | {b"age"}
    assert gateways.second.unrest() == gateways.first.unrest() == []


def headers(transport: PuppetTransport) -> set[bytes]:
    """The names of an answer's header fields, with their values where they say what the answer is."""
    _, *lines = transport.written.partition(b"\r\n\r\n")[0].split(b"\r\n")
    of_its_own = (b"age", b"cache-status", b"server-timing", b"x-request-id", b"date")
    return {
        name if name in of_its_own else line
        for line in lines
        for name in [line.partition(b":")[0].lower()]
        if name != b"date"
    }


async def test_parts_and_conditions_are_answered_from_it(gateways: Gateways) -> None:
    await gateways.fetch(gateways.first)
    known = await gateways.look(gateways.second, b'GET /x HTTP/1.1\r\nHost: a\r\nIf-None-Match: "1"\r\n\r\n')
    assert known.written.startswith(b"HTTP/1.1 304 Not Modified\r\n")
    assert gateways.second.upstream.ledger.attempts == 0


async def test_all_who_wait_get_it_and_the_servers_are_asked_once(gateways: Gateways) -> None:
    await gateways.fetch(gateways.first)
    callers = [gateways.second.call(GET)[1] for _ in range(50)]
    await until(lambda: all(one.written for one in callers))
    assert {one.written.endswith(b"\r\n\r\nok") for one in callers} == {True}
    assert gateways.count("hits") == 1
    assert gateways.second.cache.requests["collapsed"] == 49
    assert gateways.second.unrest() == []


async def test_who_leaves_while_the_servers_are_asked_takes_nobody_along(gateways: Gateways) -> None:
    await gateways.fetch(gateways.first)
    _, leader = gateways.second.call(GET)
    _, follower = gateways.second.call(GET)
    leader.abort()
    await until(lambda: bool(follower.written))
    assert follower.written.endswith(b"\r\n\r\nok")
    assert gateways.second.unrest() == []


async def test_a_write_through_one_is_seen_through_the_other(gateways: Gateways) -> None:
    await gateways.fetch(gateways.first)
    await ask(gateways.second, b"POST /y HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    await answer(
        gateways.second, b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\nx-kontor-changed: contacts\r\n\r\n"
    )
    await until(lambda: gateways.count("changes") == 2)  # of the tenant, and of what is for everyone
    again = await gateways.look(gateways.second)
    assert gateways.count("outdated") == 1
    assert not again.written
    await answer(gateways.second)
    assert status_of(again) == b"kontor; fwd=uri-miss; stored"


@pytest.mark.parametrize("status", [b"204 No Content", b"500 Oh"])
async def test_so_is_one_that_says_nothing_of_what_it_changed(gateways: Gateways, status: bytes) -> None:
    await gateways.fetch(gateways.first)
    await ask(gateways.second, b"DELETE /x HTTP/1.1\r\nHost: a\r\n\r\n")
    await answer(gateways.second, b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % status)
    await until(lambda: gateways.count("changes") >= 2)
    await gateways.look(gateways.second)
    assert asks(gateways.second)


async def test_what_is_known_here_to_be_changed_is_not_used_whatever_the_servers_say(
    gateways: Gateways,
) -> None:
    await gateways.fetch(gateways.first)
    coherence = coherence_of(gateways.second)
    coherence.stamp(coherence.scope(EVERYONE), [b"contacts/*"], perf_counter_ns())  # says the feed
    again = await gateways.look(gateways.second)
    assert not again.written
    assert gateways.count("unusable") == 1
    # What is fetched now takes its place.
    stored = gateways.count("stored")
    await answer(gateways.second)
    await until(lambda: gateways.count("stored") > stored)
    assert status_of(again) == b"kontor; fwd=uri-miss; stored"


async def test_what_varies_is_for_those_it_fits(gateways: Gateways) -> None:
    german = b"GET /x HTTP/1.1\r\nHost: a\r\nAccept-Language: de\r\n\r\n"
    await gateways.fetch(gateways.first, VARYING, german)
    french = await gateways.look(gateways.second, german.replace(b"de", b"fr"))
    assert asks(gateways.second)
    await answer(gateways.second, VARYING.replace(b"\r\n\r\nok", b"\r\n\r\nfr"))
    assert french.written.endswith(b"fr")
    await until(lambda: gateways.count("stored") == 2)
    again = await gateways.look(gateways.first, german.replace(b"de", b"fr"))
    assert again.written.endswith(b"fr")
    assert b"kontor-shared; hit" in status_of(again)


@pytest.mark.parametrize("directive", [b"no-cache", b"no-store"])
async def test_who_wants_none_of_it_gets_none(gateways: Gateways, directive: bytes) -> None:
    await gateways.fetch(gateways.first)
    await ask(gateways.second, b"GET /x HTTP/1.1\r\nHost: a\r\nCache-Control: %b\r\n\r\n" % directive)
    assert asks(gateways.second)
    assert gateways.levels[1].counts == {}
    await answer(gateways.second)


async def test_a_route_need_not_share(gateways: Gateways) -> None:
    await gateways.fetch(gateways.first)
    stage = gateways.second
    changed = stage.snapshot()
    stage._route["cache"]["shared"] = False
    changed = stage.snapshot()
    stage.gateway.apply(changed, stage.gateway._keys)
    coherence_of(stage).second = gateways.levels[1]
    await gateways.look(stage)
    assert asks(stage)
    await answer(stage)
    assert gateways.levels[1].counts == {}


@pytest.mark.parametrize(
    ("target", "prefix", "gone"), [(b"/x", False, True), (b"/", True, True), (b"/y", False, False)]
)
@pytest.mark.parametrize("tenant", [None, EVERYONE])
async def test_a_purge_reaches_what_is_shared(
    gateways: Gateways, target: bytes, prefix: bool, gone: bool, tenant: bytes | None
) -> None:
    await gateways.fetch(gateways.first)
    await gateways.first.cache.purge(target, prefix=prefix, tenant=tenant)
    await gateways.look(gateways.second)
    assert asks(gateways.second) == gone


async def test_what_a_purge_cannot_reach_is_not_used_here(valkey: Valkey) -> None:
    async with running(valkey) as level:
        stage = Stage({"cache": {"visibility": "everyone"}})
        try:
            coherence_of(stage).second = level
            await ask(stage)
            await until(lambda: asks(stage))
            await stage.connect_all()
            await answer(stage)
            await until(lambda: level.counts["stored"] == 1)
            links = level.servers.links
            level.servers.links = lambda: []  # type: ignore[method-assign]
            await stage.cache.purge(b"/", prefix=True)
            level.servers.links = links  # type: ignore[method-assign]
            await ask(stage)
            await until(lambda: asks(stage))
            assert level.counts["unusable"] == 1
        finally:
            stage.close()


async def test_a_server_that_stands_still_costs_its_patience_once(valkey: Valkey) -> None:
    async with running(valkey, timeout_s=0.05) as level:
        stage = Stage({"cache": {"visibility": "everyone"}})
        try:
            coherence_of(stage).second = level
            valkey.pause()
            transport = await ask(stage)
            assert not asks(stage)
            await until(lambda: asks(stage))
            await stage.connect_all()
            await answer(stage)
            assert transport.written.endswith(b"ok")
            await ask(stage, GET.replace(b"/x", b"/y"))
            assert asks(stage)  # at once
            await answer(stage)
            assert level.counts["failed"] == 1
            assert stage.unrest() == []
        finally:
            stage.close()


async def test_what_is_renewed_is_shared_as_well(gateways: Gateways) -> None:
    said = b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nETag: "1"\r\nCache-Control: public, max-age=2\r\n\r\nok'
    await gateways.fetch(gateways.first, said)
    [entry] = gateways.first.cache.store.top(1)
    [stored] = entry.value.variants
    stored.fresh_until_ns = stored.usable_until_ns = stored.revalidate_until_ns = 0
    before = gateways.count("stored")
    again = await gateways.look(gateways.first)
    assert gateways.count("unusable") == 1  # what the second level has is not newer
    still = b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nCache-Control: max-age=60\r\n\r\n'
    await answer(gateways.first, still)
    assert again.written.endswith(b"ok")
    await until(lambda: gateways.count("stored") > before)
    shared = await gateways.look(gateways.second)
    assert b"kontor-shared; hit" in status_of(shared)
    assert shared.written.endswith(b"ok")
    assert ttl_of(shared) > 50


def ttl_of(transport: PuppetTransport) -> int:
    return int(status_of(transport).partition(b"ttl=")[2].partition(b",")[0])


async def test_explain_says_that_it_would_be_asked(gateways: Gateways) -> None:
    told = explained(gateways.first)
    assert told["outcome"] == "miss"
    assert told["reason"].endswith("The second level would be asked before.")
