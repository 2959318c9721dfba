"""Whatever an adversary does, nobody is shown an older state than a write that was acknowledged."""

import random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from services.gateway.caching.peers.notice import Notice
from services.gateway.caching.peers.rule import PeersRule
from services.gateway.caching.peers.standing import Standing
from tests.gateway.caching.peers.walk import RULE, walk
from tests.gateway.caching.peers.world import MS, StaleReadError, World

GATEWAYS = 3
numbers = st.integers(0, 30)
gateways = st.integers(0, GATEWAYS - 1)
STEPS = 4_000


class Coherence(RuleBasedStateMachine):
    """Hypothesis is the adversary; a stale read raises within the step."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(RULE, GATEWAYS, random.Random(1))  # noqa: S311 - the same each time

    @rule(one=gateways)
    def keep_going(self, one: int) -> None:
        """What a gateway does in good times: else nothing would ever be served."""
        world = self.world
        world.renew(world.gateways[one])
        self.deliver_all()
        world.ask(world.gateways[one])
        self.deliver_all()
        world.fetch(world.gateways[one])

    @rule()
    def deliver_all(self) -> None:
        for _ in range(200):
            self.world.deliver(0)

    @rule(one=gateways)
    def read(self, one: int) -> None:
        self.world.read(self.world.gateways[one])

    @rule(one=gateways)
    def fetch(self, one: int) -> None:
        self.world.fetch(self.world.gateways[one])

    @rule(one=gateways)
    def ask(self, one: int) -> None:
        self.world.ask(self.world.gateways[one])

    @rule(one=gateways)
    def renew(self, one: int) -> None:
        self.world.renew(self.world.gateways[one])

    @rule(one=gateways)
    def write(self, one: int) -> None:
        self.world.write(self.world.gateways[one])

    @rule(ms=st.sampled_from([1, 40, 99, 102, 104, 150, 301, 310, 620]))
    def pass_time(self, ms: int) -> None:
        self.world.pass_time(ms * MS)

    @rule(number=numbers)
    def deliver(self, number: int) -> None:
        self.world.deliver(number)

    @rule(number=numbers)
    def lose(self, number: int) -> None:
        self.world.lose(number)

    @rule(one=gateways)
    def start_anew(self, one: int) -> None:
        self.world.start_anew(one)

    @rule(one=gateways)
    def part(self, one: int) -> None:
        self.world.part(self.world.gateways[one])

    @rule(one=gateways)
    def meet(self, one: int) -> None:
        self.world.meet(self.world.gateways[one])

    @rule()
    def remember(self) -> None:
        self.world.remember()

    @rule()
    def empty_registry(self) -> None:
        self.world.empty_registry()

    @rule(number=numbers)
    def replace_registry(self, number: int) -> None:
        self.world.replace_registry(number)


Coherence.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestCoherence = Coherence.TestCase


def test_long_walks_find_nothing_stale_and_are_not_idle() -> None:
    worlds = [walk(RULE, seed, STEPS) for seed in range(25)]
    assert sum(world.hits for world in worlds) > 500
    assert sum(world.quick for world in worlds) > 500
    assert sum(world.waited for world in worlds) > 500


def test_without_a_registry_every_write_waits() -> None:
    worlds = [walk(RULE, seed, STEPS, registers=False) for seed in range(10)]
    assert sum(world.hits for world in worlds) > 500
    assert sum(world.quick for world in worlds) == 0


def many_walks(count: int) -> None:
    for seed in range(count):
        walk(RULE, seed, STEPS)


def always(value: Any) -> property:
    return property(lambda self: value)


@pytest.mark.parametrize(
    ("owner", "name", "broken"),
    [
        (PeersRule, "wait_ns", always(60 * MS)),
        (PeersRule, "settle_ns", always(0)),
        (PeersRule, "silence_ns", always(150 * MS)),
        (Notice, "through", property(lambda self: self.state in ("silent", "acknowledged"))),
        (Standing, "until_ns", lambda self, upstream: self._proven_ns.get(upstream, -(10**18)) + 100 * MS),
        (Standing, "until_ns", lambda self, upstream: self._kept_until_ns),
    ],
    ids=["writers wait too short", "settled at once", "struck off too early", "no acknowledgements",
         "no lease", "no proof"],
)  # fmt: skip
def test_without_any_one_of_the_rules_something_stale_is_found(
    monkeypatch: pytest.MonkeyPatch, owner: type, name: str, broken: Any
) -> None:
    monkeypatch.setattr(owner, name, broken)
    with pytest.raises(StaleReadError):
        many_walks(150)


def test_a_writer_at_a_deposed_server_does_not_overtake_who_uses_the_new_one() -> None:
    world = World(RULE, 2, random.Random(1))  # noqa: S311 - as above
    old, new = world.gateways

    def exchange(step: Any, one: Any) -> None:
        step(one)
        for _ in range(50):
            world.deliver(0)

    exchange(world.renew, old)
    world.pass_time(RULE.settle_ns + MS)
    exchange(world.renew, old)  # by which it is settled
    exchange(world.renew, old)
    world.replace_registry(0)
    world.meet(new)
    exchange(world.renew, new)
    exchange(world.ask, new)
    exchange(world.fetch, new)
    world.read(new)
    exchange(world.write, old)  # all that are in the deposed server's registry have acknowledged
    assert world.acknowledged == 1
    world.read(new)
    assert world.hits == 0
