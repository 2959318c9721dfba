"""What is kept, and that nobody outside has a say in it."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.timing.keeping import (
    ASKED,
    ERROR,
    RECENT,
    SAMPLED,
    SLOW,
    Keeping,
    KeepingRule,
    Recording,
    Share,
)
from shared.telemetry.sampling import sampled

S = 1_000_000_000
MS = 1_000_000
TRACE = b"0af7651916cd43dd8448eb211c80319c"
LATE = TRACE[:16] + b"f" * 16  # in no share but the whole
HERE, THERE = UUID(int=1), UUID(int=2)


def keeping(**rule: object) -> Keeping:
    return Keeping(KeepingRule(**{"recent_every_s": 1e6, **rule}), 0)  # type: ignore[arg-type]


def settled(**rule: object) -> Keeping:
    """One that has had its first recent request and is not sampling."""
    one = keeping(share=0, **rule)
    assert one.after("", "any", 1, failed=False, now_ns=0) == RECENT
    return one


@given(st.integers(1, 2**128 - 1), st.floats(0, 1))
def test_the_share_is_chosen_as_every_hop_does(trace_id: int, share: float) -> None:
    assert Share(share).has(b"%032x" % trace_id) == sampled(trace_id, share)


@pytest.mark.parametrize(("share", "reason"), [(0.0, ""), (1.0, SAMPLED)])
def test_all_or_nothing(share: float, reason: str) -> None:
    for trace in (TRACE, LATE, b"0" * 32):
        assert keeping(share=share).before(trace, "r", None, 0) == reason


def test_an_error_is_kept_always() -> None:
    one = settled()
    assert one.after("", "r", 1, failed=True, now_ns=1) == ERROR
    assert one.after(SAMPLED, "r", 1, failed=True, now_ns=1) == ERROR
    assert one.after("", "r", 1, failed=False, now_ns=1) == ""
    assert one.after(SAMPLED, "r", 1, failed=False, now_ns=1) == SAMPLED


def test_a_routes_own_threshold() -> None:
    one = settled(slow_s={"r": 0.5})
    assert one.after("", "r", 500 * MS, failed=False, now_ns=1) == SLOW
    assert one.after("", "r", 500 * MS - 1, failed=False, now_ns=1) == ""
    assert one.after("", "other", 500 * MS, failed=False, now_ns=1) == ""
    assert one.thresholds()["r"] == 0.5


def test_the_threshold_is_learnt() -> None:
    one = settled(slow_percentile=90, slow_min_s=0.001, min_samples=100)
    for number in range(1_000):
        assert one.after("", "r", (1 + number % 100) * MS, failed=False, now_ns=1) == ""
    assert one.thresholds()["r"] is None
    one.after("", "r", MS, failed=False, now_ns=2 * S)
    threshold = one.thresholds()["r"]
    assert threshold is not None
    assert 0.090 <= threshold <= 0.090 * 1.125 + 1e-9
    assert one.after("", "r", 110 * MS, failed=False, now_ns=2 * S) == SLOW
    assert one.after("", "r", 85 * MS, failed=False, now_ns=2 * S) == ""


def test_the_fast_are_never_slow() -> None:
    one = settled(slow_percentile=90, slow_min_s=0.025, min_samples=10)
    for _ in range(100):
        one.after("", "r", MS, failed=False, now_ns=1)
    one.after("", "r", MS, failed=False, now_ns=2 * S)
    assert one.thresholds()["r"] == 0.025
    assert one.after("", "r", 24 * MS, failed=False, now_ns=2 * S) == ""
    assert one.after("", "r", 25 * MS, failed=False, now_ns=2 * S) == SLOW


def test_a_few_answers_teach_nothing() -> None:
    one = settled(min_samples=200, slow_min_s=0)
    for _ in range(100):
        one.after("", "r", MS, failed=False, now_ns=1)
    assert one.after("", "r", 60 * S, failed=False, now_ns=2 * S) == ""


def test_what_an_operator_asks_for() -> None:
    one = keeping(share=0)
    one.record(Recording("orders", HERE, until_ns=10 * S, left=2))
    assert one.before(LATE, "orders", THERE, 0) == ""
    assert one.before(LATE, "orders", None, 0) == ""
    assert one.before(LATE, "stock", HERE, 0) == ""
    assert one.before(LATE, "orders", HERE, 0) == ASKED
    assert one.after(ASKED, "orders", 1, failed=True, now_ns=1) == ASKED
    assert [recording.left for recording in one.recordings(0)] == [1]
    assert one.before(LATE, "orders", HERE, 10 * S - 1) == ASKED
    assert one.before(LATE, "orders", HERE, 10 * S - 1) == ""
    assert one.recordings(0) == []


def test_an_order_ends_by_itself_or_is_withdrawn() -> None:
    one = keeping(share=0)
    one.record(Recording(None, None, until_ns=S, left=100))
    assert one.before(LATE, "any", None, S - 1) == ASKED
    assert one.before(LATE, "any", None, S) == ""
    assert one.recordings(S) == []
    one.record(Recording(None, None, until_ns=3 * S, left=100))
    one.record(Recording(None, None, until_ns=3 * S, left=5))
    assert [recording.left for recording in one.recordings(S)] == [5]
    one.forget(None, None)
    assert one.before(LATE, "any", None, S) == ""


def test_one_now_and_then_is_remembered() -> None:
    one = keeping(share=0, recent_every_s=1)
    kept = [one.after("", "r", 1, failed=False, now_ns=at * S // 10) for at in range(25)]
    assert [at for at, reason in enumerate(kept) if reason == RECENT] == [0, 10, 20]


def test_another_rule() -> None:
    one = settled(slow_s={"r": 0.5})
    one.configure(KeepingRule(share=1, slow_s={"r": 2}))
    assert one.before(LATE, "r", None, 1) == SAMPLED
    assert one.after(SAMPLED, "r", S, failed=False, now_ns=1) == SAMPLED
    assert one.after(SAMPLED, "r", 2 * S, failed=False, now_ns=1) == SLOW


def test_the_same_rule_again_forgets_nothing() -> None:
    one = settled(min_samples=10, slow_min_s=0)
    for at in (1, 2 * S):
        for _ in range(10):
            one.after("", "r", MS, failed=False, now_ns=at)
    learnt = one.thresholds()
    assert learnt["r"] is not None
    one.configure(KeepingRule(share=0, recent_every_s=1e6, min_samples=10, slow_min_s=0))
    assert one.thresholds() == learnt
    one.configure(KeepingRule(share=0))
    assert one.thresholds() == {}


def test_memory_is_bounded_whatever_the_routes_are_called() -> None:
    one = settled()
    for number in range(2_500):
        one.after("", str(number), 1, failed=False, now_ns=1)
    assert len(one.thresholds()) <= 1_000
