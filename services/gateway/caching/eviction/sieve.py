"""SIEVE: a queue and a hand. Pure.

Zhang et al., "SIEVE is Simpler than LRU: an Efficient Turn-Key Eviction Algorithm for Web Caches", NSDI '24.
"""

from collections.abc import Iterable, Iterator

from services.gateway.caching.eviction.node import Node, Queue


class Sieve:
    """A hit sets a flag. The hand goes from the oldest to the newest, clears flags and evicts what has none; what
    survives stays where it is, so that the new are sifted before the proven. No resistance to scans.
    """

    name = "sieve"

    def __init__(self, capacity: int) -> None:
        self._queue = Queue()
        self._hand = self._queue.end

    def add(self, node: Node) -> None:
        """The newest, not used since."""
        node.mark = 0
        self._queue.append(node)

    def hit(self, node: Node) -> None:
        """Set the flag."""
        node.mark = 1

    def remove(self, node: Node) -> None:
        """Forget it."""
        if node is self._hand:
            self._hand = node.newer
        self._queue.remove(node)

    def replace(self, old: Node, new: Node) -> None:
        """In the same place, with the same flag."""
        new.mark = old.mark
        if old is self._hand:
            self._hand = new
        old.queue.replace(old, new)

    def evict(self) -> Node:
        """The next one without the flag. Clearing a flag is paid by the hit that set it: amortised O(1)."""
        end = self._queue.end
        node = self._hand
        if node is end:
            node = end.newer
            if node is end:
                raise IndexError("nothing to evict")
        while node.mark:
            node.mark = 0
            node = node.newer
            if node is end:
                node = end.newer
        self._hand = node.newer
        self._queue.remove(node)
        return node

    def adopt(self, nodes: Iterable[Node]) -> None:
        """In the order that they come in."""
        for node in nodes:
            self.add(node)

    def nodes(self) -> Iterator[Node]:
        """From the hand onwards, and then those behind it."""
        end = self._queue.end
        node = hand = self._hand
        while node is not end:
            yield node
            node = node.newer
        node = end.newer
        while node is not hand and node is not end:
            yield node
            node = node.newer

    def resize(self, capacity: int) -> None:
        """Nothing depends on it."""

    def memory_bytes(self) -> int:
        """The links are the nodes'."""
        return 0
