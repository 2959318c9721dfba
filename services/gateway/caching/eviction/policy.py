"""What every eviction policy must be able to do. Pure."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from services.gateway.caching.eviction.node import Node


class Policy(Protocol):
    """Chooses what leaves a full cache. Every method but `adopt`, `nodes` and `resize` is O(1), amortised.

    The cache holds the entries and counts their bytes; a policy holds the same nodes in its own order. A capacity is
    in bytes, and only sets proportions: whoever owns the cache decides when to evict.
    """

    @property
    def name(self) -> str:
        """As the configuration calls it."""
        ...

    def add(self, node: Node) -> None:
        """A new node is in the cache."""
        ...

    def hit(self, node: Node) -> None:
        """A node that is in the cache was used."""
        ...

    def remove(self, node: Node) -> None:
        """A node left the cache for reasons of its own: it expired, or was invalidated."""
        ...

    def replace(self, old: Node, new: Node) -> None:
        """`new`, which may have another size, is in the cache instead of `old`, and inherits what `old` had earned."""
        ...

    def evict(self) -> Node:
        """Choose what leaves, and forget it. Raises `IndexError` when nothing is there."""
        ...

    def adopt(self, nodes: Iterable[Node]) -> None:
        """Take over what another policy held, next to leave first. This policy is empty as yet."""
        ...

    def nodes(self) -> Iterator[Node]:
        """All nodes, next to leave first, as far as that can be told. Changes nothing."""
        ...

    def resize(self, capacity: int) -> None:
        """The cache may hold `capacity` bytes from now on."""
        ...

    def memory_bytes(self) -> int:
        """What the policy itself holds in memory besides the nodes."""
        ...
