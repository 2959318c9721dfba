"""What a policy orders: a node with a size and a mark; and the queue that most policies keep nodes in. Pure."""

from collections.abc import Iterator


class Node:
    """One thing that is cached, as a policy sees it.

    `fingerprint` stands for the key: 32 bits, the same in every process (CRC-32 of the key). Two keys that share one
    are confused only where that does no harm: by samples, and in lists of what was evicted lately.
    `size` is in bytes, at least 1. Everything else belongs to the policy that holds the node.
    """

    __slots__ = ("fingerprint", "mark", "newer", "older", "queue", "size")

    older: "Node"
    newer: "Node"
    queue: "Queue"

    def __init__(self, fingerprint: int, size: int) -> None:
        self.fingerprint = fingerprint
        self.size = size
        self.mark = 0


class Queue:
    """First in, first out, with removal from the middle: every operation is O(1). `bytes` is what its nodes weigh.

    The links are the nodes' own (16 bytes each, where an OrderedDict takes some 130), in a ring through `end`:
    `end.newer` is the oldest node, `end.older` the newest. Nodes keep their links when they leave.
    """

    __slots__ = ("bytes", "end")

    def __init__(self) -> None:
        self.bytes = 0
        self.end = end = Node(0, 0)
        end.older = end.newer = end

    def append(self, node: Node) -> None:
        """`node`, which is in no queue, becomes the newest."""
        end = self.end
        newest = end.older
        node.older = newest
        node.newer = end
        newest.newer = end.older = node
        node.queue = self
        self.bytes += node.size

    def remove(self, node: Node) -> None:
        """Take `node` out, which is in this queue."""
        older = node.older
        newer = node.newer
        older.newer = newer
        newer.older = older
        self.bytes -= node.size

    def replace(self, old: Node, new: Node) -> None:
        """`new` takes the place of `old`, which is in this queue."""
        older = old.older
        newer = old.newer
        new.older = older
        new.newer = newer
        older.newer = newer.older = new
        new.queue = self
        self.bytes += new.size - old.size

    def pop_oldest(self) -> Node:
        """Take the oldest out. Raises `IndexError` when there is none."""
        node = self.end.newer
        if node is self.end:
            raise IndexError("the queue is empty")
        self.remove(node)
        return node

    def unlink(self) -> None:
        """Of an empty queue that is thrown away: open the ring, so that no garbage collection is needed."""
        del self.end.older, self.end.newer

    def __iter__(self) -> Iterator[Node]:
        """From the oldest to the newest."""
        end = self.end
        node = end.newer
        while node is not end:
            yield node
            node = node.newer
