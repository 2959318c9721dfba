"""Ghost caches: what every policy would have scored on this very traffic, from a sample of the keys. Pure.

Spatial sampling as in SHARDS (Waldspurger et al., "Efficient MRC Construction with SHARDS", FAST '15, and "Cache
Modeling and Optimization using Miniature Simulations", ATC '17): whoever sees a share of the keys, chosen by their
hash, with a cache that is smaller by the same share, sees nearly the same hit ratio.
"""

from array import array
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from services.gateway.caching.eviction.ghost_log import RENEWED, GhostLog
from services.gateway.caching.eviction.lfu import Lfu
from services.gateway.caching.eviction.lru import Lru
from services.gateway.caching.eviction.node import Node
from services.gateway.caching.eviction.policy import Policy
from services.gateway.caching.eviction.s3fifo import S3Fifo, WideS3Fifo
from services.gateway.caching.eviction.sieve import Sieve

CANDIDATES: Final[Mapping[str, Callable[[int], Policy]]] = MappingProxyType(
    {policy.name: policy for policy in (WideS3Fifo, S3Fifo, Sieve, Lru, Lfu)}
)
"""What is simulated, and what `adaptive` chooses from; the first is where it starts."""
WINDOW: Final = 512
"""Sampled requests after which the scores are closed."""
DECAY: Final = 0.9375
"""What a score keeps per window: the last sixteen windows or so are what counts."""
MARGIN: Final = 0.02
"""So much more of the requests another must hit to take over: what is below it may be the sample's chance."""
MOST_NODES: Final = 512
"""A ghost cache with more of them samples half as many keys from then on."""
LOG: Final = 16 * WINDOW
"""Sampled requests that are kept for the optimum; the older half only warms its cache."""
FINGERPRINTS: Final = 1 << 32
_FIRST_SHARE: Final = 20
_NODE_BYTES: Final = 320
_LOG_BYTES: Final = 17
_WEIGH_EVERY: Final = 64


class _GhostNode(Node):
    __slots__ = ("expires_at_ns", "version")

    def __init__(self, fingerprint: int, size: int, version: int, expires_at_ns: int) -> None:
        super().__init__(fingerprint, size)
        self.version = version
        self.expires_at_ns = expires_at_ns


class _Ghost:
    """One policy with the nodes that it would hold."""

    __slots__ = ("capacity", "held", "hits", "nodes", "policy", "renewed", "score")

    def __init__(self, policy: Policy, capacity: int) -> None:
        self.policy = policy
        self.capacity = capacity
        self.nodes: dict[int, _GhostNode] = {}
        self.held = 0
        self.hits = 0  # in this window
        self.score = 0.0  # of the windows before
        self.renewed = False

    def request(self, fingerprint: int, size: int, version: int, expires_at_ns: int, now_ns: int) -> bool:
        """Whether it would have been a hit; `renewed` tells if only for what it held being out of date."""
        node = self.nodes.get(fingerprint)
        self.renewed = False
        if node is not None:
            if node.version >= version and node.expires_at_ns > now_ns:
                self.policy.hit(node)
                self.hits += 1
                return True
            self.renewed = True
            self._drop(node)
        if size <= self.capacity:
            while self.held + size > self.capacity:
                victim = self.policy.evict()
                del self.nodes[victim.fingerprint]
                self.held -= victim.size
            node = self.nodes[fingerprint] = _GhostNode(fingerprint, size, version, expires_at_ns)
            self.held += size
            self.policy.add(node)
        return False

    def renew(self, fingerprint: int, version: int, expires_at_ns: int) -> None:
        """What is held of it is fresh again."""
        node = self.nodes.get(fingerprint)
        if node is not None:
            node.version = version
            node.expires_at_ns = expires_at_ns

    def shrink(self, capacity: int, threshold: int) -> None:
        """Hold only fingerprints below `threshold`, and `capacity` bytes."""
        for node in [node for node in self.nodes.values() if node.fingerprint >= threshold]:
            self.policy.remove(node)
            self._forget(node)
        self.capacity = capacity
        self.policy.resize(capacity)
        while self.held > capacity:
            self._forget(self.policy.evict())

    def _drop(self, node: Node) -> None:
        self.policy.remove(node)
        self._forget(node)

    def _forget(self, node: Node) -> None:
        del self.nodes[node.fingerprint]
        self.held -= node.size


