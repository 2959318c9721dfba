"""Hedging: the histogram against sorted lists, the learned delay, and the hard budget."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.resilience.hedging import Hedging, HedgingRule, LatencyHistogram

MS = 1_000_000
SECOND = 1_000_000_000


@given(
    st.lists(st.integers(100, 10**13), min_size=1, max_size=200),
    st.sampled_from([1.0, 50.0, 90.0, 95.0, 99.0]),
)
def test_percentiles_are_right_to_the_width_of_a_bucket(latencies: list[int], percent: float) -> None:
    histogram = LatencyHistogram(30, 0)
    for latency in latencies:
        histogram.add(latency)
    # The largest value with more than the given share at or above it.
    above = len(latencies) * (100 - percent) / 100
    exact = next(
        value
        for rank, value in enumerate(sorted(latencies, reverse=True), start=1)
        if rank > above or rank == len(latencies)
    )
    found = histogram.percentile(percent)
    assert exact <= found <= exact * 1.125


@given(st.integers(0, 2**60))
def test_every_latency_has_a_bucket(latency: int) -> None:
    histogram = LatencyHistogram(30, 0)
    histogram.add(latency)
    assert histogram.size() == 1
    assert histogram.percentile(50) >= min(latency, 39 * 3600 * SECOND)


def test_old_answers_fade_by_half_lives() -> None:
    histogram = LatencyHistogram(half_life_s=10, now=0)
    for _ in range(1000):
        histogram.add(100 * MS)
    histogram.age(10 * SECOND)
    assert histogram.size() == 500
    for _ in range(600):
        histogram.add(5 * MS)
    assert histogram.percentile(50) < 6 * MS, "the younger majority decides"
    assert histogram.percentile(60) >= 100 * MS


def test_fading_goes_on_for_ever() -> None:
    histogram = LatencyHistogram(half_life_s=1, now=0)
    for second in range(0, 2000, 5):
        histogram.age(second * SECOND)
        for _ in range(64):
            histogram.add(MS)
        assert 64 <= histogram.size() <= 67
    histogram.age(10**6 * SECOND)
    assert histogram.size() == 0


def learned(rule: HedgingRule | None = None, ms: float = 20, count: int = 200) -> Hedging:
    hedging = Hedging(rule or HedgingRule(), 0)
    for _ in range(count):
        hedging.on_latency(int(ms * MS))
    return hedging


def test_nothing_is_hedged_while_too_little_is_known() -> None:
    hedging = learned(count=99)
    for _ in range(1000):
        hedging.on_request(0)
    assert hedging.delay_ns(0) is None
    assert not hedging.may_hedge(0, idempotent=True, replayable=True, other_replica=True)


def test_the_delay_is_the_percentile_but_never_too_short() -> None:
    delay = learned(ms=20).delay_ns(0)
    assert delay is not None
    assert 20 * MS <= delay <= 22.5 * MS
    assert learned(ms=0.1).delay_ns(0) == 5 * MS


def test_the_delay_is_worked_out_now_and_then_and_forgets() -> None:
    hedging = learned(HedgingRule(half_life_s=1, refresh_s=0.25))
    before = hedging.delay_ns(0)
    for _ in range(1000):
        hedging.on_latency(80 * MS)
    assert hedging.delay_ns(SECOND // 4 - 1) == before
    after = hedging.delay_ns(SECOND // 4)
    assert after is not None
    assert after >= 80 * MS
    assert hedging.delay_ns(60 * SECOND) is None, "nothing of use is remembered"


def test_only_what_may_be_sent_twice_to_another_replica_with_room() -> None:
    hedging = learned()
    hedging.delay_ns(0)
    for _ in range(2000):
        hedging.on_request(0)
    allowed = [
        facts
        for facts in itertools.product((False, True), repeat=4)
        if hedging.may_hedge(
            0, idempotent=facts[0], replayable=facts[1], other_replica=facts[2], saturated=facts[3]
        )
    ]
    assert allowed == [(True, True, True, False)]


@pytest.mark.parametrize("percent", [0, 1, 5, 20])
def test_however_slow_all_is_hedges_keep_to_their_share(percent: int) -> None:
    hedging = learned(HedgingRule(max_hedges_percent=percent))
    hedging.delay_ns(0)
    rng, now, hedges = random.Random(1), 0, 0  # noqa: S311  # a test must be reproducible
    for requests in range(1, 5000):
        now += int(rng.expovariate(1) * MS)
        hedging.on_request(now)
        hedging.on_latency(20 * MS)
        hedges += hedging.may_hedge(now, idempotent=True, replayable=True, other_replica=True)
        assert hedges * 100 <= requests * percent
    assert hedges * 100 >= 4900 * percent


def test_the_state_for_the_admin_api() -> None:
    hedging = learned(ms=20)
    for _ in range(40):
        hedging.on_request(0)
    state = hedging.describe(0)
    assert (state["samples"], state["hedges_available"]) == (200, 2)
    assert Hedging(HedgingRule(), 0).describe(0)["delay_ms"] is None
