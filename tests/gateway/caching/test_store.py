"""The store keeps its promises one by one; `test_store_model.py` compares whole histories."""

from collections.abc import Iterable
from sys import getsizeof

import pytest

from services.gateway.caching.eviction.ghosts import CANDIDATES
from services.gateway.caching.eviction.policies import POLICIES
from services.gateway.caching.store import LARGEST_SHARE, REMEMBERED, Entry, Store

MIB = 1024 * 1024
SECOND = 1_000_000_000
LONG = 3600 * SECOND


def put(
    store: Store[bytes],
    key: bytes,
    value: bytes = b"value",
    tags: Iterable[bytes] = (),
    *,
    began: int | None = None,
    now_ns: int = 0,
    expires_at_ns: int = LONG,
) -> Entry[bytes] | None:
    began = store.begin() if began is None else began
    return store.put(
        key, value, getsizeof(value), began=began, now_ns=now_ns, expires_at_ns=expires_at_ns, tags=tags
    )


def held(store: Store[bytes], now_ns: int = 0) -> set[bytes]:
    return {entry.key for entry in store.top(len(store)) if store.peek(entry.key, now_ns)}


def filled(bound: int = 4 * MIB, policy: str = "s3fifo") -> Store[bytes]:
    """A full store of values of a KiB, keys 0 to 9,999."""
    store: Store[bytes] = Store(bound, policy)
    for n in range(10_000):
        assert put(store, b"%d" % n, bytes(1024), [b"tag:%d" % (n % 100)])
    return store


# Entries


def test_gives_what_was_put() -> None:
    store: Store[bytes] = Store(MIB)
    put(store, b"key", b"value", [b"account:1", b"accounts"])
    entry = store.get(b"key", 0)
    assert entry is not None
    assert (entry.key, entry.value, entry.hits) == (b"key", b"value", 1)
    assert set(entry.tag_names) == {b"account:1", b"accounts"}
    assert store.get(b"other", 0) is None
    assert (store.statistics.hits, store.statistics.misses, store.statistics.stored) == (1, 1, 1)


def test_a_second_value_replaces_the_first_with_its_tags() -> None:
    store: Store[bytes] = Store(MIB)
    put(store, b"key", b"old", [b"old tag"])
    put(store, b"key", b"new", [b"new tag"])
    assert store.remove_tagged([b"old tag"]) == 0
    entry = store.peek(b"key", 0)
    assert entry is not None
    assert entry.value == b"new"
    assert store.remove_tagged([b"new tag"]) == 1


def test_a_renewed_entry_keeps_its_standing() -> None:
    """An entry in use is fetched anew again and again, between things that nobody asks for twice."""
    store: Store[bytes] = Store(MIB)
    put(store, b"popular", bytes(1024))
    for n in range(3000):
        if n % 50 == 0:
            entry = store.get(b"popular", 0)
            assert entry is not None
            assert put(store, b"popular", bytes(1024 + n % 7))
        put(store, b"%d" % n, bytes(1024))
    assert store.statistics.evicted > 1000
    assert store.top(1)[0].key == b"popular"
    assert store.top(1)[0].hits == 60


def test_expired_is_absent() -> None:
    store: Store[bytes] = Store(MIB)
    put(store, b"key", expires_at_ns=10)
    assert store.peek(b"key", 9)
    assert store.peek(b"key", 10) is None
    assert len(store) == 1
    assert store.get(b"key", 10) is None
    assert len(store) == 0
    assert store.statistics.expired == 1
    assert put(store, b"key", now_ns=20, expires_at_ns=20) is None


