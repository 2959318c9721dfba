"""Admission: exact accounting of slots and tickets, the order of the queue, and its limits in time."""

from collections import deque
from collections.abc import Callable

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.gateway.resilience.adaptive_limit import AdaptiveLimit, LimitRule
from services.gateway.resilience.concurrency import (
    ADMITTED,
    ConcurrencyLimiter,
    Priority,
    QueueRule,
    Rejected,
    Ticket,
)
from services.gateway.resilience.ledger import CLIENT_LEFT, OK, Outcome

MS = 1_000_000
HIGH, NORMAL, LOW = Priority


def limiter(slots: int = 1, queue: QueueRule | None = None) -> ConcurrencyLimiter:
    fixed = LimitRule(min_limit=slots, initial_limit=slots, max_limit=slots)
    return ConcurrencyLimiter(queue or QueueRule(), AdaptiveLimit(fixed, 0), 0)


class Callers:
    """Named callers of one limiter, and what they were told, in order: `a+` granted, `a-` turned away."""

    def __init__(self, slots: ConcurrencyLimiter) -> None:
        self.slots = slots
        self.told: list[str] = []
        self.tickets: dict[str, Ticket] = {}

    def arrive(self, names: str, now: int = 0, priority: Priority = NORMAL) -> None:
        for name in names:
            verdict = self.slots.try_acquire(now, priority, self._notify(name))
            if isinstance(verdict, Ticket):
                self.tickets[name] = verdict
            else:
                self.told.append(name + ("+" if verdict is ADMITTED else "-"))

    def release(self, times: int, now: int = 0) -> None:
        for _ in range(times):
            self.slots.release(now, MS, OK)

    def _notify(self, name: str) -> Callable[[bool], None]:
        return lambda granted: self.told.append(name + ("+" if granted else "-"))


def test_slots_then_the_queue_then_nothing() -> None:
    callers = Callers(limiter(2, QueueRule(max_waiting=0, retry_after_s=3)))
    callers.arrive("abc")
    assert callers.told == ["a+", "b+", "c-"]
    assert callers.slots.try_acquire(0, HIGH, lambda granted: None) == Rejected(3)


def test_first_come_first_served_within_a_class_and_higher_first() -> None:
    callers = Callers(limiter())
    callers.arrive("a")
    callers.arrive("lm", priority=LOW)
    callers.arrive("no", priority=NORMAL)
    callers.arrive("hi", priority=HIGH)
    callers.release(6, now=50 * MS)
    assert callers.told == ["a+", "h+", "i+", "n+", "o+", "l+", "m+"]


def test_when_the_queue_has_not_been_empty_for_long_the_newest_goes_first() -> None:
    callers = Callers(limiter(queue=QueueRule(overload_after_s=0.1, max_wait_overloaded_s=0.05)))
    callers.arrive("ab", now=0)
    callers.arrive("c", now=95 * MS)
    callers.arrive("d", now=99 * MS)
    callers.release(3, now=100 * MS)
    assert callers.told == ["a+", "b-", "d+", "c+"], "and who has waited for too long is turned away"


def test_an_empty_queue_ends_the_overload() -> None:
    callers = Callers(limiter())
    callers.arrive("ab", now=0)
    callers.release(1, now=90 * MS)
    callers.arrive("cd", now=110 * MS)
    callers.release(2, now=120 * MS)
    assert callers.told == ["a+", "b+", "c+", "d+"]


def test_who_waits_for_too_long_is_turned_away_by_the_timer() -> None:
    callers = Callers(limiter(queue=QueueRule(max_wait_s=0.1, overload_after_s=9)))
    callers.arrive("ab", now=0)
    callers.arrive("c", now=50 * MS)
    callers.slots.expire(100 * MS - 1)
    assert callers.told == ["a+"]
    callers.slots.expire(100 * MS)
    assert callers.told == ["a+", "b-"]
    assert callers.slots.waiting == 1
    assert callers.slots.rejected_count == 1


def test_a_full_queue_gives_the_oldest_of_the_lowest_class_up() -> None:
    callers = Callers(limiter(queue=QueueRule(max_waiting=3)))
    callers.arrive("a")
    callers.arrive("lm", priority=LOW)
    callers.arrive("h", priority=HIGH)
    callers.arrive("n", priority=NORMAL)
    callers.arrive("i", priority=HIGH)
    callers.arrive("o", priority=LOW)
    callers.arrive("p", priority=NORMAL)
    assert callers.told == ["a+", "l-", "m-", "o-", "n-"]


def test_a_cancelled_ticket_is_never_granted() -> None:
    callers = Callers(limiter())
    callers.arrive("abc")
    assert callers.slots.cancel(callers.tickets["b"])
    assert not callers.slots.cancel(callers.tickets["b"])
    callers.release(1)
    assert callers.told == ["a+", "c+"]
    assert not callers.slots.cancel(callers.tickets["c"]), "granted: it must be released"


