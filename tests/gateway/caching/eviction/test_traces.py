"""Hit ratios on real traces: what the reference implementation scores, and what `adaptive` owes."""

from collections.abc import Callable

import pytest

from services.gateway.caching.eviction.lfu import Lfu
from services.gateway.caching.eviction.lru import Lru
from services.gateway.caching.eviction.optimum import Request, optimum_hits
from services.gateway.caching.eviction.policy import Policy
from services.gateway.caching.eviction.s3fifo import S3Fifo
from services.gateway.caching.eviction.sieve import Sieve
from tests.gateway.caching.eviction.traces import ORM, WEB, available, capacity, load, replay, replay_adaptive

pytestmark = pytest.mark.skipif(not available(), reason="the cache traces are not on this machine")

CELLS = [(WEB, 1), (WEB, 10), (ORM, 1), (ORM, 10)]
every_cell = pytest.mark.parametrize("cell", range(4), ids=[f"{name} {percent} %" for name, percent in CELLS])
# Hits of whole traces at 1 % and 10 % of the distinct keys, by libcachesim 0.3.5.
REFERENCE = {
    "lru": [29_797, 42_371, 3_851_698, 4_400_364],
    "plain lfu": [23_306, 39_308, 855_108, 3_247_121],
    "sieve": [32_214, 44_093, 3_526_586, 4_406_176],
    "s3fifo": [33_301, 44_313, 3_781_884, 4_444_269],
}
# The published table has one decimal, and was rounded from two.
PUBLISHED = {
    "lru": [39.2, 55.7, 77.0, 88.0],
    "plain lfu": [30.6, 51.6, 17.1, 64.9],
    "sieve": [42.3, 57.9, 70.5, 88.1],
    "s3fifo": [43.8, 58.2, 75.6, 88.9],
}
EXACT: dict[str, Callable[[int], Policy]] = {
    "lru": Lru,
    "plain lfu": lambda limit: Lfu(limit, ageing=False),
    "sieve": Sieve,
}


# Plain LFU on the large trace at 10 % would take a quarter of this file's time: tests/bench/cache_policies.py has it.
@pytest.mark.parametrize(
    ("name", "cell"),
    [(name, cell) for name in EXACT for cell in range(4) if (name, cell) != ("plain lfu", 3)],
)
def test_hits_as_often_as_the_reference(name: str, cell: int) -> None:
    trace, percent = CELLS[cell]
    limit = capacity(trace, percent)
    hits = replay(load(trace), EXACT[name](limit), limit)
    assert hits == REFERENCE[name][cell]
    assert hits / len(load(trace)) * 100 == pytest.approx(PUBLISHED[name][cell], abs=0.056)


@every_cell
def test_s3fifo_is_within_a_tenth_of_a_point(cell: int) -> None:
    trace, percent = CELLS[cell]
    limit = capacity(trace, percent)
    ratio = replay(load(trace), S3Fifo(limit), limit) / len(load(trace)) * 100
    assert ratio == pytest.approx(REFERENCE["s3fifo"][cell] / len(load(trace)) * 100, abs=0.1)
    assert ratio == pytest.approx(PUBLISHED["s3fifo"][cell], abs=0.3)


@pytest.mark.parametrize("cell", [0, 1])
def test_ageing_makes_lfu_better(cell: int) -> None:
    """Plain LFU clings to what was popular. On the ORM's trace it has 17 % where ageing has 71 %: see the bench."""
    trace, percent = CELLS[cell]
    limit = capacity(trace, percent)
    assert replay(load(trace), Lfu(limit), limit) > REFERENCE["plain lfu"][cell] * 1.1


@every_cell
def test_adaptive_keeps_up_with_the_best(cell: int) -> None:
    trace, percent = CELLS[cell]
    requests = load(trace)
    ratio = replay_adaptive(requests, capacity(trace, percent))[0] / len(requests) * 100
    of = {name: hits[cell] / len(requests) * 100 for name, hits in REFERENCE.items()}
    assert ratio >= of["s3fifo"] - 0.5
    assert ratio > of["lru"]
    assert ratio >= max(of.values()) - 2


@pytest.mark.parametrize(("percent", "published"), [(1, 53.4), (10, 68.1)])
def test_the_optimum_is_the_published_one(percent: int, published: float) -> None:
    requests = [Request(key, 1) for key in load(WEB)]
    ratio = sum(optimum_hits(requests, capacity(WEB, percent))) / len(requests) * 100
    assert ratio == pytest.approx(published, abs=0.056)
