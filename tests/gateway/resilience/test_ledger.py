"""The account of attempts balances, and says so when it does not."""

import json
from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.gateway.resilience.ledger import (
    BROKEN,
    BUSY,
    HEDGE_LOSER,
    OK,
    REFUSED,
    SERVER_ERROR,
    UNAVAILABLE,
    Ledger,
    Outcome,
    TurnedAway,
)

FAILURES = [outcome for outcome in Outcome if outcome >= BUSY]


class Requests(RuleBasedStateMachine):
    """Requests as the data path lives through them, each a list of attempts under way, and our own count."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.open: list[list[str]] = []
        self.begun: Counter[str] = Counter()
        self.over: Counter[Outcome] = Counter()
        self.turned_away = 0

    @rule()
    def arrives(self) -> None:
        self.ledger.first()
        self.open.append(["first"])
        self.begun["first"] += 1

    @rule(reason=st.sampled_from(TurnedAway))
    def is_turned_away(self, reason: TurnedAway) -> None:
        self.ledger.turned_away(reason)
        self.turned_away += 1

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def is_hedged(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.open)).append("hedge")
        self.ledger.hedge()
        self.begun["hedge"] += 1

    @precondition(lambda self: self.open)
    @rule(data=st.data(), failure=st.sampled_from(FAILURES), again=st.booleans())
    def fails(self, data: st.DataObject, failure: Outcome, again: bool) -> None:
        request = data.draw(st.sampled_from(self.open))
        request.pop()
        self._end(failure)
        if again:
            request.append("retry")
            self.ledger.retry()
            self.begun["retry"] += 1
        if not request:
            self.open.remove(request)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), left=st.booleans())
    def ends(self, data: st.DataObject, left: bool) -> None:
        request = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        for position in range(len(request)):
            loser = Outcome.CLIENT_LEFT if left else HEDGE_LOSER
            self._end(loser if left or position else OK)

    def _end(self, outcome: Outcome) -> None:
        self.ledger.ended(outcome)
        self.over[outcome] += 1

    @invariant()
    def balances(self) -> None:
        ledger = self.ledger
        assert ledger.check(open_attempts=sum(map(len, self.open))) == []
        assert ledger.attempts == sum(self.begun.values())
        assert (ledger.firsts, ledger.retries, ledger.hedges) == tuple(
            self.begun[kind] for kind in ("first", "retry", "hedge")
        )
        assert {outcome: ledger.count(outcome) for outcome in Outcome} == {o: self.over[o] for o in Outcome}
        assert ledger.requests == self.begun["first"] + self.turned_away


TestRequests = Requests.TestCase


def test_a_forgotten_end_shows_against_what_is_really_open() -> None:
    ledger = Ledger()
    ledger.first()
    assert ledger.check() == []
    assert ledger.check(open_attempts=0) == ["1 attempts should be in flight, but 0 are."]


def test_an_end_too_many_shows() -> None:
    ledger = Ledger()
    ledger.first()
    ledger.ended(OK)
    ledger.ended(REFUSED)
    assert ledger.check() == ["1 attempts ended more than once."]


def test_retries_and_losers_need_a_cause() -> None:
    ledger = Ledger()
    ledger.first()
    ledger.retry()
    ledger.ended(HEDGE_LOSER)
    ledger.ended(OK)
    assert ledger.check() == [
        "1 retries were made after only 0 failures.",
        "1 attempts lost to only 0 hedges.",
    ]


def test_a_tampered_counter_shows() -> None:
    ledger = Ledger()
    ledger.firsts += 1
    assert ledger.check() == ["1 attempts began, but 0 are in flight and 0 ended."]


def test_the_snapshot_is_json_and_names_every_outcome() -> None:
    ledger = Ledger()
    ledger.first()
    ledger.ended(BROKEN)
    ledger.retry()
    ledger.turned_away(TurnedAway.OVERLOADED)
    document = json.loads(json.dumps(ledger.snapshot()))
    assert (document["requests"], document["attempts"], document["in_flight"]) == (2, 2, 1)
    assert document["outcomes"].keys() == {outcome.label for outcome in Outcome}
    assert document["outcomes"]["broken"] == document["turned_away"]["overloaded"] == 1


def test_the_groups_of_outcomes_are_what_their_order_says() -> None:
    unharmed = {OK, Outcome.CLIENT_LEFT, HEDGE_LOSER, BUSY}
    assert {outcome for outcome in Outcome if outcome < SERVER_ERROR} == unharmed
    assert {outcome for outcome in Outcome if outcome < UNAVAILABLE} == unharmed | {SERVER_ERROR}
    assert {outcome.label for outcome in Outcome if outcome >= REFUSED} == {
        *("refused", "broken", "cut_short", "timed_out"),
    }
