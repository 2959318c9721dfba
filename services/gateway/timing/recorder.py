"""Requests that are over, told to all who want to know: the access log, the metrics, the traces.

In batches, off the requests' own path; but small ones, since whatever runs here holds up the requests under way.
"""

from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING

from services.gateway.metrics.worker import GatewayMetrics
from services.gateway.resilience.ledger import OK
from services.gateway.timing.keeping import RECENT
from services.gateway.timing.spans import failed
from services.gateway.timing.terms import components_of
from services.gateway.timing.traces import Traces
from shared.logs.access import log_access, log_requests
from shared.logs.formats import Origin
from shared.telemetry.clocks import wall_offset_ns
from shared.telemetry.redaction import plain_path

if TYPE_CHECKING:
    from services.gateway.exchange import Exchange
    from services.gateway.metrics.attempts import AttemptObservation
    from services.gateway.timing.finished import AttemptReadings
    from shared.logs.formats import AccessLine
    from shared.problems import Problem
    from shared.telemetry.metrics.requests import Observation

# A supervisor asks several times a second; its questions would drown everyone else's.
_UNTOLD = frozenset({"/livez", "/readyz"})
_MOST_WAITING = 64
"""A tenth of a second's requests at once would hold up those that are under way by some milliseconds."""


class Recorder:
    """Collects finished requests; `flush` tells of them."""

    __slots__ = ("_metrics", "_traces", "_waiting")

    def __init__(self, traces: Traces, metrics: GatewayMetrics) -> None:
        self._traces = traces
        self._metrics = metrics
        self._waiting: list[Exchange] = []
        metrics.flush = self.flush  # a scrape counts what waits here as well

    def note(self, exchange: "Exchange") -> None:
        """A request is over."""
        self._waiting.append(exchange)
        if len(self._waiting) >= _MOST_WAITING:
            self.flush()

    def rejected(self, problem: "Problem", request_id: bytes) -> None:
        """Bytes that were no request."""
        self._metrics.rejected(problem.status, problem.code, perf_counter_ns())
        origin = Origin(time_ns() // 1_000_000, request_id.decode("ascii"))
        log_access("-", "-", problem.status, 0, error=problem.code, origin=origin)

    def flush(self) -> None:
        """Tell of what has been collected."""
        waiting, self._waiting = self._waiting, []
        now_ns = perf_counter_ns()
        offset_ns = wall_offset_ns()
        requests: list[Observation] = []
        attempts: list[AttemptObservation] = []
        lines: list[AccessLine] = []
        for exchange in waiting:
            latency = exchange.latency
            if latency is None:
                latency = components_of(exchange.finished()).latency
            trace_id = span_id = 0
            if exchange.template not in _UNTOLD:
                lines.append(_line(exchange, latency, offset_ns))
                kept = self._keep(exchange, now_ns, offset_ns)
                if kept and kept != RECENT:
                    trace_id, span_id = int(exchange.trace.trace_id, 16), int(exchange.trace.span_id, 16)
            requests.append(_observation(exchange, latency, trace_id, span_id))
            if exchange.answered is not None:
                attempts.append(_attempt(exchange.upstream_name, exchange.answered, trace_id))
            if exchange.past is not None:
                attempts += [_attempt(exchange.upstream_name, one, trace_id) for one in exchange.past]
        self._metrics.observe(requests, attempts)
        log_requests(lines)

    def _keep(self, exchange: "Exchange", now_ns: int, offset_ns: int) -> str:
        """Why the request is kept as a trace, if it is."""
        total_ns = exchange.done_ns - exchange.received_ns
        failure = failed(exchange.status, exchange.error)
        keeping, before = self._traces.keeping, exchange.kept
        if exchange.upstream_name:
            route = exchange.route.name
        else:
            # It was refused before that was asked.
            route = exchange.template
            before = keeping.before(exchange.trace.trace_id, route, None, now_ns)
        kept = keeping.after(before, route, total_ns, failure, now_ns)
        if kept:
            self._traces.take((exchange.finished(offset_ns, kept),))
        return kept


def _observation(
    exchange: "Exchange", latency: tuple[int, int, int], trace_id: int, span_id: int
) -> "Observation":
    return (
        exchange.head.method,
        exchange.template,
        exchange.status,
        exchange.error,
        *latency,
        exchange.done_ns,
        trace_id,
        span_id,
    )


def _attempt(upstream: str, attempt: "AttemptReadings", trace_id: int) -> "AttemptObservation":
    _, asked_ns, _, _, _, _, ended_ns, _, _, outcome, status, _, span_id, replica, _, _ = attempt
    return (
        upstream,
        replica.host,
        replica.port,
        status,
        0 if outcome is OK else int(outcome),  # the hash of a number is C's, that of an enum Python's
        ended_ns - asked_ns,
        ended_ns,
        trace_id,
        int(span_id, 16) if trace_id else 0,
    )


def _line(exchange: "Exchange", latency: tuple[int, int, int], offset_ns: int) -> "AccessLine":
    head, ids = exchange.head, exchange.trace
    return (
        head.method.decode("ascii"),
        plain_path(head.path.decode("latin-1")),
        exchange.status or None,
        exchange.done_ns - exchange.received_ns,
        exchange.template or None,
        exchange.error or None,
        latency,
        None,
        (exchange.done_ns + offset_ns) // 1_000_000,
        exchange.request_id.decode("ascii"),
        ids.trace_id.decode("ascii"),
        ids.span_id.decode("ascii"),
    )
