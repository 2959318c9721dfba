"""Two forms of a log line: text for people, JSON for machines."""

import json
import logging
import re
from collections.abc import Collection
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from opentelemetry.trace import get_current_span

from shared.logs.context import request_id_var

# Control characters (C0, DEL, C1) and the two Unicode line separators: each could end a line, move a
# terminal's cursor or recolour it.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SECRET = re.compile(r"authorization|password|passwd|secret|token|api_?key|cookie|body", re.IGNORECASE)
_STANDARD_FIELDS = frozenset(
    {*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName", "color_message", "in_message"}
)


def escape_controls(text: str) -> str:
    """The text with control characters written as `\\n`, `\\x1b` or `\\u2028`, so that it stays one line."""
    if text.isascii() and text.isprintable():
        return text
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def extra_fields(record: logging.LogRecord) -> dict[str, Any]:
    """What the caller passed as `extra`, with the values of telling names blanked."""
    return {
        name: "[redacted]" if _tells_secrets(name) else value
        for name, value in record.__dict__.items()
        if name not in _STANDARD_FIELDS
    }


@lru_cache(maxsize=1_000)
def _tells_secrets(name: str) -> bool:
    return _SECRET.search(name) is not None


def timestamp(record: logging.LogRecord) -> str:
    """RFC 3339, UTC, milliseconds."""
    instant = datetime.fromtimestamp(record.created, UTC)
    return instant.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _trace_ids() -> tuple[str, str] | None:
    context = get_current_span().get_span_context()
    return (f"{context.trace_id:032x}", f"{context.span_id:016x}") if context.is_valid else None


class TextFormatter(logging.Formatter):
    """`2026-11-21T07:00:00.123Z INFO    kontor.access GET /v1/accounts 200 3.214 ms request_id=…`.

    Extra fields named in the record's `in_message` stand in the message already and are not repeated.
    """

    def format(self, record: logging.LogRecord) -> str:
        message = escape_controls(record.getMessage())
        line = f"{timestamp(record)} {record.levelname:<7} {record.name} {message}"
        said: Collection[str] = getattr(record, "in_message", ())
        fields = {name: value for name, value in extra_fields(record).items() if name not in said}
        fields["request_id"] = request_id_var.get()
        trace = _trace_ids()
        fields["trace_id"] = trace[0] if trace else None
        for name, value in fields.items():
            if value is not None:
                line += f" {escape_controls(name)}={escape_controls(str(value))}"
        if record.exc_info or record.stack_info:
            line += "\n" + _indented(_exception_text(self, record))
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object per line, an exception in one field."""

    def __init__(self, *, service: str, instance: str) -> None:
        super().__init__()
        self._service = service
        self._instance = instance

    def format(self, record: logging.LogRecord) -> str:
        trace = _trace_ids()
        document: dict[str, Any] = {
            "timestamp": timestamp(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "service": self._service,
            "instance": self._instance,
            "request_id": request_id_var.get(),
            "trace_id": trace[0] if trace else None,
            "span_id": trace[1] if trace else None,
        }
        for name, value in extra_fields(record).items():
            document.setdefault(name, value)  # an extra field cannot pass for one of ours
        if record.exc_info or record.stack_info:
            document["exception"] = _exception_text(self, record)
        present = {name: value for name, value in document.items() if value is not None}
        return json.dumps(present, default=str)


def _exception_text(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info:
        parts.append(formatter.formatException(record.exc_info))
    if record.stack_info:
        parts.append(formatter.formatStack(record.stack_info))
    return "\n".join(parts)


def _indented(text: str) -> str:
    """Each line set in, so that an exception's own text cannot pass for a new record."""
    return "\n".join(f"    {escape_controls(line)}" for line in text.split("\n"))
