"""Token bucket."""

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.limits.token_bucket import Rate, take

SECOND = 1_000_000_000


def test_a_burst_then_the_rate() -> None:
    rate, full_at = Rate(per_second=10, burst=3), 0
    outcomes = []
    for now_ms in (0, 0, 0, 0, 99, 100, 100, 1000):
        full_at, allowance = take(full_at, now_ms * 1_000_000, rate)
        outcomes.append((allowance.allowed, allowance.remaining))
    assert outcomes == [
        *((True, 2), (True, 1), (True, 0)),
        *((False, 0), (False, 0), (True, 0), (False, 0), (True, 2)),
    ]


def test_retry_after_is_long_enough_and_a_whole_second_at_least() -> None:
    rate = Rate(per_second=1, burst=1)
    full_at, _ = take(0, 0, rate)
    full_at, refused = take(full_at, 0, rate)
    assert (refused.allowed, refused.retry_after_s, refused.full_in_s) == (False, 1, 1)
    assert take(full_at, refused.retry_after_s * SECOND, rate)[1].allowed


rates = st.builds(Rate, per_second=st.integers(1, 5000), burst=st.integers(1, 5000))
steps = st.lists(st.integers(0, SECOND), min_size=1, max_size=200)


@given(rates, steps)
def test_never_more_than_burst_plus_rate(rate: Rate, steps: list[int]) -> None:
    now = full_at = allowed = 0
    for step in steps:
        now += step
        full_at, allowance = take(full_at, now, rate)
        allowed += allowance.allowed
        assert 0 <= allowance.remaining < rate.burst
        assert allowance.full_in_s <= rate.window_s
        assert allowed <= rate.burst + now // rate.token_ns


@given(rates)
def test_refusals_cost_nothing(rate: Rate) -> None:
    full_at = 0
    for _ in range(rate.burst):
        full_at, allowance = take(full_at, 0, rate)
        assert allowance.allowed
    assert [take(full_at, 0, rate)[1].allowed for _ in range(3)] == [False] * 3
    assert take(full_at, rate.token_ns, rate)[1].allowed
