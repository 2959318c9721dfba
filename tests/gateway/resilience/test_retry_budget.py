"""The retry budget's arithmetic, and the decision to retry."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.resilience.ledger import (
    BROKEN,
    BUSY,
    CLIENT_LEFT,
    CUT_SHORT,
    HEDGE_LOSER,
    OK,
    REFUSED,
    SERVER_ERROR,
    TIMED_OUT,
    UNAVAILABLE,
    Outcome,
)
from services.gateway.resilience.retry_budget import (
    AttemptBudget,
    BudgetRule,
    RetryDecision,
    RetryPolicy,
    RetryRule,
)

SECOND = 1_000_000_000
FLAG = (False, True)


def test_a_share_of_the_requests_and_no_more() -> None:
    budget = AttemptBudget(BudgetRule(percent=20, min_per_second=0), now=0)
    assert not budget.withdraw(0)
    for _ in range(14):
        budget.on_request(0)
    assert [budget.withdraw(0) for _ in range(3)] == [True, True, False]
    budget.on_request(0)
    assert budget.withdraw(0)


def test_the_reserve_lets_a_quiet_service_retry() -> None:
    budget = AttemptBudget(BudgetRule(percent=20, min_per_second=1, window_s=10), now=0)
    assert [budget.withdraw(0) for _ in range(11)] == [True] * 10 + [False]


def test_payments_and_withdrawals_are_forgotten_after_the_window() -> None:
    budget = AttemptBudget(BudgetRule(percent=100, min_per_second=1, window_s=10), now=0)
    for _ in range(5):
        budget.on_request(0)
    for _ in range(15):
        assert budget.withdraw(5 * SECOND)
    assert budget.available(9 * SECOND) == 0
    assert budget.available(10 * SECOND) == 0, "the payments went first, and their debt stays"
    assert budget.available(15 * SECOND) == 10
    assert budget.available(1000 * SECOND) == 10


rules = st.builds(
    BudgetRule,
    percent=st.integers(0, 150),
    min_per_second=st.integers(0, 3),
    window_s=st.sampled_from([1.0, 2.5, 10.0]),
)
# Steps in time, each followed by a request or by an attempt to take.
steps = st.lists(st.tuples(st.integers(0, 2 * SECOND), st.booleans()), max_size=150)


@given(rules, steps)
def test_it_agrees_with_a_count_of_what_the_window_holds(
    rule: BudgetRule, steps: list[tuple[int, bool]]
) -> None:
    budget = AttemptBudget(rule, now=0)
    reserve = int(rule.min_per_second * rule.window_s)
    slice_ns = int(rule.window_s * SECOND) // 10
    now, events = 0, list[tuple[int, int]]()
    for step, is_request in steps:
        now += step
        oldest = now // slice_ns - 9
        held = sum(value for slot, value in events if slot >= oldest) + reserve * 100
        if is_request:
            budget.on_request(now)
            events.append((now // slice_ns, rule.percent))
        else:
            allowed = budget.withdraw(now)
            assert allowed == (held >= 100)
            events.extend([(now // slice_ns, -100)] * allowed)


@given(rules, steps)
def test_over_any_run_retries_stay_below_share_plus_reserve(
    rule: BudgetRule, steps: list[tuple[int, bool]]
) -> None:
    budget, now, requests, taken = AttemptBudget(rule, now=0), 0, 0, 0
    for step, is_request in steps:
        now += step
        if is_request:
            budget.on_request(now)
            requests += 1
        else:
            taken += budget.withdraw(now)
    windows = 1 + now // int(rule.window_s * SECOND)
    assert taken <= requests * rule.percent / 100 + int(rule.min_per_second * rule.window_s) * windows


def policy(
    rule: RetryRule | None = None, *, budget: int = 100, random: Callable[[], float] = lambda: 0.5
) -> RetryPolicy:
    allowance = BudgetRule(percent=0, min_per_second=budget, window_s=1)
    return RetryPolicy(rule or RetryRule(), AttemptBudget(allowance, 0), random)


FACTS: dict[str, Any] = {
    "retries": 0,
    "idempotent": True,
    "replayable": True,
    "answer_begun": False,
    "remaining_ns": SECOND,
}


def decide(failure: Outcome, *, of: RetryPolicy | None = None, **facts: Any) -> RetryDecision:
    return (of or policy()).decide(0, failure, **FACTS | facts)


def test_the_whole_table() -> None:
    allowed = {
        (failure, idempotent, replayable, begun)
        for failure, idempotent, replayable, begun in itertools.product(Outcome, FLAG, FLAG, FLAG)
        if decide(failure, idempotent=idempotent, replayable=replayable, answer_begun=begun).allowed
    }
    harmless = {(failure, twice, True, False) for failure in (REFUSED, BUSY) for twice in (False, True)}
    repeatable = {(failure, True, True, False) for failure in (BROKEN, TIMED_OUT, UNAVAILABLE, SERVER_ERROR)}
    assert allowed == harmless | repeatable


@pytest.mark.parametrize("outcome", [OK, CLIENT_LEFT, HEDGE_LOSER, CUT_SHORT])
def test_what_is_no_failure_to_retry_is_never_retried(outcome: Outcome) -> None:
    assert not decide(outcome).allowed


def test_attempts_run_out_and_a_500_gets_one_second_opinion() -> None:
    assert [decide(BROKEN, retries=made).allowed for made in range(4)] == [True, True, False, False]
    assert [decide(SERVER_ERROR, retries=made).allowed for made in range(3)] == [True, False, False]
    never = policy(RetryRule(max_retries=0))
    assert not any(decide(failure, of=never).allowed for failure in (BROKEN, SERVER_ERROR))


def test_the_budget_bounds_retries_and_refusals_take_nothing_from_it() -> None:
    limited = policy(budget=2)
    for _ in range(5):
        assert not decide(BROKEN, of=limited, replayable=False).allowed
        assert not decide(BROKEN, of=limited, remaining_ns=0).allowed
    assert [decide(BROKEN, of=limited).allowed for _ in range(3)] == [True, True, False]
    assert "budget" in decide(BROKEN, of=limited).reason


def test_requests_pay_into_the_budget_through_the_policy() -> None:
    budget = AttemptBudget(BudgetRule(percent=50, min_per_second=0), now=0)
    retries = RetryPolicy(RetryRule(), budget, lambda: 0.0)
    assert not decide(BROKEN, of=retries).allowed
    retries.on_request(0)
    retries.on_request(0)
    assert decide(BROKEN, of=retries).allowed


@pytest.mark.parametrize("failure", [REFUSED, BUSY, TIMED_OUT])
def test_another_replica_is_asked_at_once(failure: Outcome) -> None:
    assert decide(failure).wait_ns == 0
    assert decide(failure, other_replica=False).wait_ns > 0


def test_the_backoff_doubles_to_its_bound_with_full_jitter() -> None:
    rule = RetryRule(max_retries=9, backoff_base_s=0.01, backoff_max_s=0.05)
    longest = [decide(BROKEN, of=policy(rule, random=lambda: 1.0), retries=made).wait_ns for made in range(5)]
    assert longest == [10_000_000, 20_000_000, 40_000_000, 50_000_000, 50_000_000]
    assert decide(BROKEN, of=policy(rule, random=lambda: 0.0), retries=3).wait_ns == 0


@given(st.integers(0, 400_000_000), st.floats(0, 1, exclude_max=True), st.integers(0, 3))
def test_no_retry_ends_after_the_deadline(remaining_ns: int, random: float, retries: int) -> None:
    rule = RetryRule(max_retries=5, min_remaining_s=0.005)
    decision = decide(
        BROKEN, of=policy(rule, random=lambda: random), retries=retries, remaining_ns=remaining_ns
    )
    if decision.allowed:
        assert decision.wait_ns + 5_000_000 <= remaining_ns
    else:
        assert remaining_ns < 250_000_000 + 5_000_000, "even the longest wait would have fitted"
