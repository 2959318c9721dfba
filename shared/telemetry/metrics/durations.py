"""Histograms of durations under a bounded number of label sets, each with an exemplar per bucket."""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from time import perf_counter_ns, time_ns
from typing import Final, TypeAlias

from shared.telemetry.metrics.definitions import Metric
from shared.telemetry.metrics.families import Distribution, Exemplar, Family

MOST_SERIES: Final = 1_000
"""Of one histogram: at 17 lines each, what Prometheus still reads at ease. OpenTelemetry's own bound is 2,000."""
OTHER: Final = "_OTHER"
"""Stands for whatever there are too many of."""

Labels: TypeAlias = tuple[str, ...]
Traced: TypeAlias = tuple[int, int, int, int]
"""Of an exemplar: trace id, span id, the duration in ns, and the monotonic reading at its end."""


class Cells:
    """One histogram. Whoever is in a hurry works on the two lists himself, as `observe` does.

    counts      of each bucket, then of what is beyond all bounds, and last the sum of the durations in ns
    exemplars   the newest of each bucket
    """

    __slots__ = ("counts", "exemplars")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * (buckets + 2)
        self.exemplars: list[Traced | None] = [None] * (buckets + 1)


class Durations:
    """A histogram for each label set. When there are too many of these, `crowded` says under which one counts."""

    def __init__(self, metric: Metric, crowded: Callable[[Labels], Labels], most: int = MOST_SERIES) -> None:
        self.metric = metric
        self._crowded = crowded
        self._most = most
        self._cells: dict[Labels, Cells] = {}

    def cells(self, labels: Labels) -> Cells:
        """The histogram under these labels. Keep it: looking it up is not for every request."""
        known = self._cells.get(labels)
        if known is None and len(self._cells) >= self._most:
            labels = self._crowded(labels)
            known = self._cells.get(labels)
        if known is None:
            known = self._cells[labels] = Cells(len(self.metric.bounds_ns))
        return known

    def observe(self, labels: Labels, duration_ns: int) -> None:
        """Take note of one duration."""
        counts = self.cells(labels).counts
        counts[bisect_left(self.metric.bounds_ns, duration_ns)] += 1
        counts[-1] += duration_ns

    def family(self) -> Family:
        """As of now."""
        offset_ns = time_ns() - perf_counter_ns()
        return Family(
            self.metric,
            [
                Distribution(labels, cells.counts[:-1], cells.counts[-1], list(_told(cells, offset_ns)))
                for labels, cells in self._cells.items()
            ],
        )


def _told(cells: Cells, offset_ns: int) -> Iterator[Exemplar]:
    for bucket, traced in enumerate(cells.exemplars):
        if traced is not None:
            trace_id, span_id, value_ns, at_ns = traced
            yield Exemplar(bucket, trace_id, span_id, value_ns, at_ns + offset_ns)
