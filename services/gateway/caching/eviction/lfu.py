"""Least frequently used leaves first, with ageing. Pure."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from sys import getsizeof

from services.gateway.caching.eviction.node import Node


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
        self._by_priority: dict[int, OrderedDict[Node, None]] = {}
        self._priority: dict[Node, int] = {}

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
        node = next(iter(by_priority[lowest]))
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
        """The dictionaries: counted for the two large ones, estimated for those of the priorities."""
        each = 150 * len(self._priority) + 400 * len(self._by_priority)
        return getsizeof(self._by_priority) + getsizeof(self._priority) + each

    def _place(self, node: Node, priority: int) -> None:
        self._priority[node] = priority
        nodes = self._by_priority.get(priority)
        if nodes is None:
            nodes = self._by_priority[priority] = OrderedDict()
        nodes[node] = None

    def _take(self, node: Node) -> None:
        priority = self._priority.pop(node)
        nodes = self._by_priority[priority]
        del nodes[node]
        if not nodes:
            del self._by_priority[priority]
