"""The access log: what is known of a request when it is over, written a few times a second."""

from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING

from shared.logs.access import log_access
from shared.logs.formats import Origin
from shared.telemetry.redaction import plain_path

if TYPE_CHECKING:
    from services.gateway.exchange import Exchange
    from shared.problems import Problem

# A supervisor asks several times a second; its questions would drown everyone else's.
_UNTOLD = frozenset({"/livez", "/readyz"})
_MOST_WAITING = 64
"""A tenth of a second's requests at once would hold up those that are under way by some milliseconds."""


class AccessLog:
    """Collects finished requests; `flush` writes them, off the requests' own path."""

    def __init__(self) -> None:
        self._waiting: list[Exchange] = []

    def note(self, exchange: "Exchange") -> None:
        """A request is over."""
        if exchange.template not in _UNTOLD:
            self._waiting.append(exchange)
            if len(self._waiting) >= _MOST_WAITING:
                self.flush()

    def rejected(self, problem: "Problem", request_id: bytes) -> None:
        """Bytes that were no request."""
        origin = Origin(time_ns() // 1_000_000, request_id.decode("ascii"))
        log_access("-", "-", problem.status, 0, error=problem.code, origin=origin)

    def flush(self) -> None:
        """Write what has been collected."""
        waiting, self._waiting = self._waiting, []
        offset_ns = time_ns() - perf_counter_ns()
        for exchange in waiting:
            log_access(
                exchange.head.method.decode("ascii"),
                plain_path(exchange.head.path.decode("latin-1")),
                exchange.status or None,
                exchange.done_ns - exchange.received_ns,
                route=exchange.template,
                error=exchange.error or None,
                origin=Origin(
                    (exchange.done_ns + offset_ns) // 1_000_000,
                    exchange.request_id.decode("ascii"),
                    exchange.trace_id(),
                ),
            )
