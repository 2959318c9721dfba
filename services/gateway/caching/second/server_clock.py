"""When something happened here that happened by a server's clock. Pure.

No two machines' clocks agree, and a server's wall clock may be set. What is needed is one direction only: an instant
of our monotonic clock that is certainly not after the instant at which the server's clock showed a time.
"""

from typing import Final

_SLACK_NS: Final = 1_000_000
"""For a clock that is slewed (at most 500 ppm) between two observations, a second apart."""


class ServerClock:
    """What one connection has seen of its server's clock.

    Each answer that tells the time bounds how far that clock is ahead of ours: it was read between `sent_ns` and
    `received_ns`. The largest bound of late is what counts. It holds for times from the first observation on; and
    should the clock be set back, for those from where it was.

    A clock that is set forward and back again within a second is not noticed.
    """

    def __init__(self, window_ns: int) -> None:
        """A bound is forgotten after one to two windows: clocks drift apart by seconds a day."""
        self._window_ns = window_ns
        self._turned_ns = 0
        self._ahead_ns: list[int] = []  # the largest bound of this window, and of the one before it
        self._latest = (0, 0, 0)
        self._since_us = 0

    def observe(self, sent_ns: int, received_ns: int, server_us: int) -> None:
        """The server's clock showed this, in microseconds, some time between the two instants."""
        ahead_ns = server_us * 1000 - sent_ns
        if not self._ahead_ns:
            self._turned_ns = sent_ns
            self._ahead_ns = [ahead_ns]
            self._since_us = server_us
        else:
            self._look_for_step(sent_ns, received_ns, server_us)
            self._widen(sent_ns, ahead_ns)
        self._latest = sent_ns, received_ns, server_us

    def _look_for_step(self, sent_ns: int, received_ns: int, server_us: int) -> None:
        latest_sent_ns, latest_received_ns, latest_us = self._latest
        at_least_us = latest_us + (sent_ns - latest_received_ns - _SLACK_NS) // 1000
        if server_us < at_least_us:
            at_most_us = latest_us + (received_ns - latest_sent_ns + _SLACK_NS) // 1000
            self._since_us = max(self._since_us, at_most_us)

    def _widen(self, sent_ns: int, ahead_ns: int) -> None:
        if sent_ns - self._turned_ns > self._window_ns:
            self._turned_ns = sent_ns
            self._ahead_ns = [ahead_ns, self._ahead_ns[0]]
        else:
            self._ahead_ns[0] = max(self._ahead_ns[0], ahead_ns)

    def instant(self, server_us: int) -> int | None:
        """An instant of ours, in nanoseconds, not after the one at which the server's clock showed this.

        None where that cannot be told.
        """
        if not self._ahead_ns or server_us < self._since_us:
            return None
        return server_us * 1000 - max(self._ahead_ns) - _SLACK_NS
