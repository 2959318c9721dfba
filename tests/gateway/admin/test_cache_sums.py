"""What all workers together know of a route's cache."""

from typing import Any

import pytest
from pydantic import ValidationError

from services.gateway.admin import cache_sums as sums
from services.gateway.admin.cache_schemas import Cache, Peers, Policies, PurgeOrder, Second, Used
from services.gateway.caching.cache import RouteCache
from services.gateway.caching.coherence import Coherence
from services.gateway.caching.rule import CacheRule
from services.gateway.caching.second.level import SecondLevel
from services.gateway.caching.second.rule import SecondLevelRule, ServersRule
from services.gateway.caching.stamps import Stamps
from services.gateway.caching.telling import COLLAPSED, HIT, MISS

TENANT = "01900000-0000-7000-8000-000000000001"


def state(
    requests: dict[str, int] | None = None, policy: str = "s3fifo", *, current: bool = True
) -> dict[str, Any]:
    """What a worker tells of its one cache."""
    cache = RouteCache(
        "reads", CacheRule(policy=policy), Coherence("web", Stamps.private()), lambda now_ns: current
    )
    cache.requests |= requests or {}
    cache.refused["untagged"] = 1
    return {"caches": {"reads": {**cache.describe(0), "prefix": "/v1"}}}


def test_counts_of_all_workers_are_added_up() -> None:
    states = {2: state({HIT: 5, MISS: 2}), 1: state({HIT: 1, COLLAPSED: 2}, "lru"), 3: {"caches": {}}}
    (told,) = sums.caches(states)
    cache = Cache.model_validate(told)
    assert cache.requests == {"hit": 6, "miss": 2, "stale": 0, "collapsed": 2, "bypass": 0, "shared": 0}
    assert (cache.hit_ratio, cache.not_stored, cache.workers) == (0.8, {"untagged": 2}, [1, 2])
    assert (cache.route, cache.prefix, cache.policies, cache.current) == (
        "reads",
        "/v1",
        ["lru", "s3fifo"],
        True,
    )
    assert cache.bound_bytes == 2 * CacheRule().bound_bytes


def test_the_second_level_of_all_workers_is_one() -> None:
    levels = [SecondLevel(SecondLevelRule(ServersRule((("127.0.0.1", 1),)))) for _ in range(2)]
    for level in levels:
        level.used("")
        level.changed(b"web/-", [b"contacts"])
    states = {number: {"second": level.describe()} for number, level in enumerate(levels, 1)}
    told = Second.model_validate(sums.second({**states, 3: {"second": None}}))
    assert told.counts == {"hits": 2, "failed_changes": 2}
    assert told.failures == {"unavailable": 2}
    assert (told.servers, told.primaries, told.workers) == ([], 1, {"1": 0, "2": 0})
    with pytest.raises(KeyError):
        sums.second({3: {"second": None}})


def test_what_all_workers_know_of_other_gateways_is_one() -> None:
    told = {
        "gateway": "a",
        "speaks": False,
        "speaker": None,
        "writes": {"under_way": 1, "waited_s": 0.5, "counts": {"acknowledged": 2}},
        "upstreams": {"web": True},
    }
    speaker = {
        **{"registered": True, "settled": True, "others": 1, "entries": 1, "heard": 5, "lapses": 0},
        **{"failed_renewals": 0, "proofs": {"web": {"asked": 9, "failures": 1, "resets": 1}}},
    }
    states = {1: {"peers": told}, 2: {"peers": {**told, "speaker": speaker, "upstreams": {"web": False}}}}
    answer = Peers.model_validate(sums.peers({**states, 3: {"peers": None}}))
    assert (answer.gateway, answer.writes.counts, answer.writes.waited_s) == ("a", {"acknowledged": 4}, 1.0)
    assert answer.speaker is not None
    assert answer.speaker.proofs["web"].asked == 9
    assert answer.upstreams == {"web": False}
    with pytest.raises(KeyError):
        sums.peers({3: {"peers": None}})


def test_one_worker_that_does_not_know_of_changes_is_told() -> None:
    assert sums.cache("reads", {1: state(), 2: state(current=False)})["current"] is False


def test_without_requests_there_is_no_ratio() -> None:
    assert sums.cache("reads", {1: state()})["hit_ratio"] is None
    assert sums.caches({1: {"caches": {}}}) == []
    with pytest.raises(KeyError):
        sums.cache("writes", {1: state()})


def compared(requests: int, lru: float, optimum: float, share: float = 0.05) -> dict[str, Any]:
    ratios = {"lru": lru, "adaptive": 0.5}
    return {
        "policy": "lru",
        "favourite": "lru",
        "share": share,
        "requests": requests,
        "nodes": 1,
        "hit_ratios": ratios,
        "optimum": optimum,
    }


def test_comparisons_weigh_by_their_requests() -> None:
    told = {1: compared(300, 0.2, 0.6), 2: compared(100, 0.6, 1.0, 0.025), 4: compared(0, 0.0, 0.0)}
    both = Policies.model_validate(sums.comparison("reads", told))
    assert both.hit_ratios == {"lru": 0.3, "adaptive": 0.5}
    assert (both.optimum, both.requests, both.share) == (0.7, 400, 0.025)
    none = Policies.model_validate(sums.comparison("reads", {1: compared(0, 0.0, 0.0)}))
    assert (none.optimum, none.hit_ratios) == (None, {})


def entry(url: str, hits: int, ttl_s: int = 1) -> dict[str, Any]:
    return {
        "tenant_id": TENANT,
        "url": url,
        "visibility": "tenant",
        "hits": hits,
        "bytes": 10,
        "variants": 1,
        "age_s": 60 - ttl_s,
        "ttl_s": ttl_s,
        "tags": [str(ttl_s)],
    }


def test_what_looks_alike_is_shown_as_one() -> None:
    told = {1: [entry("/a", 3), entry("/b", 4), entry("/a", 1)], 2: [entry("/a", 2, ttl_s=9), entry("/c", 1)]}
    first, second = map(Used.model_validate, sums.top(told, 2))
    assert (first.url, first.hits, first.bytes, first.keys, first.workers) == ("/a", 6, 30, 3, [1, 2])
    assert (first.ttl_s, first.age_s, first.tags) == (9, 51, ["9"])
    assert (second.url, second.hits) == ("/b", 4)


@pytest.mark.parametrize(
    "order",
    [
        {"route": "r"},
        {"route": "r", "path": "/x?y=1"},
        {"route": "r", "prefix": "/", "tenant": TENANT},
        {"upstream": "u", "tags": ["contacts/1"], "tenant": TENANT},
        {"upstream": "u", "tags": ["contacts/*"]},
    ],
)
def test_purge_orders(order: dict[str, Any]) -> None:
    assert PurgeOrder.model_validate(order).model_dump(exclude_none=True) == order


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"tenant": TENANT},
        {"path": "/x"},
        {"upstream": "u"},
        {"tags": ["a"]},
        {"upstream": "u", "tags": []},
        {"upstream": "u", "tags": ["a b"]},
        {"upstream": "u", "tags": ["a"], "path": "/x"},
        {"upstream": "u", "tags": ["a"], "route": "r"},
        {"route": "r", "path": "/x", "prefix": "/x"},
        {"route": "r", "path": "x"},
        {"route": "r", "tags": ["a"]},
        {"route": "r", "tenant": "someone"},
        {"route": "r", "everything": True},
    ],
)
def test_orders_that_mean_nothing_certain_are_refused(order: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PurgeOrder.model_validate(order)
