"""Each policy keeps its own promise; all of them hold exactly what the cache holds, whatever comes and goes."""

from collections.abc import Callable, Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.caching.eviction.ghosts import GhostCaches
from services.gateway.caching.eviction.lfu import Lfu
from services.gateway.caching.eviction.lru import Lru
from services.gateway.caching.eviction.node import Node
from services.gateway.caching.eviction.policies import DEFAULT_POLICY, POLICIES, make_policy
from services.gateway.caching.eviction.policy import Policy
from services.gateway.caching.eviction.s3fifo import S3Fifo, WideS3Fifo
from services.gateway.caching.eviction.sieve import Sieve
from tests.gateway.caching.eviction.traces import replay

CAPACITY = 40
every = pytest.mark.parametrize("name", [*POLICIES, WideS3Fifo.name])
steps = st.lists(
    st.tuples(st.sampled_from(["use", "use", "use", "replace", "remove", "evict"]), st.integers(0, 11)),
    max_size=120,
)


def made(name: str, capacity: int = CAPACITY) -> Policy:
    if name == WideS3Fifo.name:
        return WideS3Fifo(capacity)
    return make_policy(name, capacity, GhostCaches(capacity))


def filled(policy: Policy, keys: Iterable[int]) -> dict[int, Node]:
    nodes = {key: Node(key, 1) for key in keys}
    for node in nodes.values():
        policy.add(node)
    return nodes


def evictions(policy: Policy, count: int) -> list[int]:
    return [policy.evict().fingerprint for _ in range(count)]


def play(policy: Policy, history: Sequence[tuple[str, int]]) -> dict[int, Node]:
    """A cache without a bound that does as `history` says."""
    held: dict[int, Node] = {}
    for what, key in history:
        if what == "evict":
            if held:
                victim = policy.evict()
                assert victim is held.pop(victim.fingerprint)
        elif key not in held:
            if what == "use":
                held[key] = Node(key, 1 + key)
                policy.add(held[key])
        elif what == "use":
            policy.hit(held[key])
        elif what == "replace":
            old, held[key] = held[key], Node(key, 20 - key)
            policy.replace(old, held[key])
        else:
            policy.remove(held.pop(key))
    return held


# What holds for all of them


@every
@given(history=steps)
def test_holds_what_the_cache_holds(name: str, history: Sequence[tuple[str, int]]) -> None:
    policy = made(name)
    held = play(policy, history)
    listed = [node.fingerprint for node in policy.nodes()]
    assert sorted(listed) == sorted(held)
    assert sorted(evictions(policy, len(held))) == sorted(held)
    with pytest.raises(IndexError):
        policy.evict()


@every
@given(history=steps, other=st.sampled_from(POLICIES), rest=steps)
def test_entries_move_to_another_policy(
    name: str, history: Sequence[tuple[str, int]], other: str, rest: Sequence[tuple[str, int]]
) -> None:
    before = made(name)
    held = play(before, history)
    policy = made(other)
    policy.adopt(list(before.nodes()))
    assert {node.fingerprint for node in policy.nodes()} == set(held)
    for _, key in rest:
        if key in held:
            policy.hit(held[key])
    assert sorted(evictions(policy, len(held))) == sorted(held)


@every
def test_what_moves_first_leaves_first(name: str) -> None:
    policy = made(name)
    policy.adopt([Node(key, 1) for key in range(5)])
    assert evictions(policy, 5) == [0, 1, 2, 3, 4]


@every
def test_what_replaces_inherits(name: str) -> None:
    """Everything leaves in the order in which it would have left without being renewed."""
    policy, twin = made(name), made(name)
    for one in (policy, twin):
        nodes = filled(one, range(40))
        for key in [*range(20), *range(20), *range(10)]:
            one.hit(nodes[key])
        if one is policy:
            for key in range(10):
                one.replace(nodes[key], Node(key, 1))
    assert evictions(policy, 40) == evictions(twin, 40)


@every
def test_popular_things_survive_a_stream_of_others(name: str) -> None:
    """Ten of 40 places are asked for again and again, between things that never return."""
    requests = [key for i in range(2000) for key in (i % 10, 1000 + i)]
    assert replay(requests, made(name), CAPACITY) >= 1900


