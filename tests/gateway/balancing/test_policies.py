"""Each policy keeps its own promise; all of them choose a candidate, whatever comes and goes."""

from collections import Counter
from collections.abc import Sequence
from math import ceil
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.balancing.adaptive import Adaptive
from services.gateway.balancing.consistent_hash import ConsistentHash
from services.gateway.balancing.drawing import generator
from services.gateway.balancing.endpoint import Endpoint
from services.gateway.balancing.least_requests import LeastRequests
from services.gateway.balancing.load_report import LoadReport
from services.gateway.balancing.peak_ewma import PeakEwma
from services.gateway.balancing.policies import POLICIES, make_policy
from services.gateway.balancing.policy import Policy
from services.gateway.balancing.random_choice import RandomChoice
from services.gateway.balancing.round_robin import RoundRobin
from services.gateway.balancing.weighted_round_robin import REWEIGH_NS, STALE_NS, WeightedRoundRobin
from tests.gateway.balancing.fleet import endpoints, equal, occupy

MS = 1_000_000
weights = st.lists(st.integers(1, 20), min_size=1, max_size=6)


def choices(policy: Policy, candidates: Sequence[Endpoint], count: int) -> list[int]:
    return [policy.choose(candidates, 0).replica.port for _ in range(count)]


# What holds for all of them


@pytest.mark.parametrize("name", sorted(POLICIES))
@settings(deadline=None)
@given(
    history=st.lists(st.tuples(st.sets(st.integers(0, 3), min_size=1), st.binary(max_size=4)), max_size=30)
)
def test_whatever_comes_and_goes_a_candidate_is_chosen(
    name: str, history: list[tuple[set[int], bytes]]
) -> None:
    policy, everyone = make_policy(name), endpoints(1, 2, 3, 4)
    for turn, (present, key) in enumerate(history):
        candidates = tuple(everyone[index] for index in sorted(present))
        chosen = policy.choose(candidates, turn * MS, key)
        assert chosen in candidates
        chosen.began(turn * MS)
        assert policy.score(chosen, turn * MS) == policy.score(chosen, turn * MS)
        assert policy.reason(chosen, turn * MS)


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_equal_and_idle_candidates_are_all_used(name: str) -> None:
    policy, candidates = make_policy(name), equal(4)
    chosen = {policy.choose(candidates, turn * 20 * MS, b"%d" % turn).replica.port for turn in range(400)}
    assert chosen == {1, 2, 3, 4}


def test_an_unknown_name_is_refused_with_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"'fastest'.*adaptive.*weighted_round_robin"):
        make_policy("fastest")


# Adaptive


def served(endpoint: Endpoint, count: int, latency_ms: int, *, now_ns: int = 0, ok: bool = True) -> None:
    for _ in range(count):
        endpoint.began(now_ns)
        endpoint.ended(now_ns, latency_ms * MS, ok)


def test_of_equals_the_least_busy_is_taken() -> None:
    policy, candidates = Adaptive(), equal(4)
    for one, requests in zip(candidates, (3, 1, 2, 2), strict=True):
        served(one, 64, 10)
        occupy(one, requests)
    assert choices(policy, candidates, 20) == [2] * 20


def test_a_slower_one_is_taken_when_it_would_still_answer_sooner() -> None:
    policy, candidates = Adaptive(), equal(2)
    served(candidates[0], 64, 160)
    served(candidates[1], 64, 10)
    occupy(candidates[1], 6)
    assert choices(policy, candidates, 20) == [2] * 20
    occupy(candidates[1], 2)  # 16 ^ 0.75 = 8
    assert choices(policy, candidates, 20) == [1] * 20


def test_others_requests_count_a_quarter() -> None:
    policy, candidates = Adaptive(), equal(2)
    occupy(candidates[0], 1)
    candidates[1].reported(LoadReport(inflight=3.0), 0)
    assert choices(policy, candidates, 20) == [2] * 20
    candidates[1].reported(LoadReport(inflight=5.0), 0)
    assert choices(policy, candidates, 20) == [1] * 20