def test_expired_entries_leave_before_useful_ones() -> None:
    """A third has expired: the policy is not asked before they are gone."""
    store: Store[bytes] = Store(4 * MIB)
    n = 0
    while not store.statistics.evicted and store.used_bytes < 3.9 * MIB:
        put(store, b"%d" % n, bytes(1024), expires_at_ns=SECOND if n % 3 == 0 else LONG)
        n += 1
    useful = {key for key in held(store) if int(key) % 3}
    for more in range(n // 4):
        put(store, b"more %d" % more, bytes(1024), now_ns=2 * SECOND)
    assert useful <= held(store, 2 * SECOND)
    assert store.statistics.evicted == 0
    assert store.statistics.expired > 0


def test_sweeps_what_has_expired_a_piece_at_a_time() -> None:
    store: Store[bytes] = Store(MIB)
    for n in range(10):
        put(store, b"%d" % n, expires_at_ns=SECOND)
    put(store, b"lives")
    assert store.sweep(SECOND // 2) == 0
    assert [store.sweep(2 * SECOND, most=6) for _ in range(3)] == [6, 4, 0]
    assert held(store, 2 * SECOND) == {b"lives"}


# Invalidation


def test_drops_exactly_what_contains_the_record() -> None:
    store: Store[bytes] = Store(MIB)
    put(store, b"/accounts/1", tags=[b"account:1"])
    put(store, b"/accounts/2", tags=[b"account:2"])
    put(store, b"/accounts?page=1", tags=[b"accounts", b"account:1", b"account:2"])
    put(store, b"/accounts?page=2", tags=[b"accounts", b"account:3"])
    assert store.remove_tagged([b"account:1", b"deal:7"]) == 2
    assert held(store) == {b"/accounts/2", b"/accounts?page=2"}
    assert store.remove_tagged([b"account:1"]) == 0
    assert store.remove_tagged([b"accounts", b"account:2"]) == 2
    assert store.statistics.invalidated == 4


def test_drops_by_key_and_by_prefix() -> None:
    store: Store[bytes] = Store(MIB)
    for key in (b"a/1", b"a/2", b"b/1"):
        put(store, key)
    assert store.remove(b"a/1")
    assert not store.remove(b"a/1")
    assert sum(store.removing(lambda key: key.startswith(b"a/"))) == 1
    assert held(store) == {b"b/1"}
    assert store.clear() == 1
    assert len(store) == 0


def test_what_is_stored_between_two_steps_of_a_removal_stays() -> None:
    store: Store[bytes] = Store(8 * MIB)
    for number in range(2_500):
        put(store, b"k/%04d" % number)
    steps = store.removing(lambda key: True)
    early = store.begin()
    assert next(steps) == 500
    assert put(store, b"k/0000", began=early) is None  # it may show what was there before
    assert put(store, b"k/0000", began=store.begin()) is not None
    assert put(store, b"k/2400", began=store.begin()) is not None
    assert sum(steps) == 1_999
    assert held(store) == {b"k/0000", b"k/2400"}


# Fills that lost a race


@pytest.mark.parametrize(
    "invalidate",
    [
        lambda store: store.remove_tagged([b"account:1"]),
        lambda store: store.remove(b"key"),
        lambda store: sum(store.removing(lambda key: key.startswith(b"k"))),
        lambda store: store.clear(),
    ],
    ids=["by tag", "by key", "by prefix", "all"],
)
def test_a_fill_that_began_before_an_invalidation_is_refused(invalidate) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
    store: Store[bytes] = Store(MIB)
    early = store.begin()
    invalidate(store)
    late = store.begin()
    assert put(store, b"key", b"late", [b"account:1"], began=late)
    assert put(store, b"key", b"early", [b"account:1"], began=early) is None
    assert store.statistics.stale_fills == 1
    entry = store.peek(b"key", 0)
    assert entry is not None
    assert entry.value == b"late"


def test_other_invalidations_refuse_nothing() -> None:
    store: Store[bytes] = Store(MIB)
    began = store.begin()
    store.remove_tagged([b"account:2"])
    store.remove(b"other key")
    assert put(store, b"key", tags=[b"account:1"], began=began)


def test_an_invalidation_that_was_forgotten_still_refuses() -> None:
    store: Store[bytes] = Store(MIB, remembered=4)
    began = [store.begin()]
    for n in range(6):
        store.remove_tagged([b"account:%d" % n])
        began.append(store.begin())
    taken = [put(store, b"key %d" % n, tags=[b"unheard of"], began=early) for n, early in enumerate(began)]
    # Of the first two nothing is known any more: whoever began before the second may have seen anything.
    assert [entry is not None for entry in taken] == [False, False, True, True, True, True, True]
    assert put(store, b"key", tags=[b"account:5"], began=began[5]) is None


def test_the_memory_of_invalidations_is_bounded() -> None:
    store: Store[bytes] = Store(64 * MIB)
    for n in range(3 * REMEMBERED):
        store.remove_tagged([b"account:%d" % n])
    assert store.used_bytes < 4 * MIB
    store.clear()
    assert store.used_bytes < MIB


# Bounds and policies


@pytest.mark.parametrize("policy", POLICIES)
def test_stays_within_the_bound(policy: str) -> None:
    store = filled(4 * MIB, policy)
    assert store.statistics.evicted > 5000
    assert 0.9 * 4 * MIB < store.used_bytes <= 4 * MIB
    assert store.policy == policy


def test_refuses_what_is_too_large() -> None:
    store: Store[bytes] = Store(MIB)
    put(store, b"key", b"old")
    assert put(store, b"key", bytes(MIB // LARGEST_SHARE)) is None
    assert store.peek(b"key", 0) is None
    assert store.statistics.too_large == 1


def test_the_policy_changes_without_a_flush() -> None:
    store = filled()
    before = held(store)
    for policy in (*POLICIES, *POLICIES):
        store.change_policy(policy)
        assert held(store) == before
    put(store, b"new", bytes(1024))
    assert len(before - held(store)) < 10
    with pytest.raises(ValueError, match="no eviction policy"):
        store.change_policy("random")


@pytest.mark.parametrize("policy", POLICIES)
def test_the_bound_changes_live(policy: str) -> None:
    store = filled(4 * MIB, policy)
    before = held(store)
    store.change_bound(8 * MIB, 0)
    assert held(store) == before
    store.change_bound(2 * MIB, 0)
    assert 1.8 * MIB < store.used_bytes <= 2 * MIB
    assert held(store) < before


def test_empty_again_nothing_is_counted() -> None:
    store = filled()
    store.clear()
    told = store.describe()
    assert (told["entries"], told["tags"], told["entry_bytes"], told["tag_bytes"]) == (0, 0, 0, 0)
    # What remains are tables, which do not shrink, and the ghost caches.
    assert told["used_bytes"] < 0.3 * told["bound_bytes"]


# What it tells


def test_describes_itself() -> None:
    store = filled()
    for _ in range(3):
        store.get(b"9999", 0)
    told = store.describe()
    assert told["policy"] == "s3fifo"
    assert told["entries"] == len(store)
    assert told["used_bytes"] <= told["bound_bytes"] == 4 * MIB
    assert told["statistics"]["stored"] == 10_000
    assert set(store.ghost_log().describe()["hit_ratios"]) == {*CANDIDATES, "adaptive"}
    assert store.top(1)[0].key == b"9999"
