"""Outlier ejection: each detector, the time out, and the bound on how many are out."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from services.gateway.resilience.ejection import Change, EjectionRule, OutlierDetector
from services.gateway.resilience.ledger import (
    BROKEN,
    BUSY,
    CLIENT_LEFT,
    HEDGE_LOSER,
    OK,
    REFUSED,
    SERVER_ERROR,
    TIMED_OUT,
    UNAVAILABLE,
    Outcome,
)

MS = 1_000_000
SECOND = 1_000_000_000
CALM = EjectionRule(jitter_percent=0)


def detector(
    count: int = 4, rule: EjectionRule = CALM, random: float = 0.0, names: str = "abcdefghij"
) -> OutlierDetector:
    return OutlierDetector(rule, names[:count], now=0, random=lambda: random)


def feed(
    watch: OutlierDetector, endpoint: str, outcome: Outcome, times: int, now: int = 0, ms: int = 10
) -> list[Change]:
    results = [watch.on_result(endpoint, now, outcome, ms * MS) for _ in range(times)]
    return [change for change in results if change is not None]


@pytest.mark.parametrize("outcome", [REFUSED, BROKEN, TIMED_OUT, UNAVAILABLE])
def test_gateway_errors_in_a_row(outcome: Outcome) -> None:
    watch = detector()
    assert feed(watch, "a", outcome, 4) == []
    assert feed(watch, "a", OK, 1) == []
    assert feed(watch, "a", outcome, 4) == []
    assert feed(watch, "a", outcome, 1) == [
        Change("a", True, f"Ejected for 10.0 s: 5 gateway errors in a row, the last {outcome.label}.")
    ]
    assert watch.is_ejected("a")
    assert feed(watch, "a", outcome, 20) == [], "reported once"


def test_server_errors_in_a_row_include_gateway_errors() -> None:
    watch = detector()
    feed(watch, "a", SERVER_ERROR, 5)
    feed(watch, "a", UNAVAILABLE, 4)
    (change,) = feed(watch, "a", SERVER_ERROR, 1)
    assert change.reason == "Ejected for 10.0 s: 10 server errors in a row."


@pytest.mark.parametrize("outcome", [CLIENT_LEFT, HEDGE_LOSER, BUSY])
def test_what_says_nothing_neither_counts_nor_interrupts(outcome: Outcome) -> None:
    watch = detector()
    assert feed(watch, "a", outcome, 50) == []
    feed(watch, "a", BROKEN, 4)
    feed(watch, "a", outcome, 1)
    assert feed(watch, "a", BROKEN, 1) != []


def test_the_time_is_up_and_counts_are_clean() -> None:
    watch = detector()
    feed(watch, "a", BROKEN, 5)
    assert watch.sweep(10 * SECOND - 1) == []
    assert watch.sweep(10 * SECOND) == [Change("a", False, "Returned: its time is up.")]
    assert feed(watch, "a", BROKEN, 4, now=10 * SECOND) == []
    assert feed(watch, "a", BROKEN, 1, now=10 * SECOND) != []


def ejection_seconds(watch: OutlierDetector, endpoint: str, now: int) -> float:
    (change,) = feed(watch, endpoint, BROKEN, 5, now=now)
    assert change.ejected
    seconds = watch.describe(now)[endpoint]["returns_in_s"]
    assert isinstance(seconds, float)
    return seconds


def test_the_time_grows_with_repeats_and_shrinks_only_with_good_answers() -> None:
    watch, now = detector(rule=EjectionRule(jitter_percent=0, max_ejection_s=35)), 0
    times = []
    for _ in range(6):
        times.append(ejection_seconds(watch, "a", now))
        now += 36 * SECOND
        watch.sweep(now)
        now += 6 * SECOND
        watch.sweep(now)  # an interval without any answer proves nothing
    assert times == [10, 20, 30, 35, 35, 35]
    for _ in range(2):
        feed(watch, "a", OK, 1, now=now)
        now += 6 * SECOND
        watch.sweep(now)
    assert ejection_seconds(watch, "a", now) == 20


def test_jitter_only_lengthens() -> None:
    watch = detector(rule=EjectionRule(jitter_percent=10), random=0.5)
    assert ejection_seconds(watch, "a", 0) == 10.5


@pytest.mark.parametrize(
    ("size", "percent", "out"),
    [(1, 100, 0), (2, 10, 1), (2, 100, 1), (4, 10, 1), (4, 50, 2), (10, 34, 3), (10, 100, 9)],
)
def test_one_may_always_be_out_never_more_than_the_share_never_all(size: int, percent: int, out: int) -> None:
    watch = detector(size, EjectionRule(max_ejected_percent=percent))
    changes = [change for endpoint in "abcdefghij"[:size] for change in feed(watch, endpoint, BROKEN, 9)]
    assert len(changes) == out


def test_success_rates_are_compared() -> None:
    watch = detector(6)
    for endpoint in "abcdef":
        feed(watch, endpoint, OK, 49)
        feed(watch, endpoint, OK if endpoint != "b" else SERVER_ERROR, 9)
        feed(watch, endpoint, OK, 1)
    (change,) = watch.sweep(5 * SECOND)
    assert change.endpoint_id == "b"
    assert change.reason == (
        "Ejected for 10.0 s: 84.7 % of 59 requests succeeded, the mean of the set is 97.5 %."
    )


@pytest.mark.parametrize(("count", "requests", "failed"), [(4, 100, 9), (6, 49, 9), (6, 200, 9)])
def test_few_replicas_few_requests_or_a_small_gap_decide_nothing(
    count: int, requests: int, failed: int
) -> None:
    watch = detector(count)
    for endpoint in "abcdef"[:count]:
        bad = failed if endpoint == "b" else 0
        feed(watch, endpoint, SERVER_ERROR, bad)
        feed(watch, endpoint, OK, requests - bad)
    assert watch.sweep(5 * SECOND) == []


def interval(watch: OutlierDetector, number: int, **ms: int) -> list[Change]:
    for endpoint, latency in ms.items():
        feed(watch, endpoint, OK, 30, ms=latency, now=number * 5 * SECOND)
    return watch.sweep((number + 1) * 5 * SECOND)


def test_a_replica_much_slower_than_the_others_for_two_intervals() -> None:
    watch = detector()
    assert interval(watch, 0, a=20, b=20, c=160, d=24) == []
    assert interval(watch, 1, a=20, b=20, c=160, d=24) == [
        Change(
            "c",
            True,
            "Ejected for 10.0 s: its typical latency of 160.0 ms is 8.0 times the median of the others (20.0 ms).",
        )
    ]


def test_slow_once_or_fast_enough_anyway_is_no_outlier() -> None:
    watch = detector()
    assert interval(watch, 0, a=20, b=20, c=160, d=20) == []
    assert interval(watch, 1, a=20, b=20, c=60, d=20) == []
    assert interval(watch, 2, a=20, b=20, c=160, d=20) == []
    for number in (3, 4, 5):
        assert interval(watch, number, a=1, b=1, c=49, d=1) == [], "below the floor"


def test_latency_needs_three_replicas_with_enough_answers() -> None:
    pair = detector(2)
    assert [interval(pair, number, a=20, b=900) for number in range(3)] == [[]] * 3
    watch = detector(3)
    for number in range(3):
        feed(watch, "c", OK, 29, ms=900, now=number * 5 * SECOND)
        assert interval(watch, number, a=20, b=20) == []


def test_one_very_long_answer_is_no_slow_replica() -> None:
    watch = detector()
    for number in range(3):
        feed(watch, "c", OK, 1, ms=60_000, now=number * 5 * SECOND)
        assert interval(watch, number, a=20, b=20, c=20, d=20) == []


def test_detectors_can_be_switched_off() -> None:
    off = EjectionRule(
        consecutive_gateway_errors=0,
        consecutive_server_errors=0,
        success_rate_stdev_factor=0,
        latency_factor=0,
    )
    watch = detector(6, off)
    assert feed(watch, "a", BROKEN, 200) == []
    for number in range(4):
        assert interval(watch, number, a=900, b=1, c=1, d=1, e=1, f=1) == []


def test_a_good_sign_from_elsewhere_restores() -> None:
    watch = detector()
    assert watch.restore("a", "an active check went well") is None
    feed(watch, "a", BROKEN, 5)
    assert watch.restore("a", "an active check went well") == Change(
        "a", False, "Returned: an active check went well."
    )
    assert not watch.is_ejected("a")


def test_the_set_changes_and_records_survive() -> None:
    watch = detector(4)
    feed(watch, "a", BROKEN, 5)
    feed(watch, "b", BROKEN, 4)
    watch.set_endpoints("abz")
    assert watch.is_ejected("a")
    assert feed(watch, "d", BROKEN, 50) == [], "gone: what was under way there is ignored"
    watch.set_endpoints("abcz")
    assert feed(watch, "c", BROKEN, 4) == []
    assert len(feed(watch, "b", BROKEN, 1)) == 1, "its count has survived"


def test_when_the_set_shrinks_those_due_soonest_return() -> None:
    watch = detector(8)
    for second, endpoint in enumerate("dcba"):
        feed(watch, endpoint, BROKEN, 5, now=second * SECOND)
    watch.set_endpoints("abcx")
    assert [change.endpoint_id for change in watch.sweep(5 * SECOND)] == ["c"]
    assert [change.endpoint_id for change in watch.sweep(12 * SECOND)] == ["b"]


class AnyTraffic(RuleBasedStateMachine):
    """Results of all kinds while the set changes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.members = set("abcdef")
        self.watch = OutlierDetector(CALM, self.members, 0, lambda: 0.0)
        self.out: set[str] = set()

    def _allowed(self) -> int:
        return min(len(self.members) - 1, max(1, len(self.members) // 2))

    def _note(self, changes: list[Change]) -> None:
        for change in changes:
            assert change.ejected == (change.endpoint_id not in self.out), "news only"
            (self.out.add if change.ejected else self.out.remove)(change.endpoint_id)
            assert not change.ejected or len(self.out) <= self._allowed()

    @rule(
        endpoint=st.sampled_from("abcdefgh"),
        outcome=st.sampled_from(Outcome),
        times=st.integers(1, 60),
        ms=st.sampled_from([1, 50, 1000]),
    )
    def results(self, endpoint: str, outcome: Outcome, times: int, ms: int) -> None:
        self._note(feed(self.watch, endpoint, outcome, times, now=self.now, ms=ms))

    @rule(seconds=st.integers(0, 30))
    def sweeps(self, seconds: int) -> None:
        self.now += seconds * SECOND
        self._note(self.watch.sweep(self.now))
        assert len(self.out) <= self._allowed(), "even when the set has shrunk"

    @rule(members=st.sets(st.sampled_from("abcdefgh"), min_size=1))
    def changes(self, members: set[str]) -> None:
        self.members = members
        self.watch.set_endpoints(members)
        self.out &= members

    @rule()
    def an_hour_later_all_are_back(self) -> None:
        self.now += 3600 * SECOND
        self._note(self.watch.sweep(self.now))
        assert self.out == set()

    @invariant()
    def what_was_told_is_what_is(self) -> None:
        assert {one for one in "abcdefgh" if self.watch.is_ejected(one)} == self.out


TestAnyTraffic = AnyTraffic.TestCase
