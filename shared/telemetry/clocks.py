"""Between the two clocks: durations are the monotonic one's, points in time are those plus an offset."""

from time import perf_counter_ns, time_ns
from typing import Final

_AT_ONCE_NS: Final = 20_000
_TRIES: Final = 3


def wall_offset_ns() -> int:
    """The wall clock minus the monotonic one, now.

    They are read one after the other, and on a busy machine others may run in between for milliseconds, by which a span
    would then stand beside the one it follows. Such a reading is taken again.
    """
    offset_ns = 0
    for _ in range(_TRIES):
        before_ns = perf_counter_ns()
        offset_ns = time_ns() - before_ns
        if perf_counter_ns() - before_ns < _AT_ONCE_NS:
            break
    return offset_ns
