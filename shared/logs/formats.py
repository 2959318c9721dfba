"""Two forms of a log line: text for people, JSON for machines."""

import json
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from time import time_ns
from typing import Any, NamedTuple, Protocol

from shared.logs.context import request_id_var
from shared.telemetry.request import current_request
from shared.telemetry.terms import Latency

# Control characters (C0, DEL, C1) and the two Unicode line separators: each could end a line, move a
# terminal's cursor or recolour it.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SECRET = re.compile(r"authorization|password|passwd|secret|token|api_?key|cookie|body", re.IGNORECASE)
_STANDARD_FIELDS = frozenset(
    {*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName", "color_message"}
)
ACCESS_LOGGER = "kontor.access"


class AccessLine(NamedTuple):
    """What the access log says of one request; `status` is None when the client got no answer."""

    method: str
    path: str
    status: int | None
    duration_ms: float
    route: str | None = None
    error: str | None = None
    latency: Latency | None = None
    components: Mapping[str, int] | None = None

    @property
    def message(self) -> str:
        """For people."""
        return f"{self.method} {self.path} {self.status or '-'} {self.duration_ms} ms"

    @property
    def terms(self) -> str:
        """For people: ` processing=2.1 network=0 system=0.9 (db=1.9 …)`, in ms; empty where nothing is known."""
        if self.latency is None:
            return ""
        known = [(name, ns / 1e6) for name, ns in (self.components or {}).items() if ns]
        form = _terms_form(tuple([name for name, _ in known]))
        return form % (*[ns / 1e6 for ns in self.latency], *[ms for _, ms in known])

    def fields(self) -> dict[str, Any]:
        """For machines; times of the formula in ns."""
        fields: dict[str, Any] = {
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "duration_ms": self.duration_ms,
            "route": self.route,
            "error": self.error,
        }
        if self.latency is not None:
            fields |= self.latency._asdict()
        if self.components:
            fields["components_ns"] = {name: ns for name, ns in self.components.items() if ns}
        return fields


@lru_cache(maxsize=256)
def _terms_form(components: tuple[str, ...]) -> str:
    """All figures in one go: formatting them one by one costs three times as much."""
    parts = " ".join([f"{name}=%.3f" for name in components])
    return " processing=%.3f network=%.3f system=%.3f" + (f" ({parts})" if parts else "")


class Origin(NamedTuple):
    """Where and when a line comes from: wall-clock milliseconds, the request, its trace in hexadecimal."""

    at_ms: int
    request_id: str | None = None
    trace_id: str | None = None
    span_id: str | None = None


def here() -> Origin:
    """Of a line written now, in the context of the request it is about."""
    trace = _trace_ids() or (None, None)
    return Origin(time_ns() // 1_000_000, request_id_var.get(), *trace)


class LineFormatter(Protocol):
    """Writes lines, without the end of line, of records and of requests."""

    def format(self, record: logging.LogRecord) -> str:
        """A record, as for any handler."""

    def access(self, line: AccessLine, origin: Origin) -> str:
        """A request that has ended."""


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
    return _instant(round(record.created * 1e6) // 1_000)


def _instant(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1_000)
    return f"{_second(seconds)}.{rest:03d}Z"


@lru_cache(maxsize=8)
def _second(seconds: int) -> str:
    """Thousands of lines may begin with the same second."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").removesuffix("+00:00")


def _trace_ids() -> tuple[str, str] | None:
    request = current_request.get()
    if request is None or not request.trace_id:
        return None
    return f"{request.trace_id:032x}", f"{request.span_id:016x}"


class TextFormatter(logging.Formatter):
    """`2026-11-21T07:00:00.123Z INFO    kontor.access GET /v1/accounts 200 3.214 ms request_id=…`."""

    def format(self, record: logging.LogRecord) -> str:
        message = escape_controls(record.getMessage())
        line = f"{timestamp(record)} {record.levelname:<7} {record.name} {message}"
        line += _spelt_out(extra_fields(record), here())
        if record.exc_info or record.stack_info:
            line += "\n" + _indented(_exception_text(self, record))
        return line

    def access(self, line: AccessLine, origin: Origin) -> str:
        """Method, path, status and duration are in the message and not repeated."""
        text = f"{_instant(origin.at_ms)} INFO    {ACCESS_LOGGER} {line.message}{line.terms}"
        if line.route is not None:
            text += f" route={line.route}"
        if line.error is not None:
            text += f" error={line.error}"
        if origin.request_id is not None:
            text += f" request_id={origin.request_id}"
        if origin.trace_id is not None:
            text += f" trace_id={origin.trace_id}"
        return escape_controls(text)


class JsonFormatter(logging.Formatter):
    """One JSON object per line, an exception in one field."""

    def __init__(self, *, service: str, instance: str) -> None:
        super().__init__()
        self._service = service
        self._instance = instance
        self._encode = json.JSONEncoder(default=str).encode

    def format(self, record: logging.LogRecord) -> str:
        instant, message = timestamp(record), record.getMessage()
        document = self._document(instant, record.levelname, record.name, message, here())
        for name, value in extra_fields(record).items():
            document.setdefault(name, value)  # an extra field cannot pass for one of ours
        if record.exc_info or record.stack_info:
            document["exception"] = _exception_text(self, record)
        return self._written(document)

    def access(self, line: AccessLine, origin: Origin) -> str:
        """The request's own figures are fields, beside the message that people read."""
        document = self._document(_instant(origin.at_ms), "INFO", ACCESS_LOGGER, line.message, origin)
        return self._written(document | line.fields())

    def _document(
        self, instant: str, level: str, logger: str, message: str, origin: Origin
    ) -> dict[str, Any]:
        return {
            "timestamp": instant,
            "level": level,
            "logger": logger,
            "message": message,
            "service": self._service,
            "instance": self._instance,
            "request_id": origin.request_id,
            "trace_id": origin.trace_id,
            "span_id": origin.span_id,
        }

    def _written(self, document: dict[str, Any]) -> str:
        return self._encode({name: value for name, value in document.items() if value is not None})


def _spelt_out(fields: dict[str, Any], origin: Origin) -> str:
    """` name=value` of each field that has one, then of the request and the trace."""
    every = fields | {"request_id": origin.request_id, "trace_id": origin.trace_id}
    text = ""
    for name, value in every.items():
        if value is not None:
            text += f" {escape_controls(name)}={escape_controls(str(value))}"
    return text


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
