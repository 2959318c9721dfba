"""The access log: one line per request."""

import logging

_logger = logging.getLogger("kontor.access")


def log_access(
    method: str,
    path: str,
    status: int | None,
    duration_ns: int,
    *,
    route: str | None = None,
    error: str | None = None,
) -> None:
    """Log a request that ended; `path` without its query, `status` None when no answer was sent.

    Call it while the request's id and span are current. The line has method, path, status and the
    duration in milliseconds, as text and as fields.
    """
    if not _logger.isEnabledFor(logging.INFO):
        return
    duration_ms = round(duration_ns / 1e6, 3)
    fields = {
        "method": method,
        "path": path,
        "status": status,
        "duration_ms": duration_ms,
        "route": route,
        "error": error,
        "in_message": ("method", "path", "status", "duration_ms"),
    }
    # Made by hand: `info` would walk the stack to find this very line.
    record = _logger.makeRecord(
        _logger.name,
        logging.INFO,
        __file__,
        0,
        "%s %s %s %s ms",
        (method, path, status or "-", duration_ms),
        None,
        extra=fields,
    )
    _logger.handle(record)
