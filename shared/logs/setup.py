"""Sends every logger of the process through one handler."""

import logging
import sys
from typing import Literal

from shared.logs.formats import JsonFormatter, TextFormatter
from shared.logs.output import LineHandler

LogFormat = Literal["text", "json"]


def configure_logging(format: LogFormat, service: str, instance: str, *, level: str = "INFO") -> None:
    """Set up logging for the whole process; start uvicorn with `log_config=None, access_log=False`.

    Text or JSON lines go to standard output. Uvicorn's own access log is off, `log_access` stands for it.
    """
    # Nothing prints these, and looking them up is a good part of what a record costs.
    logging.logThreads = False
    logging.logProcesses = False
    logging.logMultiprocessing = False
    logging.captureWarnings(True)
    handler = LineHandler(
        sys.stdout, JsonFormatter(service=service, instance=instance) if format == "json" else TextFormatter()
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.asgi", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.getLogger("uvicorn.access").disabled = True
