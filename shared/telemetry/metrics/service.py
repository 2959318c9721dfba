"""A service's metrics: what `ProcessMetrics` measures, fed by its middleware, and its database connections."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from time import perf_counter_ns

from shared.asgi import App, Receive, Scope, Send
from shared.telemetry.metrics.definitions import CONNECTION_WAIT
from shared.telemetry.metrics.durations import Durations
from shared.telemetry.metrics.export import MetricsExport
from shared.telemetry.metrics.families import Family
from shared.telemetry.metrics.pools import PoolUse, pool_families
from shared.telemetry.metrics.process import ProcessMetrics
from shared.telemetry.metrics.requests import RequestMetrics
from shared.telemetry.outbox import SpanOutbox
from shared.telemetry.server import RECEIVED, ServedRequest


class ServiceMetrics:
    """One per process. `hop` is the service's name; `pools` is asked at each collection."""

    def __init__(
        self, hop: str, *, outbox: SpanOutbox | None, pools: Callable[[], Sequence[PoolUse]]
    ) -> None:
        self._requests = RequestMetrics(
            hop, error_type=_error_type, security_event=lambda status, _: _EVENTS.get(status)
        )
        self._process = ProcessMetrics(hop, self._requests, outbox=outbox)
        self._pools = pools
        self._waits = Durations(CONNECTION_WAIT, lambda labels: labels)

    def counting(self, app: App, unseen: Collection[str]) -> App:
        """The application, each of whose requests is counted as under way until `served` is told of it."""
        active = self._requests.active

        def counted(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            """ASGI. No coroutine of its own: there is nothing to wait for."""
            if scope["type"] == "http" and scope["path"] not in unseen:
                active.began(scope.get(RECEIVED) or perf_counter_ns())
            return app(scope, receive, send)

        return counted

    def served(self, request: ServedRequest) -> None:
        """A request is over."""
        terms = request.terms
        trace_id, span_id = (request.trace_id, request.span_id) if request.recorded else (0, 0)
        self._requests.observe(
            (
                (
                    request.method,
                    request.route,
                    request.status,
                    request.error,
                    *terms.latency,
                    request.done_ns,
                    trace_id,
                    span_id,
                ),
            )
        )
        if terms.db or terms.db_wait:
            self._waits.observe((), terms.db_wait)

    def readiness(self, ready: bool) -> None:
        """It was looked whether the service can serve."""
        self._process.serving.found(ready, perf_counter_ns())

    def collect(self) -> list[Family]:
        """As of now."""
        return [
            *self._process.families(perf_counter_ns()),
            *pool_families(self._pools()),
            self._waits.family(),
        ]

    @asynccontextmanager
    async def measuring(self, export: MetricsExport | None) -> AsyncIterator[None]:
        """Belongs around the application's life."""
        async with self._process.measuring(self.collect, export):
            yield


_EVENTS = {401: "authentication_failed", 403: "forbidden", 429: "rate_limited"}


def _error_type(_status: int, error: str) -> str:
    """The server's spans have it already."""
    return error
