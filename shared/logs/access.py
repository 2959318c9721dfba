"""The access log: one line per request."""

import logging
from collections.abc import Sequence

from shared.logs.formats import ACCESS_LOGGER, AccessLine, Origin, here
from shared.logs.output import LineHandler
from shared.telemetry.terms import ServiceTerms

_root = logging.getLogger()
_logger = logging.getLogger(ACCESS_LOGGER)


def log_access(
    method: str,
    path: str,
    status: int | None,
    duration_ns: int,
    *,
    route: str | None = None,
    error: str | None = None,
    origin: Origin | None = None,
    latency: tuple[int, int, int] | None = None,
    components: ServiceTerms | None = None,
) -> None:
    """Log a request that ended; `path` without its query, `status` None when no answer was sent.

    `latency` is the duration in the formula's three terms (ns), `components` what they are made of; of these the ones
    that are 0 are left out. Call it while the request's id and trace are current, or say by `origin` which
    they were. The line has everything as text and as fields.
    """
    log_requests(
        ((method, path, status, duration_ns, route, error, latency, components, *(origin or here())),)
    )


def log_requests(lines: Sequence[AccessLine]) -> None:
    """Log requests that ended, for whoever tells of many at once.

    They go straight to the process's handler: a record, made and passed through the loggers, cost more than the line
    itself.
    """
    if not _logger.isEnabledFor(logging.INFO):
        return
    for handler in _root.handlers:
        if isinstance(handler, LineHandler):
            handler.access(lines)
