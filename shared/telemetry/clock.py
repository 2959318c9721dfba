"""Monotonic readings as wall-clock times.

A span's duration must be the measured one even when the wall clock is set back in the middle of a
request, so only its start reads the wall clock; everything later in the same request is that reading
plus a difference of the monotonic clock.
"""

from contextvars import ContextVar
from time import perf_counter_ns, time_ns

# Wall clock minus monotonic clock, in ns, as it stood when the current request began.
_offset: ContextVar[int | None] = ContextVar("wall_clock_offset", default=None)


def begin() -> int:
    """Fix the wall clock for the current context and return the monotonic reading (ns) it was taken at."""
    reading = perf_counter_ns()
    _offset.set(time_ns() - reading)
    return reading


def wall_time(reading: int) -> int:
    """The wall-clock time (ns since 1970) of a `perf_counter_ns` reading of this context."""
    offset = _offset.get()
    if offset is None:  # outside a request, as in a background job
        offset = time_ns() - perf_counter_ns()
    return reading + offset
