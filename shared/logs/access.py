"""The access log: one line per request."""

import logging

from shared.logs.formats import ACCESS_LOGGER, AccessLine, Origin
from shared.logs.output import LineHandler

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
) -> None:
    """Log a request that ended; `path` without its query, `status` None when no answer was sent.

    Call it while the request's id and span are current, or say by `origin` which they were. The line has
    method, path, status and the duration in milliseconds, as text and as fields. It goes straight to the
    process's handler: a record, made and passed through the loggers, cost more than the line itself.
    """
    if not _logger.isEnabledFor(logging.INFO):
        return
    line = AccessLine(method, path, status, round(duration_ns / 1e6, 3), route, error)
    for handler in _root.handlers:
        if isinstance(handler, LineHandler):
            handler.access(line, origin)
