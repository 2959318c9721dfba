"""What a process says of its load: requests in flight, event-loop lag, CPU, rates, database-pool use."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Final

from shared.background import in_background

_TICK_S: Final = 0.025
_SAMPLE_S: Final = 0.5
_LAG_KEPT: Final = 0.95
"""Per tick: a peak of the lag is halved within 0.35 s."""
_URGENT_LAG_S: Final = 0.02


class LoadMeter:
    """One per process, used on its event loop.

    inflight         requests being served
    cpu              CPU seconds of the process, user and system, per second over the last half second. An
                     event loop has one core, so this is its utilisation; threads may bring it above 1.
    lag_s            how late the event loop lately ran what was due, a decaying peak in seconds
    rps, eps         answers and failures (5xx or no answer at all) per second over the last half second
    pool_use         a callable that tells which share of the database connections is in use, 0 to 1

    `measuring()` samples as long as its block runs; without it only `inflight` means anything.
    """

    def __init__(self, *, pool_use: Callable[[], float] | None = None) -> None:
        self._pool_use = pool_use
        self.inflight = 0
        self.cpu = 0.0
        self.lag_s = 0.0
        self.rps = 0.0
        self.eps = 0.0
        self._ended = 0
        self._failed = 0
        self._sampled = (monotonic(), _cpu_seconds(), 0, 0)
        self._figures = b""
        self.publish()

    def began(self) -> None:
        """A request has come in."""
        self.inflight += 1

    def ended(self, failed: bool) -> None:
        """A request that `began` has been answered, or never will be."""
        self.inflight -= 1
        self._ended += 1
        if failed:
            self._failed += 1

    def header(self) -> bytes:
        """The header's value: the figures as last published, and the requests in flight as of now."""
        return b"%snamed_metrics.inflight=%d" % (self._figures, self.inflight)

    @asynccontextmanager
    async def measuring(self) -> AsyncIterator[None]:
        """Samples in the background while the block runs, for the lifespan of an application."""
        async with in_background(self._measure()):
            yield

    async def _measure(self) -> None:
        """Asks to be woken every 25 ms and sees how late that is: so late is everything that is due.

        The figures are published twice a second, or when the event loop hangs: balancers remember what they
        have read, and a text that changes with every tick would cost them more than it tells.
        """
        sample_at = monotonic() + _SAMPLE_S
        while True:
            due = monotonic() + _TICK_S
            await asyncio.sleep(_TICK_S)
            now = monotonic()
            late = now - due
            self.saw_lag(late)
            if now >= sample_at:
                self.sample(now, _cpu_seconds())
                sample_at = now + _SAMPLE_S
                self.publish()
            elif late > _URGENT_LAG_S:
                self.publish()

    def saw_lag(self, late_s: float) -> None:
        """Takes note of how much later than due the event loop ran something, in seconds."""
        self.lag_s = max(late_s, self.lag_s * _LAG_KEPT, 0.0)

    def sample(self, now_s: float, cpu_s: float) -> None:
        """Takes the means since the last sample. `cpu_s` is what the process has burned since it started."""
        then_s, then_cpu_s, ended, failed = self._sampled
        elapsed = now_s - then_s
        if elapsed <= 0.0:
            return
        self.cpu = max(0.0, (cpu_s - then_cpu_s) / elapsed)
        self.rps = (self._ended - ended) / elapsed
        self.eps = (self._failed - failed) / elapsed
        self._sampled = (now_s, cpu_s, self._ended, self._failed)

    def publish(self) -> None:
        """Writes the figures down for the next answers.

        `application_utilization` is the scarcer of CPU and database connections: what balancers weigh by
        (gRFC A58) and what runs out first. Names beyond ORCA's own are `named_metrics` and `utilization`
        entries, because Envoy refuses a report with any other.
        """
        pool = None if self._pool_use is None else min(max(self._pool_use(), 0.0), 1.0)
        figures = [
            f"cpu_utilization={self.cpu:.3f}",
            f"application_utilization={max(self.cpu, pool or 0.0):.3f}",
            f"rps_fractional={self.rps:.1f}",
            f"eps={self.eps:.1f}",
            f"named_metrics.event_loop_lag={self.lag_s:.4f}",
        ]
        if pool is not None:
            figures.append(f"utilization.database_pool={pool:.2f}")
        self._figures = ("TEXT " + ",".join(figures) + ",").encode("ascii")


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system
