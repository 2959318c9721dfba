"""What the store says it occupies is what it occupies."""

import gc
import tracemalloc
from collections.abc import Iterator
from random import Random

import pytest

from services.gateway.caching.eviction.policies import POLICIES
from services.gateway.caching.memory import occupied
from services.gateway.caching.store import Store

MIB = 1024 * 1024
BOUND = 8 * MIB
HOUR = 3600 * 10**9


@pytest.fixture
def traced() -> Iterator[None]:
    gc.collect()
    gc.disable()  # what leaves the store is gone at once: in a worker the collector comes by very rarely
    tracemalloc.start()
    yield
    tracemalloc.stop()
    gc.enable()


def taken_bytes() -> int:
    """What is allocated since `traced`, with what allocators add to each piece (`caching.memory`)."""
    sizes = [trace.size for trace in tracemalloc.take_snapshot().traces]
    small = sum((size + 15) & -16 for size in sizes if size <= 512)
    large = sum((size + 23) & -16 for size in sizes if size > 512)
    return small + small // 12 + large + large // 48


def traffic(store: Store[bytes], requests: int, largest: int, tags: int) -> None:
    """Records and lists of them, read and written; values of 40 to `largest` bytes, most of them small."""
    rng = Random(1)  # noqa: S311
    for n in range(requests):
        key = b"/tenants/1/accounts?filter=%d&page=%d" % (rng.randrange(requests // 2), n % 3)
        if store.get(key, n) is not None:
            continue
        value = bytes(int(40 + (largest - 40) * rng.random() ** 4))
        names = [b"account:%d" % rng.randrange(requests) for _ in range(rng.randrange(tags + 1))]
        store.put(
            key,
            value,
            occupied(value),
            began=store.begin(),
            now_ns=n,
            expires_at_ns=n + rng.randrange(1, HOUR),
            tags=names,
        )
        if n % 20 == 0:
            store.remove_tagged([b"account:%d" % rng.randrange(requests)])


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("policy", POLICIES)
def test_the_bound_holds_for_everything(policy: str) -> None:
    store: Store[bytes] = Store(BOUND, policy)
    traffic(store, 16_000, 8192, 4)
    taken = taken_bytes()
    assert store.statistics.evicted > 1000
    assert taken == pytest.approx(BOUND, rel=0.05)
    assert taken == pytest.approx(store.used_bytes, rel=0.05)


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(("largest", "tags"), [(200, 0), (200, 6), (4096, 50)])
def test_small_values_and_many_tags_are_counted_too(largest: int, tags: int) -> None:
    store: Store[bytes] = Store(BOUND)
    traffic(store, 30_000 if tags < 50 else 5000, largest, tags)
    taken = taken_bytes()
    assert taken == pytest.approx(store.used_bytes, rel=0.05)
    assert taken < 1.05 * BOUND
