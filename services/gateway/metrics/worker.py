"""One worker's metrics: what the data path calls, and what is collected of it."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from time import perf_counter_ns
from typing import Any, Final

from services.gateway.metrics.attempts import AttemptMetrics, AttemptObservation
from services.gateway.metrics.caches import cache_families, peers_families, second_families
from services.gateway.metrics.limits import shared_limit_families
from services.gateway.metrics.upstreams import upstream_families
from shared.telemetry.metrics.export import MetricsExport
from shared.telemetry.metrics.families import Family
from shared.telemetry.metrics.process import ProcessMetrics
from shared.telemetry.metrics.requests import Observation, RequestMetrics
from shared.telemetry.outbox import SpanOutbox

_HOP: Final = "gateway"
_UNFINISHED: Final = frozenset({"client_left", "cut_short"})
_EVENTS: Final = {401: "authentication_failed", 403: "forbidden", 429: "rate_limited"}
_MALFORMED: Final = frozenset({400, 414, 431, 501, 505})


class GatewayMetrics:
    """Of one worker process. Used on its event loop.

    began        with each request's first bytes
    observe      with requests that began, once, when they are over, and with their attempts
    rejected     for an answer to bytes that are no request, which did not begin
    """

    def __init__(self, outbox: SpanOutbox | None) -> None:
        self._requests = RequestMetrics(_HOP, error_type=error_type, security_event=security_event)
        self._attempts = AttemptMetrics()
        self._process = ProcessMetrics(_HOP, self._requests, outbox=outbox, settle=self._settle)
        self._refused_connections = 0
        self.began: Callable[[int], None] = self._requests.active.began
        """Called with the monotonic reading (ns) that the request's duration is counted from."""
        self.flush: Callable[[], None] = lambda: None
        """Set by whoever keeps finished requests back for a moment: called before anything is told."""

    def observe(self, requests: Iterable[Observation], attempts: Iterable[AttemptObservation]) -> None:
        """Requests and attempts that are over, in batches: each costs half as much.

        Requests however they went: forwarded, answered or refused here, left by their callers, cut short. Their error
        is the problem's code where the gateway itself answered, `client_left` or `cut_short` where nobody could be
        answered to the end, and "" where a replica's answer was passed on.
        """
        self._requests.observe(requests)
        self._attempts.observe(attempts)

    def rejected(self, status: int, code: str, now_ns: int) -> None:
        """Bytes that make no request were answered. They count as a request that took no time."""
        self.began(now_ns)
        self.observe([("", "", status, code, 0, 0, 0, now_ns, 0, 0)], ())

    def serving(self, ready: bool) -> None:
        """The worker has begun to serve, or to drain."""
        self._process.serving.found(ready, perf_counter_ns())

    def collect(self, described: Mapping[str, Any]) -> list[Family]:
        """As of now; `described` is what `Gateway.describe` says."""
        refused = described["connections"]["refused"]
        self._requests.refused("connection_refused", refused - self._refused_connections)
        self._refused_connections = refused
        return [
            *self._process.families(perf_counter_ns()),
            self._attempts.family(),
            *upstream_families(described["upstreams"]),
            *cache_families(described["caches"].values()),
            *second_families(described["second"]),
            *peers_families(described["peers"]),
            *shared_limit_families(described["rate_limit"]["shared"]),
        ]

    @asynccontextmanager
    async def measuring(
        self, describe: Callable[[], Mapping[str, Any]], export: MetricsExport | None
    ) -> AsyncIterator[None]:
        """Watch the event loop while the block runs, and export; once more at its end."""
        async with self._process.measuring(lambda: self.collect(describe()), export):
            yield

    def _settle(self) -> None:
        """Whatever is kept back is counted."""
        self.flush()


def error_type(status: int, error: str) -> str:
    """The convention's `error.type` of a server's request: what is 4xx is the caller's error and none of ours."""
    if status >= 500:
        return error or str(status)
    return error if error in _UNFINISHED or not status else ""


def security_event(status: int, error: str) -> str | None:
    """The event that a refusal of the gateway's own is. What a service refuses, it counts itself."""
    if not error or error in _UNFINISHED:
        return None
    return "malformed_request" if status in _MALFORMED else _EVENTS.get(status)