@every
def test_a_smaller_bound_is_heeded_by_what_remains(name: str) -> None:
    policy = made(name)
    filled(policy, range(40))
    policy.resize(10)
    assert len(set(evictions(policy, 40))) == 40
    assert policy.memory_bytes() >= 0


def test_names_the_policies_that_exist() -> None:
    with pytest.raises(ValueError, match=r"'fifo', only adaptive, lfu, lru, s3fifo, sieve"):
        make_policy("fifo", CAPACITY, GhostCaches(CAPACITY))
    assert DEFAULT_POLICY == "s3fifo"


# What each of them is


def test_lru_evicts_what_was_not_used_for_longest() -> None:
    policy = Lru(CAPACITY)
    nodes = filled(policy, b"abcd")
    policy.hit(nodes[ord("a")])
    assert bytes(evictions(policy, 4)) == b"bcda"


def test_lfu_evicts_what_was_used_least() -> None:
    policy = Lfu(CAPACITY)
    nodes = filled(policy, range(4))
    for key in (0, 0, 1, 3, 3):
        policy.hit(nodes[key])
    assert evictions(policy, 4) == [2, 1, 0, 3]


@pytest.mark.parametrize(("ageing", "low", "high"), [(True, 0.9, 1.0), (False, 0.0, 0.1)])
def test_lfu_forgets_what_was_popular_once_if_it_ages(ageing: bool, low: float, high: float) -> None:
    yesterday = [key for _ in range(50) for key in range(20)]
    today = [key for _ in range(50) for key in range(100, 120)]
    hits = replay([*yesterday, *today], Lfu(20, ageing), 20)
    assert low <= (hits - 49 * 20) / len(today) <= high


def test_sieve_clears_flags_on_its_way_and_goes_on_from_where_it_was() -> None:
    policy = Sieve(CAPACITY)
    nodes = filled(policy, range(5))
    for key in (0, 1, 3):
        policy.hit(nodes[key])
    assert evictions(policy, 1) == [2]  # passed 0 and 1
    filled(policy, [5])
    assert evictions(policy, 1) == [4]  # passed 3, did not return to 0
    assert evictions(policy, 4) == [5, 0, 1, 3]


def test_sieve_keeps_its_place_when_the_node_at_the_hand_leaves() -> None:
    policy = Sieve(CAPACITY)
    nodes = filled(policy, range(4))
    policy.hit(nodes[0])
    assert evictions(policy, 1) == [1]
    policy.remove(nodes[2])
    assert evictions(policy, 2) == [3, 0]


def test_s3fifo_lets_a_scan_through_the_small_queue() -> None:
    policy = S3Fifo(100)
    regulars = filled(policy, range(90))
    policy.adopt([])
    for node in regulars.values():
        for _ in range(2):
            policy.hit(node)
    filled(policy, range(1000, 1020))
    left = evictions(policy, 10)
    assert all(key >= 1000 for key in left)


def test_s3fifo_takes_what_returns_soon_into_the_main_queue() -> None:
    policy = S3Fifo(100)
    filled(policy, range(20))
    assert evictions(policy, 10) == list(range(10))
    filled(policy, [3, 200])
    assert [node.fingerprint for node in policy.nodes()] == [*range(10, 20), 200, 3]


def test_s3fifo_counts_bytes_not_nodes() -> None:
    policy = S3Fifo(1000)
    large = Node(1, 500)
    policy.adopt([large])
    for key in range(2, 12):
        policy.add(Node(key, 5))
    # Ten small ones are 50 bytes, less than the small queue's hundred: the main queue must give.
    assert evictions(policy, 1) == [1]


def test_s3fifo_forgets_what_left_long_ago() -> None:
    policy = S3Fifo(10)
    for key in range(1000):
        filled(policy, [key])
        evictions(policy, 1)
    assert policy.memory_bytes() < 3000


@pytest.mark.parametrize("make", [Sieve, S3Fifo])
def test_a_hit_moves_nothing(make: Callable[[int], Policy]) -> None:
    policy = make(CAPACITY)
    nodes = filled(policy, range(6))
    before = list(policy.nodes())
    policy.hit(nodes[0])
    assert list(policy.nodes()) == before
