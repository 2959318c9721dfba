"""The access log: what is known of a request when it is over, written a few times a second."""

from typing import TYPE_CHECKING

from shared.logs.access import log_access
from shared.logs.context import request_id_var
from shared.telemetry.redaction import plain_path

if TYPE_CHECKING:
    from services.gateway.exchange import Exchange
    from services.gateway.protocol.client import ClientConnection
    from shared.problems import Problem

# A supervisor asks several times a second; its questions would drown everyone else's.
_UNTOLD = frozenset({"/livez", "/readyz"})


class AccessLog:
    """Collects finished requests; `flush` writes them, off the requests' own path."""

    def __init__(self) -> None:
        self._waiting: list[tuple[bytes, bytes, int, int, str | None, str, bytes]] = []

    def note(self, exchange: "Exchange") -> None:
        """A request is over."""
        template = exchange.template
        if template not in _UNTOLD:
            head = exchange.head
            self._waiting.append(
                (
                    head.method,
                    head.path,
                    exchange.status,
                    exchange.done_ns - exchange.received_ns,
                    template,
                    exchange.error,
                    exchange.request_id,
                )
            )

    def rejected(self, client: "ClientConnection", problem: "Problem", request_id: bytes) -> None:
        """Bytes that were no request."""
        self._waiting.append((b"-", b"-", problem.status, 0, None, problem.code, request_id))

    def flush(self) -> None:
        """Write what has been collected."""
        waiting, self._waiting = self._waiting, []
        for method, path, status, duration_ns, template, error, request_id in waiting:
            token = request_id_var.set(request_id.decode("latin-1"))
            log_access(
                method.decode("ascii"),
                plain_path(path.decode("latin-1")),
                status or None,
                duration_ns,
                route=template,
                error=error or None,
            )
            request_id_var.reset(token)