def test_what_others_ran_a_second_ago_counts_no_more() -> None:
    policy, candidates = Adaptive(), equal(2)
    occupy(candidates[0], 1)
    candidates[1].reported(LoadReport(inflight=100.0), 0)
    assert policy.choose(candidates, 900 * MS).replica.port == 1
    assert policy.choose(candidates, 1000 * MS).replica.port == 2


def test_one_that_fails_at_once_attracts_nothing() -> None:
    policy, candidates = Adaptive(), equal(2)
    for one in candidates:
        served(one, 64, 10)
    served(candidates[0], 64, 1, ok=False)
    occupy(candidates[1], 15)
    assert choices(policy, candidates, 20) == [2] * 20


def test_when_all_fail_the_least_busy_is_taken() -> None:
    policy, candidates = Adaptive(), equal(2)
    for one in candidates:
        served(one, 64, 10)
        served(one, 64, 1, ok=False)
    occupy(candidates[0], 1)
    assert choices(policy, candidates, 20) == [2] * 20


def test_what_was_slow_is_tried_again_after_a_while() -> None:
    policy, candidates = Adaptive(), equal(2)
    served(candidates[0], 64, 160)
    served(candidates[1], 64, 10)
    occupy(candidates[1], 1)
    assert policy.choose(candidates, 0).replica.port == 2
    assert policy.choose(candidates, 30_000 * MS).replica.port == 1


def test_of_many_sixteen_in_a_row_are_looked_at() -> None:
    policy, candidates = Adaptive(generator(1)), equal(100)
    for one in candidates:
        occupy(one, abs(one.replica.port - 50))
    seen = {policy.choose(candidates, turn * 20 * MS).replica.port for turn in range(2000)}
    assert {50, 1 + 15, 100 - 15} <= seen  # the best of all, of the first 16, of the last 16


# Round robin, random


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(1, 5))
def test_round_robin_takes_turns(count: int, rounds: int) -> None:
    seen = choices(RoundRobin(), equal(count), count * rounds)
    assert seen == list(range(1, count + 1)) * rounds


def test_random_reproduces_with_its_seed() -> None:
    assert choices(RandomChoice(generator(3)), equal(5), 50) == choices(
        RandomChoice(generator(3)), equal(5), 50
    )


# Weighted round robin


def test_the_sequence_of_the_original_description() -> None:
    assert choices(WeightedRoundRobin(), endpoints(5, 1, 1), 7) == [1, 1, 2, 1, 3, 1, 1]


@settings(deadline=None)
@given(weights, st.integers(1, 3))
def test_every_round_gives_each_its_weight(weights: list[int], rounds: int) -> None:
    policy, candidates = WeightedRoundRobin(), endpoints(*weights)
    for _ in range(rounds):
        assert Counter(choices(policy, candidates, sum(weights))) == dict(enumerate(weights, 1))


@settings(deadline=None)
@given(weights)
def test_no_replica_runs_ahead_of_its_share_by_a_whole_turn(weights: list[int]) -> None:
    """Smoothness: after any number of choices each count is within the number of replicas of its share."""
    policy, candidates, total = WeightedRoundRobin(), endpoints(*weights), sum(weights)
    seen: Counter[int] = Counter()
    for turn in range(1, total + 1):
        seen.update(choices(policy, candidates, 1))
        for port, weight in enumerate(weights, 1):
            assert abs(seen[port] - turn * weight / total) < len(weights)


def test_a_replica_that_returns_is_not_flooded() -> None:
    policy, both = WeightedRoundRobin(), equal(2)
    choices(policy, both, 10)
    assert choices(policy, both[:1], 100) == [1] * 100
    assert Counter(choices(policy, both, 10)) == {1: 5, 2: 5}


def test_live_weight_and_slow_start_count() -> None:
    policy, candidates = WeightedRoundRobin(), endpoints(2, 1, 1)
    candidates[0].live_weight = 0.5
    candidates[1].slow_start = 0.5
    for one in candidates:
        one.reweigh()
    assert Counter(choices(policy, candidates, 50)) == {1: 20, 2: 10, 3: 20}


