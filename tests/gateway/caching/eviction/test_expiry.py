"""The expiry index tells what expired, soon after it did and never before."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.caching.eviction.expiry import ExpiryIndex

SECOND = 1_000_000_000
FINEST = 1 << 26


def due(index: ExpiryIndex[int], now_ns: int) -> set[int]:
    found = set()
    while (thing := index.pop_due(now_ns)) is not None:
        found.add(thing)
    return found


@given(
    st.lists(st.integers(1, 10**15), max_size=30),
    st.integers(0, 10**15),
    st.sets(st.integers(0, 29)),
    st.integers(0, 10**16),
)
def test_never_too_early_and_at_most_an_eighth_too_late(
    lifetimes: Sequence[int], start: int, discarded: set[int], later: int
) -> None:
    index: ExpiryIndex[int] = ExpiryIndex()
    deadlines = {n: index.add(n, start + lifetime, start) for n, lifetime in enumerate(lifetimes)}
    for n in discarded & set(deadlines):
        index.discard(n, deadlines.pop(n))
    found = due(index, start + later)
    for n in deadlines:
        if n in found:
            assert lifetimes[n] <= later
        else:
            assert later < lifetimes[n] + max(FINEST, lifetimes[n] // 8)


def test_many_lifetimes_need_few_deadlines() -> None:
    index: ExpiryIndex[int] = ExpiryIndex()
    deadlines = {index.add(n, n * SECOND // 10, 0) for n in range(1, 1_000_000, 7)}
    assert len(deadlines) < 400


def test_tells_each_thing_once() -> None:
    index: ExpiryIndex[int] = ExpiryIndex()
    for n in range(100):
        index.add(n, SECOND, 0)
    assert index.pop_due(0) is None
    assert due(index, 2 * SECOND) == set(range(100))
    assert due(index, 10 * SECOND) == set()
