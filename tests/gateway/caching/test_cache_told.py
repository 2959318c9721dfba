"""What a route's cache tells of itself, and what operators may do with it, between puppets."""

import asyncio
from collections.abc import AsyncIterator
from time import perf_counter_ns
from typing import Any
from uuid import UUID

import pytest

from services.gateway.caching.cache import RouteCache
from services.gateway.caching.coherence import Coherence
from services.gateway.caching.http.keys import Audience, Visibility, primary_key
from services.gateway.caching.rule import CacheRule
from services.gateway.caching.stamps import Stamps
from services.gateway.caching.telling import BYPASS, COLLAPSED, HIT, MISS, STALE
from services.gateway.protocol.request_head import RequestHead, parse_request_head
from shared.identity import Identity
from tests.gateway.caching.test_cache import FRESH, GET, PLAIN, UNTAGGED, answer, ask
from tests.gateway.processes import eventually
from tests.gateway.puppets import Stage, transport_of, turns

TENANT = UUID("01900000-0000-7000-8000-000000000001")
WHO = Identity(TENANT, "ann@example.org", frozenset({"contacts:read"}))


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage({"cache": {"visibility": "everyone"}})
    yield stage
    stage.close()


def requests_of(stage: Stage) -> dict[str, int]:
    """By outcome, those there were."""
    return {outcome: count for outcome, count in stage.cache.requests.items() if count}


def head_of(path: bytes = b"/x", *lines: bytes, method: bytes = b"GET") -> RequestHead:
    return parse_request_head(b"\r\n".join((method + b" " + path + b" HTTP/1.1", b"Host: a", *lines)))


def explained(stage: Stage, head: RequestHead | None = None) -> dict[str, Any]:
    return stage.cache.explain(head or head_of(), None, perf_counter_ns())


def events(stage: Stage) -> list[tuple[str, str]]:
    """Outcome and reason of what traces tell of the cache, the first request's first."""
    stage.gateway.metrics.flush()
    question = {"route": None, "min_ms": 0, "status": None, "dominant": None, "kept": "asked", "limit": 100}
    traces = stage.gateway.traces
    return [
        (event["attributes"]["crm.cache.outcome"], event["attributes"]["crm.cache.reason"])
        for one in reversed(traces.describe(question))
        for request in traces.explain(one["trace_id"])
        for event in request["spans"][0]["events"]
        if event["name"] == "cache"
    ]