def test_callbacks_that_give_their_slot_straight_back_do_not_recurse() -> None:
    slots, granted = limiter(queue=QueueRule(max_waiting=5000)), list[int]()

    def give_back(number: int) -> Callable[[bool], None]:
        def notify(_: bool) -> None:
            granted.append(number)
            slots.release(0, 0, CLIENT_LEFT)

        return notify

    assert slots.try_acquire(0, NORMAL, give_back(0)) is ADMITTED
    for number in range(1, 5000):
        slots.try_acquire(0, NORMAL, give_back(number))
    slots.release(0, 0, CLIENT_LEFT)
    assert granted == list(range(1, 5000))
    assert (slots.in_flight, slots.waiting) == (0, 0)


def test_a_callback_that_takes_the_slot_at_once_does_not_overbook() -> None:
    slots = limiter()
    callers = Callers(slots)
    callers.arrive("a")
    slots.try_acquire(0, NORMAL, lambda granted: callers.arrive("r", now=200 * MS))
    callers.arrive("b", now=199 * MS)
    callers.release(1, now=200 * MS)
    assert slots.in_flight == 1
    assert (callers.told, slots.waiting) == (["a+", "r+"], 1)


def test_a_slot_given_back_by_whoever_was_pushed_out_goes_to_the_newcomer() -> None:
    slots = limiter(queue=QueueRule(max_waiting=1))
    callers = Callers(slots)
    callers.arrive("a")
    slots.try_acquire(0, LOW, lambda granted: slots.release(0, MS, OK))
    callers.arrive("b")
    assert callers.told == ["a+", "b+"]


def test_the_state_for_the_admin_api() -> None:
    callers = Callers(limiter(2, QueueRule(max_waiting=1)))
    callers.arrive("abcd")
    state = callers.slots.describe()
    assert (state["limit"], state["in_flight"], state["rejected"]) == (2, 2, 1)
    assert state["waiting"] == {"high": 0, "normal": 1, "low": 0}


class AnyOrder(RuleBasedStateMachine):
    """Every caller is told once; slots and places are exact, whatever the order, with a limit that moves."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        limit = LimitRule(min_limit=1, initial_limit=3, max_limit=5, window_s=0.01, window_samples=3)
        self.slots = ConcurrencyLimiter(QueueRule(max_waiting=4), AdaptiveLimit(limit, 0), 0)
        self.holders = 0
        self.waiting: dict[int, Ticket] = {}
        self.told: dict[int, bool] = {}
        self.asked = 0
        self.give_back_at_once: deque[bool] = deque()

    def _notify(self, number: int) -> Callable[[bool], None]:
        def notify(granted: bool) -> None:
            assert number not in self.told
            self.told[number] = granted
            del self.waiting[number]
            if granted:
                self.holders += 1
                if self.give_back_at_once and self.give_back_at_once.popleft():
                    self.release(1, OK)

        return notify

    @rule(priority=st.sampled_from(Priority))
    def asks(self, priority: Priority) -> None:
        number = self.asked
        self.asked += 1
        verdict = self.slots.try_acquire(self.now, priority, self._notify(number))
        if verdict is ADMITTED:
            self.holders += 1
        if isinstance(verdict, Ticket):
            self.waiting[number] = verdict

    @precondition(lambda self: self.holders)
    @rule(ms=st.integers(1, 200), outcome=st.sampled_from(Outcome), again=st.lists(st.booleans(), max_size=3))
    def releases(self, ms: int, outcome: Outcome, again: list[bool]) -> None:
        self.give_back_at_once.extend(again)
        self.release(ms, outcome)
        self.give_back_at_once.clear()

    def release(self, ms: int, outcome: Outcome) -> None:
        self.holders -= 1
        self.slots.release(self.now, ms * MS, outcome)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def gives_up(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.waiting)))
        assert self.slots.cancel(self.waiting.pop(number))

    @rule(ms=st.integers(0, 60))
    def time_passes(self, ms: int) -> None:
        self.now += ms * MS
        self.slots.expire(self.now)
        assert all(self.now - ticket.queued_at < 100 * MS for ticket in self.waiting.values())

    @invariant()
    def the_count_is_exact(self) -> None:
        assert self.slots.in_flight == self.holders >= 0
        assert self.slots.waiting == len(self.waiting) <= 4
        assert all(ticket.waiting for ticket in self.waiting.values())

    @invariant()
    def nobody_waits_beside_a_free_slot(self) -> None:
        assert not self.waiting or self.slots.in_flight >= self.slots.limit

    def teardown(self) -> None:
        while self.holders:
            self.release(1, OK)
        assert (self.slots.in_flight, self.slots.waiting, self.waiting) == (0, 0, {})


TestAnyOrder = AnyOrder.TestCase


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_gives_the_slot_back(outcome: Outcome) -> None:
    callers = Callers(limiter())
    callers.arrive("a")
    callers.slots.release(0, MS, outcome)
    assert callers.slots.in_flight == 0
