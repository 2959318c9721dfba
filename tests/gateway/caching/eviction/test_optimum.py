"""Belady's algorithm against trying everything."""

from collections.abc import Sequence
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.caching.eviction.optimum import Request, optimum_hits


def best(requests: Sequence[int], capacity: int) -> int:
    """The most hits that any choice of what to keep could have."""

    @cache
    def from_here(at: int, held: frozenset[int]) -> int:
        if at == len(requests):
            return 0
        key = requests[at]
        if key in held:
            return 1 + from_here(at + 1, held)
        choices = [held] if len(held) == capacity else [held | {key}]
        choices += [held - {victim} | {key} for victim in held] if len(held) == capacity else []
        return max(from_here(at + 1, choice) for choice in choices)

    return from_here(0, frozenset())


@given(st.lists(st.integers(0, 4), max_size=12), st.integers(1, 3))
def test_nobody_can_hit_more(requests: Sequence[int], capacity: int) -> None:
    hits = sum(optimum_hits([Request(key, 1) for key in requests], capacity))
    assert hits == best(requests, capacity)


@given(st.lists(st.integers(0, 6), max_size=40), st.integers(1, 8))
def test_never_hits_what_cannot_be_there(keys: Sequence[int], capacity: int) -> None:
    requests = [Request(key, 1 + key % 3) for key in keys]
    seen: set[int] = set()
    for request, hit in zip(requests, optimum_hits(requests, capacity), strict=True):
        assert not hit or (request.object_id in seen and request.size <= capacity)
        seen.add(request.object_id)


def test_what_was_renewed_is_no_hit() -> None:
    requests = [Request(1, 1), Request(1, 1), Request(1, 1, renewed=True), Request(1, 1)]
    assert list(optimum_hits(requests, 10)) == [False, True, False, True]


@pytest.mark.parametrize(("capacity", "hits"), [(1, 1), (2, 1), (3, 2)])
def test_a_large_object_needs_its_room(capacity: int, hits: int) -> None:
    requests = [Request(1, 1), Request(2, 2), Request(1, 1), Request(2, 2)]
    assert sum(optimum_hits(requests, capacity)) == hits
