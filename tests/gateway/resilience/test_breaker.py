"""The circuit breaker: its window, its states, and that nothing wedges it."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.gateway.resilience.breaker import BreakerRule, BreakerState, CircuitBreaker
from services.gateway.resilience.ledger import (
    BROKEN,
    BUSY,
    CLIENT_LEFT,
    HEDGE_LOSER,
    OK,
    SERVER_ERROR,
    TIMED_OUT,
    Outcome,
)

SECOND = 1_000_000_000
RULE = BreakerRule(failure_percent=50, min_attempts=4, window_s=10, open_s=2, max_open_s=7, jitter_percent=0)


def breaker(rule: BreakerRule = RULE, random: float = 0.0) -> CircuitBreaker:
    return CircuitBreaker(rule, now=0, random=lambda: random)


def attempt(circuit: CircuitBreaker, now: int, outcome: Outcome) -> str | None:
    assert circuit.allows(now)
    return circuit.on_result(now, circuit.on_start(now), outcome)


def opened(at: int = 0, rule: BreakerRule = RULE) -> CircuitBreaker:
    circuit = breaker(rule)
    for _ in range(4):
        attempt(circuit, at, BROKEN)
    assert not circuit.allows(at)
    return circuit


def test_it_opens_at_the_share_of_failures_and_says_why() -> None:
    circuit = breaker()
    assert [attempt(circuit, 0, outcome) for outcome in (OK, OK, BROKEN)] == [None] * 3
    said = attempt(circuit, 0, SERVER_ERROR)
    assert said == "Circuit opened for 2.0 s: 2 of the last 4 attempts failed."
    assert not circuit.allows(2 * SECOND - 1)
    assert circuit.allows(2 * SECOND)


def test_too_few_attempts_decide_nothing() -> None:
    circuit = breaker()
    for _ in range(3):
        attempt(circuit, 0, TIMED_OUT)
    assert circuit.allows(0)


@pytest.mark.parametrize("outcome", [CLIENT_LEFT, HEDGE_LOSER, BUSY])
def test_what_says_nothing_about_the_replica_is_not_counted(outcome: Outcome) -> None:
    circuit = breaker()
    for _ in range(9):
        attempt(circuit, 0, outcome)
    for _ in range(3):
        attempt(circuit, 0, BROKEN)
    assert circuit.describe(0)["attempts"] == 3


def test_old_attempts_are_forgotten() -> None:
    circuit = breaker()
    for second in range(3):
        attempt(circuit, second * SECOND, BROKEN)
    for _ in range(2):
        attempt(circuit, 11 * SECOND, OK)
    assert circuit.describe(11 * SECOND)["attempts"] == 3
    assert circuit.describe(100 * SECOND)["attempts"] == 0


def test_good_probes_close_it() -> None:
    circuit = opened()
    assert circuit.allows(3 * SECOND)
    tokens = [circuit.on_start(3 * SECOND) for _ in range(3)]
    assert not circuit.allows(3 * SECOND), "three probes are under way"
    assert [circuit.on_result(3 * SECOND, token, OK) for token in tokens] == [
        *(None, None),
        "Circuit closed: 3 probes in a row went well.",
    ]
    assert circuit.describe(3 * SECOND)["attempts"] == 0, "it starts afresh"


def test_each_failed_probe_doubles_the_time_up_to_the_bound() -> None:
    circuit, now, times = opened(), 0, []
    for _ in range(4):
        wait = circuit.describe(now)["retry_in_s"]
        assert isinstance(wait, float)
        times.append(wait)
        now += int(wait * SECOND)
        attempt(circuit, now, TIMED_OUT)
    assert times == [2, 4, 7, 7]


def test_after_a_long_calm_it_begins_with_the_short_time_again() -> None:
    circuit, now = opened(), 2 * SECOND
    attempt(circuit, now, BROKEN)
    now += 4 * SECOND
    for _ in range(3):
        attempt(circuit, now, OK)
    for _ in range(4):
        attempt(circuit, now, BROKEN)
    assert circuit.describe(now)["retry_in_s"] == 7, "it had only just closed"
    now += 7 * SECOND
    for _ in range(3):
        attempt(circuit, now, OK)
    now += 10 * SECOND
    for _ in range(4):
        attempt(circuit, now, BROKEN)
    assert circuit.describe(now)["retry_in_s"] == 2


def test_jitter_only_lengthens() -> None:
    rule = BreakerRule(min_attempts=1, open_s=10, jitter_percent=20)
    circuit = breaker(rule, random=0.5)
    attempt(circuit, 0, BROKEN)
    assert circuit.describe(0)["retry_in_s"] == 11


def test_a_lost_probe_makes_way_and_its_late_report_counts_for_nothing() -> None:
    circuit = opened()
    assert circuit.allows(2 * SECOND)
    lost = [circuit.on_start(2 * SECOND) for _ in range(3)]
    assert not circuit.allows(31 * SECOND)
    assert circuit.allows(32 * SECOND)
    fresh = circuit.on_start(32 * SECOND)
    assert [circuit.on_result(33 * SECOND, token, BROKEN) for token in lost] == [None] * 3
    assert circuit.state is BreakerState.HALF_OPEN
    assert circuit.on_result(33 * SECOND, fresh, BROKEN) is not None


def test_a_probe_whose_caller_left_makes_way() -> None:
    circuit = opened()
    for _ in range(9):
        attempt(circuit, 2 * SECOND, CLIENT_LEFT)
    assert circuit.state is BreakerState.HALF_OPEN
    assert circuit.allows(2 * SECOND)


def test_results_from_before_it_opened_count_for_nothing() -> None:
    circuit = breaker()
    early = [circuit.on_start(0) for _ in range(20)]
    for token in early[:4]:
        circuit.on_result(0, token, BROKEN)
    assert circuit.allows(2 * SECOND)
    assert [circuit.on_result(2 * SECOND, token, OK) for token in early[4:10]] == [None] * 6
    assert circuit.state is BreakerState.HALF_OPEN
    for _ in range(3):
        attempt(circuit, 2 * SECOND, OK)
    for token in early[10:]:
        assert circuit.on_result(2 * SECOND, token, BROKEN) is None
    assert circuit.describe(2 * SECOND)["state"] == "closed"


def test_attempts_made_in_spite_of_it_count_for_nothing() -> None:
    circuit = opened()
    for outcome in (OK, BROKEN):
        assert circuit.on_result(SECOND, circuit.on_start(SECOND), outcome) is None
    assert circuit.describe(SECOND)["retry_in_s"] == 1


class AnyTraffic(RuleBasedStateMachine):
    """Attempts that end in any order, late or never."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.circuit = breaker(BreakerRule(min_attempts=3, half_open_probes=2, jitter_percent=0))
        self.under_way: list[int] = []
        self.silent_since = 0

    @rule(step=st.integers(0, 40 * SECOND))
    def waits(self, step: int) -> None:
        self.now += step

    @rule()
    def starts(self) -> None:
        if self.circuit.allows(self.now):
            self.under_way.append(self.circuit.on_start(self.now))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), outcome=st.sampled_from(Outcome))
    def ends(self, data: st.DataObject, outcome: Outcome) -> None:
        token = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        before = self.circuit.state
        said = self.circuit.on_result(self.now, token, outcome)
        assert (said is not None) == (self.circuit.state is not before)

    @rule()
    def an_hour_of_silence_lets_the_next_attempt_through(self) -> None:
        self.now += 3600 * SECOND
        assert self.circuit.allows(self.now)

    @invariant()
    def probes_are_few(self) -> None:
        probes = self.circuit.describe(self.now)["probes"]
        assert isinstance(probes, int)
        assert probes <= (2 if self.circuit.state is BreakerState.HALF_OPEN else 0)

    @invariant()
    def closed_allows(self) -> None:
        assert self.circuit.state is not BreakerState.CLOSED or self.circuit.allows(self.now)


TestAnyTraffic = AnyTraffic.TestCase
