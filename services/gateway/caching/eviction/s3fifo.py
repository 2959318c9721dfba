"""S3-FIFO: three static queues. Pure.

Yang et al., "FIFO queues are all you need for cache eviction", SOSP '23.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from sys import getsizeof
from typing import Final

from services.gateway.caching.eviction.node import Node, Queue

MOST_USES: Final = 3
"""Uses are counted up to here (two bits in the paper): a node that was popular once leaves after three rounds."""
_INT_BYTES: Final = 32


class S3Fifo:
    """The new pass through a small queue; only what is used there goes on to the main queue, which gives each node one
    more round per use. Keys that left the small queue unused are remembered, and go to the main queue when they return.

    A hit counts to three and moves nothing. `small_share` is the small queue's share of the capacity, `promote_at`
    the uses that lead from it to the main queue: a tenth and 2 are the paper's.
    """

    name = "s3fifo"

    def __init__(self, capacity: int, small_share: float = 0.1, promote_at: int = 2) -> None:
        self._small_share = small_share
        self._promote_at = promote_at
        self._small = Queue()
        self._main = Queue()
        # By fingerprint the size of what left the small queue unused.
        self._left: OrderedDict[int, int] = OrderedDict()
        self._left_bytes = 0
        self.resize(capacity)

    def add(self, node: Node) -> None:
        """Into the small queue, or the main one if it left the small one not long ago."""
        node.mark = 0
        size = self._left.pop(node.fingerprint, 0)
        if size:
            self._left_bytes -= size
            self._main.append(node)
        else:
            self._small.append(node)

    def hit(self, node: Node) -> None:
        """One more use."""
        if node.mark < MOST_USES:
            node.mark += 1

    def remove(self, node: Node) -> None:
        """Forget it."""
        node.queue.remove(node)

    def replace(self, old: Node, new: Node) -> None:
        """In the same place, as often used."""
        new.mark = old.mark
        old.queue.replace(old, new)

    def evict(self) -> Node:
        """From the small queue while it has its share, else from the main one. Each step but the last is paid by a
        use or by the way from one queue to the other: amortised O(1).
        """
        small = self._small
        main = self._main
        while True:
            if small.bytes >= self._small_capacity or not main.bytes:
                node = small.pop_oldest()
                if node.mark < self._promote_at:
                    self._remember(node)
                    return node
                node.mark = 0
            else:
                node = main.pop_oldest()
                if not node.mark:
                    return node
                node.mark -= 1
            main.append(node)

    def adopt(self, nodes: Iterable[Node]) -> None:
        """All into the main queue, in the order that they come in: in the small one most would have to leave before
        they could prove themselves. The new fill the small queue meanwhile.
        """
        for node in nodes:
            node.mark = 0
            self._main.append(node)

    def nodes(self) -> Iterator[Node]:
        """The small queue, then the main one, each from its oldest."""
        yield from self._small
        yield from self._main

    def resize(self, capacity: int) -> None:
        """The small queue's share, and as much to remember as the main queue holds."""
        self._small_capacity = max(1, int(capacity * self._small_share))
        self._left_capacity = capacity - self._small_capacity
        self._forget()

    def memory_bytes(self) -> int:
        """What is remembered of those that left: two integers each."""
        return getsizeof(self._left) + 2 * _INT_BYTES * len(self._left)

    def _remember(self, node: Node) -> None:
        # A fingerprint that is there already is another key's: one of the two is enough.
        self._left_bytes += node.size - self._left.pop(node.fingerprint, 0)
        self._left[node.fingerprint] = node.size
        self._forget()

    def _forget(self) -> None:
        while self._left_bytes > self._left_capacity:
            self._left_bytes -= self._left.popitem(last=False)[1]


class WideS3Fifo(S3Fifo):
    """A small queue twice as large, and one use is enough to go on: between S3-FIFO and LRU.

    Never far behind either on what was measured, which is why `adaptive` starts with it (docs/adr/0013).
    """

    name = "s3fifo_wide"

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity, small_share=0.2, promote_at=1)
