"""The entries of one cache in this process: bounded by bytes, dropped by tag, key or prefix. Pure.

All times are nanoseconds of one monotonic clock, and parameters. Not thread-safe: one event loop uses it.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from heapq import nlargest
from sys import getsizeof
from typing import Any, Final, Generic, TypeVar, cast
from zlib import crc32

from services.gateway.caching.eviction.expiry import ExpiryIndex
from services.gateway.caching.eviction.ghost_log import GhostLog
from services.gateway.caching.eviction.ghosts import GhostCaches
from services.gateway.caching.eviction.node import Node
from services.gateway.caching.eviction.policies import DEFAULT_POLICY, make_policy
from services.gateway.caching.memory import occupied

V = TypeVar("V")

LARGEST_SHARE: Final = 8
"""An entry may take an eighth of the bound: a larger one would cost too much of what is useful."""
REMEMBERED: Final = 8192
"""Invalidated names of which the time is remembered exactly."""
_STEP: Final = 500
"""Entries that are looked at in one step when all are: 1 ms if all of them go."""


class _Tag:
    """What the index knows of one tag: most have one entry, which then needs no set (216 bytes)."""

    __slots__ = ("entries", "name", "sole")

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.sole: Entry[Any] | None = None
        self.entries: set[Entry[Any]] | None = None


class Entry(Node, Generic[V]):
    """What is stored of one key. `hits` counts its uses; the rest is the store's own."""

    __slots__ = ("deadline", "expires_at_ns", "hits", "key", "tags", "value", "version")

    def __init__(self, key: bytes, value: V, size: int, expires_at_ns: int, version: int) -> None:
        super().__init__(crc32(key), size)
        self.key = key
        self.value = value
        self.expires_at_ns = expires_at_ns
        self.version = version
        self.deadline = 0
        self.hits = 0
        self.tags: tuple[_Tag, ...] = ()

    @property
    def tag_names(self) -> tuple[bytes, ...]:
        """The names of its tags."""
        return tuple(tag.name for tag in self.tags)


@dataclass(slots=True)
class Statistics:
    """Counts since the store was made. A miss is a `get` that found nothing; `stale_fills` were refused by `put`."""

    hits: int = 0
    misses: int = 0
    stored: int = 0
    evicted: int = 0
    expired: int = 0
    invalidated: int = 0
    stale_fills: int = 0
    too_large: int = 0


_DICT_SLOT: Final = 48
"""Of the expiry index, which is many dictionaries: what one place in one costs on average."""
_INT_BYTES: Final = occupied(1 << 40)
_POINTER: Final = 8
# An entry, the tuple of its tags, its integers (size, fingerprint, deadline, expiry) and its place in the expiry index.
_PER_ENTRY: Final = occupied(Entry(b"", None, 0, 0, 0)) + occupied((None,)) + 4 * _INT_BYTES + _DICT_SLOT
_PER_TAG: Final = occupied(_Tag(b""))
_PER_INVALIDATION: Final = 2 * _INT_BYTES


