"""Smooth weighted round robin: the shares are exact, the order is smooth, changes owe nothing."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.balancing.policy import Replica
from services.gateway.balancing.smooth_weighted import SmoothWeightedRoundRobin


def replicas(*weights: int) -> list[Replica]:
    return [Replica("u", "host", port, weight) for port, weight in enumerate(weights, 1)]


def choices(policy: SmoothWeightedRoundRobin, candidates: list[Replica], count: int) -> list[int]:
    return [policy.choose(candidates).port for _ in range(count)]


def test_the_sequence_of_the_original_description() -> None:
    assert choices(SmoothWeightedRoundRobin(), replicas(5, 1, 1), 7) == [1, 1, 2, 1, 3, 1, 1]


weights = st.lists(st.integers(1, 20), min_size=1, max_size=6)


@given(weights, st.integers(1, 3))
def test_every_round_gives_each_its_weight(weights: list[int], rounds: int) -> None:
    policy, candidates = SmoothWeightedRoundRobin(), replicas(*weights)
    for _ in range(rounds):
        chosen = Counter(choices(policy, candidates, sum(weights)))
        assert chosen == dict(enumerate(weights, 1))


@given(weights)
def test_no_replica_runs_ahead_of_its_share_by_a_whole_turn(weights: list[int]) -> None:
    """Smoothness: after any number of choices each count is within the number of replicas of its share."""
    policy, candidates, total = SmoothWeightedRoundRobin(), replicas(*weights), sum(weights)
    seen: Counter[int] = Counter()
    for turn in range(1, total + 1):
        seen[policy.choose(candidates).port] += 1
        for port, weight in enumerate(weights, 1):
            assert abs(seen[port] - turn * weight / total) < len(weights)


def test_a_replica_that_returns_is_not_flooded() -> None:
    policy, both = SmoothWeightedRoundRobin(), replicas(1, 1)
    choices(policy, both, 10)
    assert choices(policy, both[:1], 100) == [1] * 100
    assert Counter(choices(policy, both, 10)) == {1: 5, 2: 5}


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=4, unique=True), max_size=40))
def test_whatever_comes_and_goes_a_candidate_is_chosen(history: list[list[int]]) -> None:
    policy, everyone = SmoothWeightedRoundRobin(), replicas(1, 2, 3, 4)
    for present in history:
        candidates = [everyone[index] for index in present]
        assert policy.choose(candidates) in candidates
