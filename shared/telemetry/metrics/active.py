"""How many requests are under way, integrated over time, and Little's law as a check of the measurement. Pure.

Little (1961): the mean number of requests in a system is their rate times their mean time in it, L = lambda W,
whatever the distributions. Both sides are measured here by themselves: L by counting who comes and who goes, W by
what each request says it took. A request that is never ended, ended twice or timed wrongly shows as a ratio off 1.
"""

from collections import deque
from typing import Final

WINDOW_NS: Final = 60_000_000_000


class ActiveRequests:
    """Readings are nanoseconds of any monotonic clock; they need not come in order.

    The integral of the number under way is exact, not sampled: the ends minus the beginnings, and for those that are
    not over `now` in place of the end. In integers it costs two additions per event.
    """

    __slots__ = ("_began_ns", "_ended_ns", "count")

    def __init__(self) -> None:
        self.count = 0
        self._began_ns = 0
        self._ended_ns = 0

    def began(self, at_ns: int) -> None:
        """A request's first bytes came at this instant."""
        self.count += 1
        self._began_ns += at_ns

    def ended(self, count: int, sum_of_ends_ns: int) -> None:
        """So many requests are over; the instants of their ends, added up."""
        self.count -= count
        self._ended_ns += sum_of_ends_ns

    def area_ns(self, now_ns: int) -> int:
        """The number of requests under way, integrated up to now: divided by a time it is their mean number."""
        return self._ended_ns - self._began_ns + self.count * now_ns


class LittlesLaw:
    """Mean number under way / (rate x mean duration), over the last minute.

    With the window's length T both sides are divided by: L = area / T, lambda W = (n / T) (spent / n) = spent / T.
    """

    def __init__(self, window_ns: int = WINDOW_NS) -> None:
        self._window_ns = window_ns
        self._marks: deque[tuple[int, int, int]] = deque()

    def mark(self, now_ns: int, area_ns: int, spent_ns: int) -> None:
        """Called about once a second, with `ActiveRequests.area_ns` and the sum of all durations so far."""
        marks = self._marks
        marks.append((now_ns, area_ns, spent_ns))
        while len(marks) > 2 and marks[1][0] <= now_ns - self._window_ns:
            marks.popleft()

    def ratio(self) -> tuple[float, float] | None:
        """The ratio and its weight among those of other processes; None without a request that ended."""
        if len(self._marks) < 2:
            return None
        (_, area_then, spent_then), (_, area_now, spent_now) = self._marks[0], self._marks[-1]
        spent_ns = spent_now - spent_then
        return ((area_now - area_then) / spent_ns, float(spent_ns)) if spent_ns else None