class GhostCaches:
    """All candidates side by side over the sampled requests; `favourite` is the name of the one to be.

    Begins with a twentieth of the keys, and halves it as long as a ghost cache holds more than 512 nodes. A caller
    compares a fingerprint with `threshold` before it calls: the others cost nothing else. `memory_bytes` is about what
    all of it occupies.
    """

    def __init__(self, capacity: int) -> None:
        self._log_objects = array("Q")
        self._log_sizes = array("Q")
        self._log_hits = bytearray()
        self._log_next = 0
        self.memory_bytes = 0
        self.resize(capacity)

    def resize(self, capacity: int) -> None:
        """Begin anew for a cache of `capacity` bytes."""
        self._capacity = capacity
        self.threshold = FINGERPRINTS // _FIRST_SHARE
        scaled = self._scaled()
        self._ghosts = [(_Ghost(make(scaled), scaled), 1 << n) for n, make in enumerate(CANDIDATES.values())]
        self._names = list(CANDIDATES)
        self._favoured = 0
        self.favourite = self._names[0]
        self._requests = 0
        self._total = 0.0
        self._start_log()
        self._weigh()

    def request(self, fingerprint: int, size: int, version: int, expires_at_ns: int, now_ns: int) -> None:
        """A request of a sampled key, whether the cache had it or got it now. Times are monotonic nanoseconds.

        `version` rises whenever what was stored of the key before must not be used any more.
        """
        hits = 0
        for ghost, bit in self._ghosts:
            if ghost.request(fingerprint, size, version, expires_at_ns, now_ns):
                hits |= bit
            elif ghost.renewed:
                hits |= RENEWED
        if hits >> self._favoured & 1:
            hits |= 1 << len(self._ghosts)
        at = self._log_next
        self._log_objects[at] = fingerprint | (version & 0xFFFFFFFF) << 32
        self._log_sizes[at] = size
        self._log_hits[at] = hits
        self._log_next = (at + 1) % LOG
        self._requests += 1
        if self._requests % _WEIGH_EVERY == 0:
            self._weigh()
            if self._requests % WINDOW == 0:
                self._close_window()

    def renew(self, fingerprint: int, version: int, expires_at_ns: int) -> None:
        """What was stored of a sampled key was replaced by something newer: no request, that was seen before."""
        for ghost, _ in self._ghosts:
            ghost.renew(fingerprint, version, expires_at_ns)

    def log(self) -> GhostLog:
        """A copy of what was seen last, and what is known of it: some 0.1 ms."""
        return GhostLog(
            names=tuple(self._names),
            share=self.threshold / FINGERPRINTS,
            capacity=self._scaled(),
            nodes=max(len(ghost.nodes) for ghost, _ in self._ghosts),
            favourite=self.favourite,
            first=self._log_next,
            objects=self._log_objects[:],
            sizes=self._log_sizes[:],
            hits=bytes(self._log_hits),
        )

    def describe(self) -> dict[str, Any]:
        """See `GhostLog.describe`."""
        return self.log().describe()

    def _weigh(self) -> None:
        nodes = sum(_NODE_BYTES * len(ghost.nodes) + ghost.policy.memory_bytes() for ghost, _ in self._ghosts)
        self.memory_bytes = nodes + _LOG_BYTES * LOG

    def _scaled(self) -> int:
        return max(1, self._capacity * self.threshold // FINGERPRINTS)

    def _start_log(self) -> None:
        self._log_objects = array("Q", bytes(8 * LOG))
        self._log_sizes = array("Q", bytes(8 * LOG))
        self._log_hits = bytearray(LOG)
        self._log_next = 0

    def _close_window(self) -> None:
        self._total = DECAY * self._total + WINDOW
        for ghost, _ in self._ghosts:
            ghost.score = DECAY * ghost.score + ghost.hits
            ghost.hits = 0
        scores = [ghost.score for ghost, _ in self._ghosts]
        self._favoured = favoured(self._favoured, scores, self._total)
        self.favourite = self._names[self._favoured]
        if max(len(ghost.nodes) for ghost, _ in self._ghosts) > MOST_NODES:
            self._sample_less()

    def _sample_less(self) -> None:
        self.threshold //= 2
        scaled = self._scaled()
        for ghost, _ in self._ghosts:
            ghost.shrink(scaled, self.threshold)
        self._start_log()


def favoured(acting: int, scores: list[float], total: float) -> int:
    """Who acts from now on: `acting` stays unless another has hit 2 % of the requests more.

    Before two windows have passed nobody takes over: they fill the ghost caches.
    """
    best = max(range(len(scores)), key=scores.__getitem__)
    if total > 2 * WINDOW and scores[best] - scores[acting] > MARGIN * total:
        return best
    return acting
