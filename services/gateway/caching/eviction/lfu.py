"""Least frequently used leaves first, with ageing. Pure."""

from collections.abc import Iterable, Iterator
from sys import getsizeof
from typing import Final, cast

from services.gateway.caching.eviction.node import Node, Queue


class _Equals(Queue):
    """Nodes of one priority."""

    __slots__ = ("priority",)

    def __init__(self, priority: int) -> None:
        super().__init__()
        self.priority = priority


_EQUALS_BYTES: Final = getsizeof(_Equals(0)) + getsizeof(Node(0, 0)) + 64


class Lfu:
    """Each node has a priority, its number of uses plus the age of the cache when it was last used; the lowest leaves,
    among equals the one that has had it for longest.

    The age is the priority of whatever was evicted last, so that what was popular once is overtaken by what is used
    now (Arlitt et al., "Evaluating Content Management Techniques for Web Proxy Caches", 2000: LFU with dynamic
    ageing). Unlike halving all counts from time to time it never has to visit all nodes. Without ageing
    the age stays 0: that is plain LFU, in which nothing new can grow beside what has been counted for long.
    """

    name = "lfu"

    def __init__(self, capacity: int, ageing: bool = True) -> None:
        self._ageing = ageing
        self._age = 0
        self._lowest = 1
        self._by_priority: dict[int, _Equals] = {}

    def add(self, node: Node) -> None:
        """Used once."""
        node.mark = 1
        priority = self._age + 1
        self._lowest = min(self._lowest, priority)
        self._place(node, priority)

    def hit(self, node: Node) -> None:
        """Used once more."""
        node.mark += 1
        self._take(node)
        self._place(node, self._age + node.mark)

    def remove(self, node: Node) -> None:
        """Forget it."""
        self._take(node)

    def replace(self, old: Node, new: Node) -> None:
        """As often used as `old`."""
        new.mark = old.mark
        old.queue.replace(old, new)

    def evict(self) -> Node:
        """The lowest priority. Looking for it passes priorities that uses have left behind: amortised O(1)."""
        by_priority = self._by_priority
        if not by_priority:
            raise IndexError("nothing to evict")
        lowest = self._lowest
        while lowest not in by_priority:
            lowest += 1
        self._lowest = lowest
        if self._ageing:
            self._age = lowest
        node = by_priority[lowest].end.newer
        self._take(node)
        return node

    def adopt(self, nodes: Iterable[Node]) -> None:
        """All used once, in the order that they come in."""
        for node in nodes:
            self.add(node)

    def nodes(self) -> Iterator[Node]:
        """From the lowest priority."""
        for priority in sorted(self._by_priority):
            yield from self._by_priority[priority]

    def resize(self, capacity: int) -> None:
        """Nothing depends on it."""

    def memory_bytes(self) -> int:
        """The queues, about."""
        return getsizeof(self._by_priority) + _EQUALS_BYTES * len(self._by_priority)

    def _place(self, node: Node, priority: int) -> None:
        equals = self._by_priority.get(priority)
        if equals is None:
            equals = self._by_priority[priority] = _Equals(priority)
        equals.append(node)

    def _take(self, node: Node) -> None:
        equals = cast(_Equals, node.queue)
        equals.remove(node)
        if not equals.bytes:
            del self._by_priority[equals.priority]
            equals.unlink()
