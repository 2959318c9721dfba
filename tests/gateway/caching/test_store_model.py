"""The store against a plain reference, over whole histories of fills, reads, invalidations and changes.

The reference knows what every stored value may be used for and nothing about room: whatever the store still has must be
what the reference has; what it lacks, it must have evicted.
"""

from dataclasses import dataclass
from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from services.gateway.caching.eviction.policies import POLICIES
from services.gateway.caching.store import LARGEST_SHARE, Store

KIB: Final = 1024
ROOMY: Final = 4096 * KIB
TIGHT: Final = 192 * KIB  # most of it for the ghost caches' log: some fifty entries fit
REMEMBERED: Final = 3

keys = st.sampled_from([prefix + b"/%d" % n for prefix in (b"a", b"b") for n in range(6)])
tag_sets = st.frozensets(st.sampled_from([b"t%d" % n for n in range(5)]), max_size=3)
bounds = st.sampled_from([ROOMY, TIGHT])


@dataclass(frozen=True)
class Stored:
    """What the reference knows of one key."""

    value: int
    tags: frozenset[bytes]
    expires_at: int


@dataclass(frozen=True)
class Fill:
    """A fetch that is on its way; `moment` counts invalidations in the reference's own way."""

    epoch: int
    moment: int


class StoreMachine(RuleBasedStateMachine):
    """Random histories."""

    fills = Bundle("fills")

    def __init__(self) -> None:
        super().__init__()
        self.store: Store[int] = Store(ROOMY, remembered=REMEMBERED)
        self.bound = ROOMY
        self.model: dict[bytes, Stored] = {}
        self.now = 0
        self.values = 0
        self.invalidations: list[tuple[str, frozenset[bytes]]] = []

    @rule(target=fills)
    def begin(self) -> Fill:
        return Fill(self.store.begin(), len(self.invalidations))

    @rule(
        fill=fills,
        key=keys,
        tags=tag_sets,
        lifetime=st.integers(1, 40),
        size=st.sampled_from([100, 1000, 8000, 60_000]),
    )
    def finish(self, fill: Fill, key: bytes, tags: frozenset[bytes], lifetime: int, size: int) -> None:
        self.values += 1
        expires_at = self.now + lifetime * 10**8
        entry = self.store.put(
            key,
            self.values,
            size,
            began=fill.epoch,
            now_ns=self.now,
            expires_at_ns=expires_at,
            tags=tags,
        )
        since = self.invalidations[fill.moment :]
        stale = any(self.concerns(what, names, key, tags) for what, names in since)
        if stale:
            assert entry is None
        elif size > self.bound // LARGEST_SHARE:
            assert entry is None
            self.model.pop(key, None)
        elif entry is None:
            # Refused in vain, which only more invalidations than are remembered excuse.
            assert sum(len(names) for _, names in since) > REMEMBERED or any(w == "prefix" for w, _ in since)
        else:
            self.model[key] = Stored(self.values, tags, expires_at)

    @staticmethod
    def concerns(what: str, names: frozenset[bytes], key: bytes, tags: frozenset[bytes]) -> bool:
        if what == "prefix":
            return any(key.startswith(prefix) for prefix in names)
        return key in names if what == "key" else bool(names & tags)

    @rule(key=keys)
    def get(self, key: bytes) -> None:
        entry = self.store.get(key, self.now)
        if entry is not None:
            assert entry.value == self.model[key].value
            assert self.now < self.model[key].expires_at

    @rule(tags=tag_sets)
    def remove_tagged(self, tags: frozenset[bytes]) -> None:
        self.invalidate("tags", tags, self.store.remove_tagged(tags))

    @rule(key=keys)
    def remove(self, key: bytes) -> None:
        self.invalidate("key", frozenset([key]), int(self.store.remove(key)))

    @rule(prefix=st.sampled_from([b"a", b"b/", b""]))
    def remove_prefix(self, prefix: bytes) -> None:
        self.invalidate(
            "prefix", frozenset([prefix]), sum(self.store.removing(lambda key: key.startswith(prefix)))
        )

    def invalidate(self, what: str, names: frozenset[bytes], count: int) -> None:
        self.invalidations.append((what, names))
        gone = {key for key, one in self.model.items() if self.concerns(what, names, key, one.tags)}
        assert count <= len(gone)
        for key in gone:
            del self.model[key]
            assert self.store.peek(key, self.now) is None

    @rule(seconds=st.integers(0, 20))
    def pass_time(self, seconds: int) -> None:
        self.now += seconds * 10**8

    @rule()
    def sweep(self) -> None:
        self.store.sweep(self.now)

    @rule(policy=st.sampled_from(POLICIES))
    def change_policy(self, policy: str) -> None:
        self.store.change_policy(policy)

    @rule(bound=bounds)
    def change_bound(self, bound: int) -> None:
        self.bound = bound
        self.store.change_bound(bound, self.now)

    @rule()
    def fill_up(self) -> None:
        """Enough to evict where the bound is tight, under keys of their own."""
        began = self.begin()
        for n in range(60):
            self.finish(began, b"filler %d" % n, frozenset(), 10, 4 * KIB)

    @invariant()
    def has_what_the_reference_has(self) -> None:
        there = 0
        for key, one in self.model.items():
            entry = self.store.peek(key, self.now)
            if entry is None:
                continue
            assert one.expires_at > self.now
            assert (entry.value, frozenset(entry.tag_names)) == (one.value, one.tags)
            there += 1
        alive = sum(one.expires_at > self.now for one in self.model.values())
        assert alive - there <= self.store.statistics.evicted

    @invariant()
    def is_bounded_and_indexed(self) -> None:
        assert self.store.used_bytes <= 1.05 * self.bound
        entries = self.store.top(len(self.store))
        tags = {name for entry in entries for name in entry.tag_names}
        assert self.store.describe()["tags"] == len(tags)


TestStore = StoreMachine.TestCase
TestStore.settings = settings(deadline=None, max_examples=200, stateful_step_count=30)