class Store(Generic[V]):
    """Entries by key.

    **A fill that lost a race is refused.** Whoever fetches calls `begin` before it sends its request, and hands the
    epoch to `put`. An invalidation is an epoch of its own; a fill that began before the last one of its key or
    of any of its tags may show what was there before it, and is not stored. Of older invalidations than the last
    8,192 names only the latest epoch is known: fills that began before it are all refused, which costs a miss.

    **Bytes.** The bound holds for everything: keys, values (as large as the caller says), entries, indexes, the
    policy's own memory, ghost caches, and the memory of invalidations.

    **Expired entries** count as absent at once, and are dropped before anything is evicted.
    """

    def __init__(self, bound_bytes: int, policy: str = DEFAULT_POLICY, remembered: int = REMEMBERED) -> None:
        self._bound = bound_bytes
        self._ghosts = GhostCaches(bound_bytes)
        self._policy = make_policy(policy, bound_bytes, self._ghosts)
        self._entries: dict[bytes, Entry[V]] = {}
        self._tags: dict[bytes, _Tag] = {}
        self._expiry: ExpiryIndex[Entry[V]] = ExpiryIndex()
        self._entry_bytes = 0
        self._tag_bytes = 0
        self._epoch = 0
        self._remembered = remembered
        self._invalidated: OrderedDict[bytes, int] = OrderedDict()  # a tag's or a key's last invalidation
        self._invalidated_bytes = 0
        self._forgotten = 0  # nothing is known any more of single invalidations up to this epoch
        self._purged = 0  # the last epoch in which names were not told
        self.statistics = Statistics()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def policy(self) -> str:
        """The name of the eviction policy."""
        return self._policy.name

    @property
    def used_bytes(self) -> int:
        """All that the store occupies."""
        return self._entry_bytes + self._tag_bytes + self._overhead_bytes()

    def begin(self) -> int:
        """The epoch now: for `put`, to be taken before the request is sent that fetches the value."""
        return self._epoch

    def get(self, key: bytes, now_ns: int) -> Entry[V] | None:
        """What is stored, counted as a use."""
        entry = self._entries.get(key)
        if entry is None:
            self.statistics.misses += 1
            return None
        if entry.expires_at_ns <= now_ns:
            self._expire(entry)
            self.statistics.misses += 1
            return None
        self.statistics.hits += 1
        entry.hits += 1
        self._policy.hit(entry)
        if entry.fingerprint < self._ghosts.threshold:
            self._ghosts.request(entry.fingerprint, entry.size, entry.version, entry.expires_at_ns, now_ns)
        return entry

    def peek(self, key: bytes, now_ns: int) -> Entry[V] | None:
        """What `get` would find. Counts and changes nothing."""
        entry = self._entries.get(key)
        return entry if entry is not None and entry.expires_at_ns > now_ns else None

    def put(
        self,
        key: bytes,
        value: V,
        size: int,
        *,
        began: int,
        now_ns: int,
        expires_at_ns: int,
        tags: Iterable[bytes] = (),
    ) -> Entry[V] | None:
        """Store `value` instead of whatever was there, and with its standing at the policy; None when it is refused.

        A stale fill leaves what is there: that is newer. One that is too large, or expired already, leaves nothing.
        `size` is what the value occupies in memory (`memory.occupied` of its parts). From `expires_at_ns` on it is of
        no use whatsoever: an answer that may be served stale or validated lives on after it is no longer fresh.
        """
        names = frozenset(tags)
        version = self._version(key, names)
        if version > began or self._forgotten > began:
            self.statistics.stale_fills += 1
            return None
        weight = size + occupied(key) + _PER_ENTRY + _POINTER * len(names)
        previous = self._entries.get(key)
        too_large = weight > self._bound // LARGEST_SHARE
        if too_large or expires_at_ns <= now_ns:
            self.statistics.too_large += too_large
            if previous is not None:
                self._drop(previous)
            return None
        entry = Entry(key, value, weight, expires_at_ns, version)
        entry.tags = tuple([self._tagged(name, entry) for name in names])
        # With the tags' bytes, and before the policy could choose the new one.
        self._make_room(weight if previous is None else weight - previous.size, now_ns)
        self._take_place(entry, now_ns)
        self.statistics.stored += 1
        if entry.fingerprint < self._ghosts.threshold:
            if previous is None:
                self._ghosts.request(entry.fingerprint, weight, version, expires_at_ns, now_ns)
            else:
                self._ghosts.renew(entry.fingerprint, version, expires_at_ns)
        return entry

    def remove(self, key: bytes) -> bool:
        """Invalidate one key; whether it was there."""
        self._epoch += 1
        self._remember(key)
        return self._invalidate(self._entries.get(key))

    def remove_tagged(self, tags: Iterable[bytes]) -> int:
        """Invalidate all entries that carry any of the tags; how many. O(those entries)."""
        self._epoch += 1
        count = 0
        for name in tags:
            self._remember(name)
            tag = self._tags.get(name)
            if tag is not None:
                count += sum(map(self._invalidate, [tag.sole] if tag.entries is None else list(tag.entries)))
        return count

    def removing(self, wanted: Callable[[bytes], bool]) -> Iterator[int]:
        """Invalidate all keys that are `wanted`, and whatever is being fetched, step by step; how many at each step.

        O(all entries): 0.2 µs for each that stays, and 2 µs for each that goes. What is stored between two steps stays.
        """
        self._epoch += 1
        self._purged = self._forgotten = self._epoch
        self._invalidated.clear()
        self._invalidated_bytes = 0
        entries = list(self._entries.values())
        for first in range(0, len(entries), _STEP):
            yield sum(
                self._invalidate(entry)
                for entry in entries[first : first + _STEP]
                if wanted(entry.key) and self._entries.get(entry.key) is entry
            )

    def clear(self) -> int:
        """Invalidate everything; how many entries that were."""
        return sum(self.removing(lambda key: True))

    def sweep(self, now_ns: int, most: int = 1000) -> int:
        """Drop what has expired, at most so many (some 2 µs each); how many. For a timer: `put` does it as well."""
        count = 0
        while count < most and (entry := self._expiry.pop_due(now_ns)) is not None:
            entry.deadline = 0
            self._expire(entry)
            count += 1
        return count

    def change_policy(self, name: str) -> None:
        """Evict by another policy from now on; nothing is dropped. O(entries). Raises `ValueError`."""
        policy = make_policy(name, self._bound, self._ghosts)
        policy.adopt(list(self._policy.nodes()))
        self._policy = policy

    def change_bound(self, bound_bytes: int, now_ns: int) -> None:
        """Hold so many bytes from now on. The ghost caches begin anew."""
        self._bound = bound_bytes
        self._policy.resize(bound_bytes)
        self._ghosts.resize(bound_bytes)
        self._make_room(0, now_ns)

    def top(self, count: int = 20) -> list[Entry[V]]:
        """The most used of what is there. O(entries)."""
        return nlargest(count, self._entries.values(), key=lambda entry: entry.hits)

    def describe(self) -> dict[str, Any]:
        """For the admin API: sizes in bytes and counts."""
        return {
            "policy": self._policy.name,
            "bound_bytes": self._bound,
            "used_bytes": self.used_bytes,
            "entry_bytes": self._entry_bytes,
            "tag_bytes": self._tag_bytes,
            "entries": len(self._entries),
            "tags": len(self._tags),
            "statistics": asdict(self.statistics),
        }

    def ghost_log(self) -> GhostLog:
        """For the admin API: what the ghost caches saw. What follows from it takes some 10 to 40 ms elsewhere."""
        return self._ghosts.log()

    def _version(self, key: bytes, tags: Iterable[bytes]) -> int:
        """The last epoch in which the key or one of the tags was invalidated, as far as is known."""
        invalidated = self._invalidated
        return max(self._purged, invalidated.get(key, 0), *[invalidated.get(tag, 0) for tag in tags])

    def _remember(self, name: bytes) -> None:
        """That a tag or a key was invalidated now. Should a tag and a key be alike, a fill may be refused in vain."""
        invalidated = self._invalidated
        if invalidated.pop(name, None) is None:
            self._invalidated_bytes += occupied(name) + _PER_INVALIDATION
        invalidated[name] = self._epoch
        if len(invalidated) > self._remembered:
            oldest, self._forgotten = invalidated.popitem(last=False)
            self._invalidated_bytes -= occupied(oldest) + _PER_INVALIDATION

    def _invalidate(self, entry: Entry[V] | None) -> bool:
        if entry is None:
            return False
        self.statistics.invalidated += 1
        self._drop(entry)
        return True

    def _expire(self, entry: Entry[V]) -> None:
        self.statistics.expired += 1
        self._drop(entry)

    def _make_room(self, needed: int, now_ns: int) -> None:
        """Drop what has expired, then what the policy chooses, until `needed` bytes fit."""
        room = self._bound - needed - self._overhead_bytes()
        while self._entries and self._entry_bytes + self._tag_bytes > room:
            if not self.sweep(now_ns, 1):
                self.statistics.evicted += 1
                self._unlink(cast(Entry[V], self._policy.evict()))

    def _overhead_bytes(self) -> int:
        """What is not counted per entry or tag. The large tables tell their size themselves, in O(1)."""
        tables = getsizeof(self._entries) + getsizeof(self._tags) + getsizeof(self._invalidated)
        return tables + self._invalidated_bytes + self._policy.memory_bytes() + self._ghosts.memory_bytes

    def _take_place(self, entry: Entry[V], now_ns: int) -> None:
        """Instead of what is there of the key, which may have had to leave by now."""
        previous = self._entries.get(entry.key)
        if previous is None:
            self._policy.add(entry)
        else:
            self._policy.replace(previous, entry)
            entry.hits = previous.hits
            self._unlink(previous)
        self._entries[entry.key] = entry
        self._entry_bytes += entry.size
        entry.deadline = self._expiry.add(entry, entry.expires_at_ns, now_ns)

    def _drop(self, entry: Entry[V]) -> None:
        """Out of the policy and everything else."""
        self._policy.remove(entry)
        self._unlink(entry)

    def _unlink(self, entry: Entry[V]) -> None:
        """Out of everything but the policy."""
        del self._entries[entry.key]
        self._entry_bytes -= entry.size
        if entry.deadline:
            self._expiry.discard(entry, entry.deadline)
        # A tag knows its entry: as a pair they would stay until the collector comes.
        tags, entry.tags = entry.tags, ()
        for tag in tags:
            self._untag(tag, entry)

    def _tagged(self, name: bytes, entry: Entry[V]) -> _Tag:
        tag = self._tags.get(name)
        if tag is None:
            tag = self._tags[name] = _Tag(name)
            tag.sole = entry
            self._tag_bytes += _PER_TAG + occupied(name)
        elif tag.entries is None:
            tag.entries = {entry} if tag.sole is None else {tag.sole, entry}
            tag.sole = None
            self._tag_bytes += occupied(tag.entries)
        else:
            before = occupied(tag.entries)
            tag.entries.add(entry)
            self._tag_bytes += occupied(tag.entries) - before
        return tag

    def _untag(self, tag: _Tag, entry: Entry[V]) -> None:
        if tag.entries is not None:
            tag.entries.discard(entry)  # a set does not shrink: its bytes stay until it is gone
            if tag.entries:
                return
            self._tag_bytes -= occupied(tag.entries)
        del self._tags[tag.name]
        self._tag_bytes -= _PER_TAG + occupied(tag.name)
