"""What every process of the suite that serves requests measures of itself, put together."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from time import perf_counter_ns
from typing import Final

from shared.background import in_background
from shared.telemetry.metrics.active import LittlesLaw
from shared.telemetry.metrics.definitions import (
    ACTIVE_REQUESTS,
    LITTLES_LAW,
    LOOP_LAG,
    SERVING_TIME,
    SPANS,
)
from shared.telemetry.metrics.export import MetricsExport
from shared.telemetry.metrics.families import Family, Number
from shared.telemetry.metrics.health import LoopLag, ServingTime
from shared.telemetry.metrics.requests import RequestMetrics
from shared.telemetry.outbox import SpanOutbox

_TICK_S: Final = 0.05
_MARK_EVERY_NS: Final = 1_000_000_000
_FAREWELL_S: Final = 1.0  # the last spans want some of the time as well


class ProcessMetrics:
    """Used on the process's event loop. `settle` brings `requests` up to date, where these wait in batches."""

    def __init__(
        self,
        hop: str,
        requests: RequestMetrics,
        *,
        outbox: SpanOutbox | None,
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        self._hop = hop
        self._requests = requests
        self._outbox = outbox
        self._settle = settle
        self._law = LittlesLaw()
        self._marked_ns = 0
        self.lag = LoopLag()
        self.serving = ServingTime()

    def families(self, now_ns: int) -> list[Family]:
        """As of this reading of the monotonic clock."""
        self._settle()
        hop, requests = self._hop, self._requests
        self._mark(now_ns)
        law = self._law.ratio()
        return [
            *requests.families(),
            Family(ACTIVE_REQUESTS, [Number((hop,), requests.active.count)]),
            Family(LITTLES_LAW, [Number((hop,), *law)] if law is not None else []),
            Family(SERVING_TIME, [Number((hop,), self.serving.served_ns(now_ns) / 1e9)]),
            Family(LOOP_LAG, [Number((hop,), self.lag.longest_ns(now_ns) / 1e9)]),
            Family(SPANS, list(self._spans())),
        ]

    @asynccontextmanager
    async def measuring(
        self, collect: Callable[[], Iterable[Family]], export: MetricsExport | None
    ) -> AsyncIterator[None]:
        """Watch the event loop while the block runs, and export what `collect` gives; once more at its end."""
        self._mark(perf_counter_ns())
        work = [self._watch()]
        if export is not None:
            work.append(_export(collect, export))
        try:
            async with in_background(*work):
                yield
        finally:
            if export is not None:
                export.put(collect())
                await asyncio.to_thread(export.shutdown, _FAREWELL_S)

    async def _watch(self) -> None:
        """Asks to be woken 20 times a second, and sees how late that is."""
        while True:
            due_ns = perf_counter_ns() + round(_TICK_S * 1e9)
            await asyncio.sleep(_TICK_S)
            now_ns = perf_counter_ns()
            self.lag.saw(now_ns, now_ns - due_ns)
            if now_ns - self._marked_ns >= _MARK_EVERY_NS:
                self._settle()
                self._mark(now_ns)

    def _mark(self, now_ns: int) -> None:
        self._marked_ns = now_ns
        self._law.mark(now_ns, self._requests.active.area_ns(now_ns), self._requests.spent_ns)

    def _spans(self) -> Iterable[Number]:
        outbox = self._outbox
        if outbox is not None:
            for state, count in (
                ("sent", outbox.sent),
                ("dropped", outbox.dropped),
                ("failed", outbox.failed),
            ):
                yield Number((state, self._hop), count)


async def _export(collect: Callable[[], Iterable[Family]], export: MetricsExport) -> None:
    while True:
        await asyncio.sleep(export.every_s)
        export.put(collect())