async def test_each_request_is_counted_once(stage: Stage) -> None:
    callers = [await ask(stage) for _ in range(3)]
    assert requests_of(stage) == {MISS: 1}  # the others wait
    await answer(stage)
    await ask(stage)
    assert requests_of(stage) == {MISS: 1, COLLAPSED: 2, HIT: 1}
    await ask(stage, b"GET /x HTTP/1.1\r\nHost: a\r\nCache-Control: no-cache\r\n\r\n")
    await answer(stage)
    await ask(stage, b"GET /y HTTP/1.1\r\nHost: a\r\nCache-Control: only-if-cached\r\n\r\n")
    await ask(stage, b"GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
    await answer(stage, PLAIN)
    await ask(stage, b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    assert requests_of(stage) == {MISS: 2, COLLAPSED: 2, HIT: 1, BYPASS: 2}
    assert all(one.written.endswith(b"ok") for one in callers)


async def test_what_is_stale_is_counted_as_such(stage: Stage) -> None:
    await ask(stage)
    await answer(stage, UNTAGGED.replace(b"HOW", b"no-cache"))
    assert explained(stage)["outcome"] == STALE
    await ask(stage)
    assert requests_of(stage) == {MISS: 1, STALE: 1}


async def test_a_trace_that_is_kept_tells_of_the_cache(stage: Stage) -> None:
    await ask(stage, GET)
    await answer(stage, PLAIN)
    assert events(stage) == []
    stage.gateway.traces.record(None, None, 60, 100, perf_counter_ns())
    await ask(stage, b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
    await answer(stage)
    await ask(stage, b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
    await ask(stage, b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n")
    await answer(stage, PLAIN)
    assert events(stage) == [
        ("miss", "Nothing is stored for this target."),
        ("hit", "The stored answer is fresh."),
        ("miss", "Nothing is stored for this target."),
        ("not_stored", "no-use"),
    ]


async def test_a_trace_tells_of_waiting_and_of_rescue(stage: Stage) -> None:
    stage.gateway.traces.record(None, None, 60, 100, perf_counter_ns())
    await ask(stage)
    await ask(stage)
    await answer(stage, UNTAGGED.replace(b"HOW", b"max-age=0, stale-if-error=60"))
    await turns()
    for _ in range(4):  # who waited asks by himself, with retries, and is answered with what is stored
        await stage.connect_all()
        for exchange in stage.exchanges():
            if exchange.connection is not None:
                transport_of(exchange.connection).breaks()
        await turns(200)
    assert [outcome for outcome, _ in events(stage)] == ["miss", "stale", "stale_if_error"]


async def test_explain_agrees_with_what_then_happens_and_changes_nothing(stage: Stage) -> None:
    assert explained(stage) == {
        "outcome": "miss",
        "reason": "Nothing is stored for this target.",
        "stored": None,
    }
    await ask(stage)
    assert explained(stage)["outcome"] == "collapsed"
    await answer(stage)
    before = stage.cache.describe(0)
    told = explained(stage)
    assert (told["outcome"], told["reason"]) == ("hit", "The stored answer is fresh.")
    shown = told["stored"]
    assert (shown["url"], shown["hits"], shown["visibility"]) == ("http://a/x", 0, "everyone")
    assert (shown["tenant_id"], shown["variants"], shown["age_s"]) == (None, 1, 0)
    assert shown["tags"] == ["contacts", "contacts/*"]
    assert 0 < shown["ttl_s"] <= 60
    assert stage.cache.describe(0) == before
    assert explained(stage, head_of(b"/x", b"Cache-Control: no-cache"))["outcome"] == "bypass"
    assert explained(stage, head_of(b"/y", b"Cache-Control: only-if-cached"))["outcome"] == "unavailable"
    assert explained(stage, head_of(method=b"POST"))["outcome"] == "bypass"
    assert explained(stage, head_of(b"/x", b"Content-Length: 1"))["outcome"] == "bypass"


async def test_explain_tells_what_could_not_be_stored(stage: Stage) -> None:
    await ask(stage)
    await answer(stage, PLAIN)
    assert explained(stage)["reason"].endswith("Its last answer could not be stored.")


async def test_explain_tells_what_has_changed_elsewhere(stage: Stage) -> None:
    await ask(stage)
    await answer(stage)
    cache = stage.cache
    cache._coherence.stamps.stamp(cache._coherence.scope(b"-"), (b"contacts",), perf_counter_ns())
    told = explained(stage)
    assert (told["outcome"], told["reason"]) == (
        "miss",
        "Something that the stored answer shows was changed since.",
    )


async def test_explain_tells_that_changes_are_not_known(stage: Stage) -> None:
    await ask(stage)
    await answer(stage)
    plain = stage.cache
    cache = RouteCache("all", plain.rule, plain._coherence, lambda now_ns: False)
    cache.store = plain.store
    told = cache.explain(head_of(), None, perf_counter_ns())
    assert told["outcome"] == "miss"
    assert told["reason"].startswith("Nothing stored is used at the moment")
    assert (cache.describe(0)["current"], cache.unproven) == (False, 0)
    assert plain.describe(0)["current"] is True


async def test_what_is_stored_but_not_used_is_counted(stage: Stage) -> None:
    await ask(stage)
    await answer(stage)
    cache = stage.cache
    cache._current = lambda now_ns: False
    await ask(stage)
    assert (cache.unproven, cache.describe(0)["unproven"]) == (1, 1)


def test_who_asks_decides_where_answers_are_not_for_everyone() -> None:
    cache = RouteCache("all", CacheRule(), Coherence("u", Stamps.private()), None)
    assert cache.explain(head_of(), None, 0)["outcome"] == "unknown"
    assert cache.explain(head_of(), WHO, 0)["outcome"] == "miss"


async def test_the_most_used_are_shown_without_who_they_are_for(stage: Stage) -> None:
    cache = stage.cache
    await ask(stage)
    await answer(stage)
    entry = cache.store.top(1)[0]
    for visibility in (Visibility.SCOPES, Visibility.PRINCIPAL, Visibility.TENANT):
        key = primary_key(Audience(visibility, WHO), b"http", b"a", b"/people/ann@example.org?q=ann")
        cache.store.put(key, entry.value, 1, began=cache.store.begin(), now_ns=0, expires_at_ns=1 << 62)
    await ask(stage)
    first, *others = cache.top(10, perf_counter_ns())
    assert (first["url"], first["hits"], first["tenant_id"]) == ("http://a/x", 1, None)
    assert {one["url"] for one in others} == {"http://a/people/REDACTED?q=REDACTED"}
    assert {one["tenant_id"] for one in others} == {str(TENANT)}
    assert {one["visibility"] for one in others} == {"scopes", "principal", "tenant"}
    assert "ann" not in str(others)
    assert "read" not in str(others)
    assert len(cache.top(2, 0)) == 2


async def test_another_policy_lasts_until_the_next_reload_and_drops_nothing(stage: Stage) -> None:
    await ask(stage)
    await answer(stage)
    cache = stage.cache
    cache.change_policy("lru")
    assert (cache.store.policy, cache.rule.policy, len(cache.store)) == ("lru", "lru", 1)
    with pytest.raises(ValueError, match="there is no eviction policy"):
        cache.change_policy("fifo")
    assert cache.store.policy == "lru"
    await ask(stage)
    assert requests_of(stage) == {MISS: 1, HIT: 1}
    stage.gateway.apply(stage.snapshot(), stage.gateway._keys)
    assert (cache.store.policy, len(cache.store)) == ("s3fifo", 1)


async def test_purging_by_target_and_by_prefix(stage: Stage) -> None:
    for path in (b"/v1/a", b"/v1/a?x=1", b"/v1/ab", b"/v2"):
        await ask(stage, b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n")
        await answer(stage)
    cache = stage.cache
    assert await cache.purge(b"/v1/a", prefix=False, tenant=TENANT.hex.encode()) == 0
    assert await cache.purge(b"/v1/a", prefix=False) == 1
    assert await cache.purge(b"/v1/", prefix=True, tenant=b"-") == 2
    assert [one["url"] for one in cache.top(9, 0)] == ["http://a/v2"]
    assert await cache.purge(b"", prefix=True) == 1
    assert cache.describe(0)["statistics"]["invalidated"] == 4


async def test_what_is_on_its_way_during_a_purge_is_not_stored(stage: Stage) -> None:
    await ask(stage)
    await stage.cache.purge(b"/elsewhere", prefix=True)
    await answer(stage, FRESH)
    assert len(stage.cache.store) == 0
    assert stage.cache.describe(0)["not_stored"] == {"changed": 1}


async def test_what_has_expired_is_dropped_though_nobody_asks(stage: Stage) -> None:
    await ask(stage)
    await answer(stage)
    store = stage.cache.store
    entry, now_ns = store.top(1)[0], perf_counter_ns()
    store.put(b"k", entry.value, 1, began=store.begin(), now_ns=now_ns, expires_at_ns=now_ns + 1)
    sweeping = asyncio.create_task(stage.gateway._sweep())

    async def dropped() -> bool:
        return len(store) == 1

    await eventually(dropped)
    sweeping.cancel()
    assert store.statistics.expired == 1


async def test_what_is_used_while_it_is_renewed_is_a_hit(stage: Stage) -> None:
    await ask(stage)
    await answer(stage, UNTAGGED.replace(b"HOW", b"max-age=0, stale-while-revalidate=60"))
    told = explained(stage)
    assert (told["outcome"], told["reason"]) == ("hit", "It is stale, but says stale-while-revalidate.")
    await ask(stage)
    assert requests_of(stage) == {MISS: 1, HIT: 1}
    assert explained(stage)["outcome"] == "hit"  # also while it is renewed


async def test_a_renewal_has_an_id_of_its_own_and_says_beside_whose_it_goes(stage: Stage) -> None:
    await ask(stage)
    await answer(stage, UNTAGGED.replace(b"HOW", b"max-age=0, stale-while-revalidate=60"))
    stage.gateway.traces.record(None, None, 60, 100, perf_counter_ns())
    _, caller = stage.call(b"GET /x HTTP/1.1\r\nHost: a\r\nX-Request-Id: hers\r\n\r\n")
    await stage.connect_all()
    assert b"x-request-id: hers\r\n" in caller.written
    (aside,) = [client.exchange for client in stage.gateway._clients if client.exchange is not None]
    heard = transport_of(aside.connection)
    (own,) = [line for line in heard.written.split(b"\r\n") if line.startswith(b"x-request-id: ")]
    assert own != b"x-request-id: hers"
    heard.protocol.data_received(PLAIN)
    await turns()
    stage.gateway.metrics.flush()
    question = {"route": None, "min_ms": 0, "status": None, "dominant": None, "kept": "asked", "limit": 9}
    told = {one["request_id"]: one["trace_id"] for one in stage.gateway.traces.describe(question)}
    assert told.keys() == {"hers", own.removeprefix(b"x-request-id: ").decode()}
    (renewal,) = stage.gateway.traces.explain(told.pop(aside.request_id.decode()))
    first = renewal["spans"][0]["events"][0]["attributes"]
    assert first["crm.cache.outcome"] == "renewal"
    assert first["crm.cache.beside.request_id"] == "hers"
    assert first["crm.cache.beside.trace_id"] == told["hers"]