def test_weights_follow_the_reported_load() -> None:
    """Three replicas serve the same rate, one of them at twice the utilisation: it could serve half as much."""
    policy, candidates = WeightedRoundRobin(), equal(3)
    for one, used in zip(candidates, (0.4, 0.4, 0.8), strict=True):
        one.reported(LoadReport(cpu_utilization=used, rps_fractional=100), 0)
    assert Counter(choices(policy, candidates, 50)) == {1: 20, 2: 20, 3: 10}


def test_errors_make_a_replica_lighter() -> None:
    policy, candidates = WeightedRoundRobin(), equal(2)
    candidates[0].reported(LoadReport(cpu_utilization=0.5, rps_fractional=100), 0)
    candidates[1].reported(LoadReport(cpu_utilization=0.5, rps_fractional=100, eps=50), 0)
    assert Counter(choices(policy, candidates, 30)) == {1: 20, 2: 10}


def test_the_application_knows_its_utilisation_better_than_the_cpu() -> None:
    policy, candidates = WeightedRoundRobin(), equal(2)
    for one, used in zip(candidates, (0.2, 0.6), strict=True):
        one.reported(LoadReport(cpu_utilization=0.9, application_utilization=used, rps_fractional=10), 0)
    assert Counter(choices(policy, candidates, 40)) == {1: 30, 2: 10}


def test_small_differences_are_noise() -> None:
    policy, candidates = WeightedRoundRobin(), equal(3)
    for one, used in zip(candidates, (0.36, 0.4, 0.44), strict=True):
        one.reported(LoadReport(cpu_utilization=used, rps_fractional=100), 0)
    assert Counter(choices(policy, candidates, 30)) == {1: 10, 2: 10, 3: 10}


def test_later_reports_count_by_and_by() -> None:
    policy, candidates = WeightedRoundRobin(), equal(3)
    seen = []
    for second in range(30):
        now_ns = second * REWEIGH_NS
        for one, used in zip(candidates, (0.4, 0.4, 0.8 if second else 0.4), strict=True):
            one.reported(LoadReport(cpu_utilization=used, rps_fractional=100), now_ns)
        chosen = Counter(policy.choose(candidates, now_ns).replica.port for _ in range(250))
        seen.append(chosen[3])
    assert 82 <= seen[0] <= 84
    assert 55 < seen[4] < 70
    assert 49 <= seen[-1] <= 51


def test_a_stale_or_silent_report_counts_as_the_median() -> None:
    policy, candidates = WeightedRoundRobin(), equal(3)
    candidates[0].reported(LoadReport(cpu_utilization=0.4, rps_fractional=100), 0)
    candidates[1].reported(LoadReport(cpu_utilization=0.9), 0)
    later = STALE_NS + REWEIGH_NS
    chosen = Counter(policy.choose(candidates, later).replica.port for _ in range(30))
    assert chosen == {1: 10, 2: 10, 3: 10}


# Least requests


def test_of_two_the_less_busy_one_is_taken() -> None:
    policy, candidates = LeastRequests(), equal(2)
    occupy(candidates[0], 1)
    assert choices(policy, candidates, 50) == [2] * 50


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), min_size=2, max_size=8), st.randoms(use_true_random=False))
def test_the_busiest_of_all_is_never_taken(busy: list[int], rng: Random) -> None:
    policy, candidates = LeastRequests(rng), equal(len(busy))
    for one, requests in zip(candidates, busy, strict=True):
        occupy(one, requests)
    if busy.count(max(busy)) == 1:
        assert busy.index(max(busy)) + 1 not in choices(policy, candidates, 50)


def test_two_choices_keep_the_fullest_far_below_that_of_one_choice() -> None:
    """Balls into bins (Mitzenmacher): the fullest has log log n / log 2 balls against log n / log log n."""
    fullest = {}
    for policy in (LeastRequests(generator(1)), RandomChoice(generator(1))):
        candidates = equal(100)
        for _ in range(100):
            policy.choose(candidates, 0).began(0)
        fullest[policy.name] = max(one.active for one in candidates)
    assert fullest["least_requests"] <= 3 < fullest["random"]


