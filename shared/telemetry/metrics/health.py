"""Two figures on a process itself: how late its event loop runs what is due, and how long it was ready. Pure."""

from collections import deque
from typing import Final

_SECOND_NS: Final = 1_000_000_000


class LoopLag:
    """How late what was due ran: the longest of the last second. Readings in ns of a monotonic clock."""

    def __init__(self) -> None:
        self._late: deque[tuple[int, int]] = deque()

    def saw(self, now_ns: int, late_ns: int) -> None:
        """Something due was run at `now_ns`, so much too late."""
        late = self._late
        while late and late[-1][1] <= late_ns:  # what is older and shorter can never be the longest any more
            late.pop()
        late.append((now_ns, late_ns))
        self._forget(now_ns)

    def longest_ns(self, now_ns: int) -> int:
        """Of the last second; never negative."""
        self._forget(now_ns)
        return max(self._late[0][1], 0) if self._late else 0

    def _forget(self, now_ns: int) -> None:
        while self._late and self._late[0][0] <= now_ns - _SECOND_NS:
            self._late.popleft()


class ServingTime:
    """The time in which a process was ready, added up. Readings in ns of a monotonic clock.

    Between two findings the first one holds. Before the first, nothing was found: it does not count.
    """

    def __init__(self) -> None:
        self._served_ns = 0
        self._ready_since_ns: int | None = None

    def found(self, ready: bool, now_ns: int) -> None:
        """It was looked whether the process can serve."""
        if self._ready_since_ns is not None:
            self._served_ns += now_ns - self._ready_since_ns
        self._ready_since_ns = now_ns if ready else None

    def served_ns(self, now_ns: int) -> int:
        """Up to now."""
        since = self._ready_since_ns
        return self._served_ns + (now_ns - since if since is not None else 0)
