"""Gateways, a database and a registry in virtual time, in which an adversary decides what happens next.

Whatever is sent may be delayed for ever, lost, or come out of order; gateways stop, start anew, and have clocks that
run differently fast; the registry is flushed, restarted with an older state, or replaced by a stand-in that lacks the
latest while some still use the deposed one. One record and one replica suffice: what is decided is the same for each.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from services.gateway.caching.peers.notice import Notice
from services.gateway.caching.peers.roll import Page, Roll, Settle, Strike
from services.gateway.caching.peers.rule import PeersRule
from services.gateway.caching.peers.standing import Standing
from tests.gateway.caching.peers.fake_registry import FakeRegistry

UPSTREAM = "customers"
MS = 1_000_000


@dataclass
class Write:
    """One that is committed, and not acknowledged yet."""

    version: int
    due_ns: int
    notice: Notice
    acknowledged: bool = False


@dataclass
class Gateway:
    """`rate` is how fast its clock runs, in millionths too fast."""

    name: str
    rule: PeersRule
    registers: bool
    offset_ns: int
    rate: int
    registry: FakeRegistry | None
    standing: Standing = field(init=False)
    roll: Roll = field(init=False)
    told: int = 0
    stamped_ns: int = -1
    stored: tuple[int, int] | None = None
    """A version, and when it was asked for."""

    def __post_init__(self) -> None:
        self.standing = Standing(self.rule, registers=self.registers)
        self.roll = Roll(self.rule, self.name)

    def clock(self, now_ns: int) -> int:
        return self.offset_ns + now_ns + now_ns * self.rate // 1_000_000

    def true_time(self, clock_ns: int) -> int:
        """The first true instant at which its clock shows at least that."""
        return -((self.offset_ns - clock_ns) * 1_000_000 // (1_000_000 + self.rate))

    def stamp(self, now_ns: int) -> None:
        self.stamped_ns = self.clock(now_ns)


class StaleReadError(AssertionError):
    """Somebody was shown an older state than a write that was acknowledged."""


class World:
    """`rule` is everybody's. Each method is one step; `post` holds what is on its way."""

    def __init__(
        self, rule: PeersRule, gateways: int, draw: random.Random, *, registers: bool = True
    ) -> None:
        self.rule = rule
        self.registers = registers
        self.draw = draw
        self.now_ns = 10_000 * MS
        self.version = 0
        self.acknowledged = 0
        self.writes: list[tuple[Gateway, Write]] = []
        self.post: list[Callable[[], None]] = []
        self.names = 0
        self.registry = FakeRegistry("server-0")
        self.deposed = self.registry
        self.older: list[FakeRegistry] = []
        self.deposed_until_ns: int | None = None
        self.reads = self.hits = self.quick = self.waited = 0
        self.gateways = [self._new() for _ in range(gateways)]

    def _name(self, kind: str) -> str:
        self.names += 1
        return f"{kind}-{self.names}"

    def _new(self) -> Gateway:
        return Gateway(
            self._name("gateway"),
            self.rule,
            self.registers,
            self.draw.randrange(10**12),
            self.draw.choice((-400, 0, 400)),
            self.registry,
        )

    # Time

    def pass_time(self, ns: int) -> None:
        """Nothing else happens meanwhile but that writers have waited long enough."""
        target_ns = self.now_ns + ns
        if self.deposed_until_ns is not None and target_ns >= self.deposed_until_ns:
            self._depose()
        self.now_ns = target_ns
        for _, write in self.writes:
            if not write.acknowledged and write.due_ns <= self.now_ns:
                self._acknowledge(write)
                self.waited += 1
        self.writes = [one for one in self.writes if not one[1].acknowledged]

    def _depose(self) -> None:
        """A server that has been replaced finds out: nothing that is on its way is heeded there any more."""
        for gateway in self.gateways:
            if gateway.registry is not self.registry:
                gateway.registry = None
        self.deposed.ended = True
        self.deposed_until_ns = None

    def _acknowledge(self, write: Write) -> None:
        write.acknowledged = True
        self.acknowledged = max(self.acknowledged, write.version)

    # Reading

    def read(self, gateway: Gateway) -> None:
        """A reader asks, and is answered at once if that is possible."""
        self.reads += 1
        clock = gateway.clock(self.now_ns)
        if clock < gateway.standing.until_ns(UPSTREAM) and gateway.stored is not None:
            version, asked_ns = gateway.stored
            if gateway.stamped_ns < asked_ns:
                self.hits += 1
                if version < self.acknowledged:
                    raise StaleReadError(f"{gateway.name} shows {version} after {self.acknowledged}")

    def fetch(self, gateway: Gateway) -> None:
        """A request goes forward; its answer shows what is there when the replica looks, and is stored later."""
        asked_ns = gateway.clock(self.now_ns)

        def looked() -> None:
            version = self.version

            def stored() -> None:
                if gateway.stamped_ns < asked_ns:
                    gateway.stored = version, asked_ns

            self.post.append(stored)

        self.post.append(looked)

    # Writing

    def write(self, gateway: Gateway) -> None:
        """A change is committed, answered, stamped here, and told to the others."""
        self.version += 1
        gateway.stamp(self.now_ns)
        due_ns = gateway.true_time(gateway.clock(self.now_ns) + self.rule.wait_ns)
        write = Write(self.version, due_ns, Notice())
        self.writes.append((gateway, write))
        registry = gateway.registry
        if registry is not None:
            self.post.append(lambda: self._tell(gateway, registry, write))

    def change_past(self) -> None:
        """A change that passes no gateway: nobody is told that it has succeeded."""
        self.version += 1

    def _tell(self, gateway: Gateway, registry: FakeRegistry, write: Write) -> None:
        if registry.ended:
            return
        members = registry.tell(gateway.name)
        for other in self.gateways:
            if other is not gateway and other.registry is registry:
                self.post.append(lambda other=other: self._told(other, write))  # type: ignore[misc]
        self.post.append(lambda: self._through(write, write.notice.told(members)))

    def _told(self, other: Gateway, write: Write) -> None:
        if other not in self.gateways:
            return  # it has gone meanwhile
        other.stamp(self.now_ns)
        self.post.append(lambda: self._through(write, write.notice.acknowledged(other.name)))

    def _through(self, write: Write, through: bool) -> None:
        if through and not write.acknowledged:
            self.quick += 1
            self._acknowledge(write)

    # Proofs and leases

    def ask(self, gateway: Gateway) -> None:
        """What was committed that it was not told?"""
        asked_ns = gateway.clock(self.now_ns)

        def looked() -> None:
            version = self.version
            self.post.append(lambda: heard(version))

        def heard(version: int) -> None:
            if version > gateway.told:
                gateway.told = version
                gateway.stamp(self.now_ns)
            gateway.standing.proven(UPSTREAM, asked_ns)

        self.post.append(looked)

    def renew(self, gateway: Gateway) -> None:
        """Keep us in the registry."""
        registry = gateway.registry
        if registry is None or not self.registers:
            return
        sent_ns, token = gateway.clock(self.now_ns), self._name("token")

        def kept() -> None:
            if registry.ended:
                return
            entered, page = registry.renew(gateway.name, token)
            self.post.append(lambda: heard(entered, page))

        def heard(entered: bool, page: Page) -> None:
            now_ns = gateway.clock(self.now_ns)
            gateway.standing.renewed(sent_ns, now_ns, token=page.token, entered=entered, settled=page.settled)
            for errand in gateway.roll.read(page, now_ns):
                self.post.append(lambda errand=errand: self._heed(registry, errand))  # type: ignore[misc]

        self.post.append(kept)

    def _heed(self, registry: FakeRegistry, errand: Strike | Settle) -> None:
        if not registry.ended:
            registry.heed(errand)

    # What goes wrong

    def deliver(self, number: int) -> None:
        """Something that is on its way arrives, in whichever order."""
        if self.post:
            self.post.pop(number % len(self.post))()

    def lose(self, number: int) -> None:
        """It never does."""
        if self.post:
            self.post.pop(number % len(self.post))

    def start_anew(self, number: int) -> None:
        """A gateway is killed, and another one begins."""
        self.gateways[number] = self._new()

    def part(self, gateway: Gateway) -> None:
        """It cannot reach the registry."""
        gateway.registry = None

    def meet(self, gateway: Gateway) -> None:
        """It can again."""
        gateway.registry = self.registry

    def remember(self) -> None:
        """The registry is written to disk, or copied to a stand-in."""
        self.older = [*self.older[-2:], self.registry.copy("")]

    def empty_registry(self) -> None:
        """It is flushed."""
        self.registry.empty()

    def replace_registry(self, number: int) -> None:
        """Another process takes over with an older state, or none; for a while some still use the deposed one."""
        if self.deposed_until_ns is not None:
            return
        server = self._name("server")
        before = self.older[number % len(self.older)] if self.older else FakeRegistry("")
        self.deposed, self.registry = self.registry, before.copy(server)
        self.deposed_until_ns = self.now_ns + self.rule.silence_ns