def test_with_differing_weights_shares_follow_weight_over_load() -> None:
    policy, candidates = LeastRequests(), endpoints(3, 1)
    assert Counter(choices(policy, candidates, 40)) == {1: 30, 2: 10}
    occupy(candidates[0], 2)  # 3 / (2 + 1) = 1 / (0 + 1)
    assert Counter(choices(policy, candidates, 40)) == {1: 20, 2: 20}


def test_weights_count_when_they_differ_in_a_new_tuple() -> None:
    policy, candidates = LeastRequests(), equal(2)
    choices(policy, candidates, 1)
    candidates[0].live_weight = 3.0
    candidates[0].reweigh()
    assert Counter(choices(policy, list(candidates), 40)) == {1: 30, 2: 10}


# Peak EWMA


def test_the_slow_one_is_avoided_until_the_fast_one_is_busy() -> None:
    policy, candidates = PeakEwma(), equal(2)
    for one, latency in zip(candidates, (160 * MS, 10 * MS), strict=True):
        one.began(0)
        one.ended(0, latency, True)
    assert choices(policy, candidates, 30) == [2] * 30
    occupy(candidates[1], 16)
    assert choices(policy, candidates, 30) == [1] * 30


def test_the_untried_one_is_tried_once_and_then_waited_for() -> None:
    policy, candidates = PeakEwma(), equal(2)
    candidates[0].began(0)
    candidates[0].ended(0, 10 * MS, True)
    assert choices(policy, candidates, 10) == [2] * 10
    occupy(candidates[1], 1)
    assert choices(policy, candidates, 10) == [1] * 10


# Consistent hashing


def test_a_key_stays_where_it_is() -> None:
    policy, candidates = ConsistentHash(), equal(5)
    owners = {key: policy.choose(candidates, 0, key) for key in keys(200)}
    assert owners == {key: ConsistentHash().choose(tuple(reversed(candidates)), 0, key) for key in owners}


def keys(count: int) -> list[bytes]:
    return [b"key-%d" % number for number in range(count)]


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 12), st.data())
def test_only_the_keys_of_the_one_that_left_move(count: int, data: st.DataObject) -> None:
    policy, candidates = ConsistentHash(), equal(count)
    gone = candidates[data.draw(st.integers(0, count - 1))]
    rest = tuple(one for one in candidates if one is not gone)
    before = {key: policy.choose(candidates, 0, key) for key in keys(300)}
    after = {key: policy.choose(rest, 0, key) for key in before}
    assert {key for key in before if before[key] is not after[key]} == {
        key for key in before if before[key] is gone
    }
    assert before == {key: policy.choose(candidates, 0, key) for key in before}


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 12))
def test_a_newcomer_takes_about_its_share_and_nothing_moves_between_the_others(count: int) -> None:
    policy, candidates = ConsistentHash(), equal(count)
    before = {key: policy.choose(candidates[:-1], 0, key) for key in keys(600)}
    after = {key: policy.choose(candidates, 0, key) for key in before}
    moved = {key for key in before if before[key] is not after[key]}
    assert {after[key] for key in moved} == {candidates[-1]}
    assert len(moved) / len(before) < 1.6 / count


def test_weights_are_shares_of_the_keys() -> None:
    candidates = endpoints(1, 3)
    policy = ConsistentHash()
    owned = Counter(policy.choose(candidates, 0, key).replica.port for key in keys(4000))
    assert 0.65 < owned[2] / 4000 < 0.85


@settings(deadline=None)
@given(st.integers(1, 8), st.integers(1, 80), st.sampled_from([0.1, 0.25, 1.0]), st.integers(1, 4))
def test_the_bound_on_loads_holds(count: int, requests: int, slack: float, different_keys: int) -> None:
    policy, candidates = ConsistentHash(slack), equal(count)
    for number in range(1, requests + 1):
        policy.choose(candidates, 0, b"%d" % (number % different_keys)).began(0)
        assert max(one.active for one in candidates) <= ceil((1 + slack) * number / count)
