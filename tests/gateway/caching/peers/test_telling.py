"""Telling others of a write, and when its caller is answered."""

import asyncio
from collections.abc import Callable
from time import perf_counter_ns

from services.gateway.caching.peers.messages import Written, acknowledgement
from services.gateway.caching.peers.rule import PeersRule
from services.gateway.caching.peers.telling import Members, Teller

RULE = PeersRule(freshness_ns=30_000_000, lease_ns=30_000_000)
PATIENT = PeersRule(freshness_ns=600_000_000_000, lease_ns=600_000_000_000)


class Board:
    gateway = "own"


class Registry:
    """Keeps what it is told; `answer` says who is registered."""

    key = b"{test}"

    def __init__(self, *, reachable: bool = True) -> None:
        self.reachable = reachable
        self.told: list[Written] = []
        self.answers: list[Callable[[Members], None]] = []

    def tell(self, message: bytes, done: Callable[[Members], None]) -> bool:
        if self.reachable:
            self.told.append(Written.decode(message))
            self.answers.append(done)
        return self.reachable


class Stage:
    """One write, told by the rules."""

    def __init__(self, rule: PeersRule, registry: Registry | None) -> None:
        self.teller = Teller(rule, Board(), registry)
        self.registry = registry
        self.through = asyncio.Event()
        self.began_ns = perf_counter_ns()
        self.teller.tell("customers", b"-", (b"accounts/1",), self.through.set)

    def acknowledge(self, gateway: str) -> bool:
        self.teller.heed(acknowledgement(1, gateway))
        return self.through.is_set()

    async def waits(self) -> str:
        """Until it has waited long enough; why it had to."""
        async with asyncio.timeout(20):
            await self.through.wait()
        assert perf_counter_ns() - self.began_ns >= RULE.wait_ns
        [state] = self.teller.describe()["counts"]
        return str(state)


async def test_it_is_answered_when_all_others_know() -> None:
    registry = Registry()
    stage = Stage(PATIENT, registry)
    assert registry.told == [
        Written("own", stage.teller.reply, 1, "customers", b"-", (b"accounts/1",)),
    ]
    registry.answers[0](frozenset({"own", "a", "b"}))
    assert not stage.acknowledge("a")
    assert stage.acknowledge("b")
    assert not stage.acknowledge("b") or stage.teller.describe()["counts"] == {"acknowledged": 1}
    assert stage.teller.describe()["under_way"] == 0


async def test_acknowledgements_may_come_before_it_is_known_whose_are_needed() -> None:
    registry = Registry()
    stage = Stage(PATIENT, registry)
    assert not stage.acknowledge("a")
    registry.answers[0](frozenset({"own", "a"}))
    assert stage.through.is_set()


async def test_who_is_alone_waits_for_nobody() -> None:
    registry = Registry()
    stage = Stage(PATIENT, registry)
    registry.answers[0](frozenset({"own"}))
    assert stage.through.is_set()


async def test_somebody_who_is_silent_is_waited_for() -> None:
    registry = Registry()
    stage = Stage(RULE, registry)
    registry.answers[0](frozenset({"own", "a", "b"}))
    stage.acknowledge("b")
    assert await stage.waits() == "silent"


async def test_an_answer_that_nobody_can_rely_on_is_waited_for() -> None:
    registry = Registry()
    stage = Stage(RULE, registry)
    registry.answers[0](None)
    stage.acknowledge("a")
    assert await stage.waits() == "unsettled"


async def test_a_registry_that_cannot_be_reached_is_waited_for() -> None:
    assert await Stage(RULE, Registry(reachable=False)).waits() == "unreachable"
    assert await Stage(RULE, None).waits() == "unreachable"


async def test_before_anybody_speaks_for_the_gateway_it_does_not_know_itself() -> None:
    registry = Registry()
    stage = Stage(PATIENT, registry)
    Board.gateway = ""
    try:
        registry.answers[0](frozenset({"somebody"}))
        assert not stage.through.is_set()
    finally:
        Board.gateway = "own"
    assert stage.acknowledge("somebody")
