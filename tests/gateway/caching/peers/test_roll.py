"""What is read out of the registry: who is gone, and since when it can be relied on."""

from services.gateway.caching.peers.roll import Page, Roll, Settle, Strike
from services.gateway.caching.peers.rule import PeersRule

RULE = PeersRule(freshness_ns=100_000_000, lease_ns=300_000_000)
SILENCE, SETTLE = RULE.silence_ns, RULE.settle_ns


def page(name: str = "a", *, settled: bool = True, **members: int) -> Page:
    return Page(name, settled, members)


def test_who_has_not_renewed_for_too_long_is_struck_off() -> None:
    roll = Roll(RULE, "own")
    assert roll.read(page(own=1, other=2), 0) == []
    assert roll.read(page(own=3, other=2), SILENCE) == []
    assert roll.read(page(own=4, other=2), SILENCE + 1) == [Strike("a", "other", 2)]
    assert roll.others == 1


def test_each_renewal_counts_from_when_it_was_seen() -> None:
    roll = Roll(RULE, "own")
    roll.read(page(other=2), 0)
    roll.read(page(other=5), SILENCE)
    assert roll.read(page(other=5), 2 * SILENCE) == []
    assert roll.read(page(other=5), 2 * SILENCE + 1) == [Strike("a", "other", 5)]


def test_who_came_back_in_between_is_not_gone() -> None:
    roll = Roll(RULE, "own")
    roll.read(page(other=2), 0)
    roll.read(page(), 5)
    assert roll.read(page(other=2), SILENCE + 1) == []


def test_nobody_strikes_itself_off() -> None:
    roll = Roll(RULE, "own")
    roll.read(page(own=1), 0)
    assert roll.read(page(own=1), 10 * SILENCE) == []


def test_a_registry_is_settled_after_a_while() -> None:
    roll = Roll(RULE, "own")
    assert roll.read(page(settled=False, own=1), 5) == []
    assert roll.read(page(settled=False, own=2), 5 + SETTLE) == []
    assert roll.read(page(settled=False, own=3), 6 + SETTLE) == [Settle("a")]


def test_another_registry_begins_anew() -> None:
    roll = Roll(RULE, "own")
    roll.read(page(settled=False, other=2), 0)
    # It was set back: the same number may be that of a later renewal.
    assert roll.read(page("b", settled=False, other=2), 2 * SETTLE) == []
    assert roll.read(page("b", settled=False, other=2), 3 * SETTLE + 1) == [
        Strike("b", "other", 2),
        Settle("b"),
    ]
