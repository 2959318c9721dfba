"""Whichever policy the ghost caches favour. Pure."""

from collections.abc import Iterable, Iterator

from services.gateway.caching.eviction.ghosts import CANDIDATES, GhostCaches
from services.gateway.caching.eviction.node import Node


class Adaptive:
    """Begins with the wide S3-FIFO and changes to another candidate when that is ahead by two points of hit ratio.

    Looks at what the ghost caches favour when something must leave: before, no policy matters. A change visits all
    nodes, 0.2 to 0.4 us each, and is worth the stay of a few thousand sampled requests at least.
    """

    name = "adaptive"

    def __init__(self, capacity: int, ghosts: GhostCaches) -> None:
        self._capacity = capacity
        self._ghosts = ghosts
        self._acting = CANDIDATES[ghosts.favourite](capacity)

    @property
    def acting(self) -> str:
        """The name of the policy that decides now."""
        return self._acting.name

    def add(self, node: Node) -> None:
        """As the acting policy does."""
        self._acting.add(node)

    def hit(self, node: Node) -> None:
        """As the acting policy does."""
        self._acting.hit(node)

    def remove(self, node: Node) -> None:
        """As the acting policy does."""
        self._acting.remove(node)

    def replace(self, old: Node, new: Node) -> None:
        """As the acting policy does."""
        self._acting.replace(old, new)

    def evict(self) -> Node:
        """As the favourite does."""
        acting = self._acting
        if acting.name != self._ghosts.favourite:
            self._acting = CANDIDATES[self._ghosts.favourite](self._capacity)
            self._acting.adopt(list(acting.nodes()))
        return self._acting.evict()

    def adopt(self, nodes: Iterable[Node]) -> None:
        """As the acting policy does."""
        self._acting.adopt(nodes)

    def nodes(self) -> Iterator[Node]:
        """As the acting policy does."""
        return self._acting.nodes()

    def resize(self, capacity: int) -> None:
        """As the acting policy does."""
        self._capacity = capacity
        self._acting.resize(capacity)

    def memory_bytes(self) -> int:
        """The acting policy's; the ghost caches are their owner's."""
        return self._acting.memory_bytes()
