"""How long each attempt at each replica took, in batches: 0.3 us of CPU each."""

from bisect import bisect_left
from collections.abc import Iterable
from typing import Final, TypeAlias

from services.gateway.metrics.definitions import ATTEMPT_DURATION
from services.gateway.resilience.ledger import OK, Outcome
from shared.telemetry.metrics.definitions import HTTP_BOUNDS_NS
from shared.telemetry.metrics.durations import MOST_SERIES, OTHER, Cells, Durations, Labels
from shared.telemetry.metrics.families import Family

AttemptObservation: TypeAlias = tuple[str, str, int, int, int, int, int, int, int]
"""Of one attempt that is over: upstream, host, port, status (0 without an answer), outcome, duration_ns, done_ns,
trace_id, span_id. The outcome is an `Outcome` or its number, which is cheaper: 0 for `OK`. Both ids are 0 unless the
trace is recorded."""

_Raw: TypeAlias = tuple[str, str, int, int, int]
_MOST_KINDS: Final = 4 * MOST_SERIES


class AttemptMetrics:
    """Of one worker. Used on one thread."""

    def __init__(self) -> None:
        self._durations = Durations(ATTEMPT_DURATION, _crowded)
        self._known: dict[_Raw, Cells] = {}

    def observe(self, batch: Iterable[AttemptObservation]) -> None:
        """Take note of attempts that are over."""
        known, bounds = self._known, HTTP_BOUNDS_NS
        for upstream, host, port, status, outcome, duration, done_ns, trace_id, span_id in batch:
            cells = known.get((upstream, host, port, status, outcome))
            if cells is None:
                cells = self._cells(upstream, host, port, status, outcome)
            bucket = bisect_left(bounds, duration)
            counts = cells.counts
            counts[bucket] += 1
            counts[-1] += duration
            if trace_id:
                cells.exemplars[bucket] = (trace_id, span_id, duration, done_ns)

    def family(self) -> Family:
        """As of now."""
        return self._durations.family()

    def _cells(self, upstream: str, host: str, port: int, status: int, outcome: int) -> Cells:
        error = attempt_error(status, outcome)
        labels = upstream, host.strip("[]"), str(port), str(status) if status else "", error
        cells = self._durations.cells(labels)
        if len(self._known) < _MOST_KINDS:
            self._known[upstream, host, port, status, outcome] = cells
        return cells


def attempt_error(status: int, outcome: int) -> str:
    """The convention's `error.type` of a client: the status from 400 on, else how the attempt ended; "" for none."""
    if status >= 400:
        return str(status)
    return "" if outcome == OK else Outcome(outcome).label


def _crowded(labels: Labels) -> Labels:
    """Replicas may come and go without end; upstreams are those of the configuration."""
    upstream, _, _, status, error = labels
    return upstream, OTHER, "", status, error
