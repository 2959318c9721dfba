"""Two forms of a log line: text for people, JSON for machines."""

import json
import logging
import re
from datetime import UTC, datetime
from functools import lru_cache
from itertools import compress
from time import time_ns
from typing import Any, NamedTuple, Protocol, TypeAlias

from shared.alphabets import alphabet
from shared.logs.context import request_id_var
from shared.telemetry.request import current_request
from shared.telemetry.terms import ServiceTerms

# Control characters (C0, DEL, C1) and the two Unicode line separators: each could end a line, move a
# terminal's cursor or recolour it.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_PRINTABLE = alphabet(bytes(range(0x20, 0x7F)))
_SECRET = re.compile(r"authorization|password|passwd|secret|token|api_?key|cookie|body", re.IGNORECASE)
_STANDARD_FIELDS = frozenset(
    {*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName", "color_message"}
)
ACCESS_LOGGER = "kontor.access"
_TERMS_NS = ', "processing_ns": %d, "network_ns": %d, "system_ns": %d'
_COMPONENTS = ServiceTerms._fields
_quoted = json.encoder.encode_basestring_ascii
_TEXT = f"%s INFO    {ACCESS_LOGGER} %s %s %s %.3f ms%s%s%s%s%s"
_TERMS = " processing=%.3f network=%.3f system=%.3f"


AccessLine: TypeAlias = tuple[
    str,
    str,
    int | None,
    int,
    str | None,
    str | None,
    tuple[int, int, int] | None,
    ServiceTerms | None,
    int,
    str | None,
    str | None,
    str | None,
]
"""What the access log says of one request, in a flat tuple: of a class of its own it would take as long to make as to
write.

method, path, status     the path without its query; status None when the client got no answer
duration_ns              from its first bytes to its last
route, error             as far as known
latency                  processing, network and system, which add up to the duration, in ns
components               what they are made of, as far as a service knows, in ns
at_ms … span_id          its `Origin`
"""


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

    def access(self, line: AccessLine) -> str:
        """A request that has ended."""


def escape_controls(text: str) -> str:
    """The text with control characters written as `\\n`, `\\x1b` or `\\u2028`, so that it stays one line."""
    if text.isascii() and (line := text.encode("ascii")).translate(_PRINTABLE) == line:
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


@lru_cache(maxsize=64)
def _instant(milliseconds: int) -> str:
    """Many requests may end within one."""
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

    def access(self, line: AccessLine) -> str:
        """`GET /v1/accounts 200 3.214 ms processing=2.100 network=0.000 system=1.114 (db=1.900 …) route=…`, in ms."""
        (method, path, status, duration_ns, route, error, latency, components) = line[:8]
        at_ms, request_id, trace_id = line[8:11]
        if latency is None:
            terms = ""
        elif components is None:
            processing_ns, network_ns, system_ns = latency
            terms = _TERMS % (processing_ns / 1e6, network_ns / 1e6, system_ns / 1e6)
        else:
            terms = _terms(latency, components)
        text = _TEXT % (
            _instant(at_ms),
            method,
            path,
            status or "-",
            duration_ns / 1e6,
            terms,
            "" if route is None else " route=" + route,
            "" if error is None else " error=" + error,
            "" if request_id is None else " request_id=" + request_id,
            "" if trace_id is None else " trace_id=" + trace_id,
        )
        return escape_controls(text)


class JsonFormatter(logging.Formatter):
    """One JSON object per line, an exception in one field."""

    def __init__(self, *, service: str, instance: str) -> None:
        super().__init__()
        self._service = service
        self._instance = instance
        self._encode = json.JSONEncoder(default=str).encode
        # What is the same in all lines of requests.
        self._logger = f', "level": "INFO", "logger": "{ACCESS_LOGGER}", "message": '
        self._process = f', "service": {_quoted(service)}, "instance": {_quoted(instance)}'

    def format(self, record: logging.LogRecord) -> str:
        instant, message = timestamp(record), record.getMessage()
        document = self._document(instant, record.levelname, record.name, message, here())
        for name, value in extra_fields(record).items():
            document.setdefault(name, value)  # an extra field cannot pass for one of ours
        if record.exc_info or record.stack_info:
            document["exception"] = _exception_text(self, record)
        return self._written(document)

    def access(self, line: AccessLine) -> str:
        """The request's own figures are fields, beside the message that people read.

        Written here field by field, in a third of the encoder's time; what comes from outside is quoted as it does.
        """
        method, path, status, duration_ns, route, error, latency, components = line[:8]
        at_ms, request_id, trace_id, span_id = line[8:]
        # Without the marks around them.
        method, path = _quoted(method)[1:-1], _quoted(path)[1:-1]
        ms = f"{duration_ns / 1e6:.3f}"
        ids = f', "request_id": {_quoted(request_id)}' if request_id is not None else ""
        if trace_id is not None:
            ids += f', "trace_id": "{trace_id}", "span_id": "{span_id}"'
        rest = f', "route": {_quoted(route)}' if route is not None else ""
        if error is not None:
            rest += f', "error": {_quoted(error)}'
        if latency is not None:
            rest += _TERMS_NS % latency
        if components is not None:
            known = ", ".join(
                [f'"{name}": {ns}' for name, ns in zip(_COMPONENTS, components, strict=True) if ns]
            )
            rest += f', "components_ns": {{{known}}}'
        return (
            f'{{"timestamp": "{_instant(at_ms)}"{self._logger}"{method} {path} {status or "-"} {ms} ms"'
            f'{self._process}{ids}, "method": "{method}", "path": "{path}"'
            f'{f""", "status": {status}""" if status is not None else ""}, "duration_ms": {ms}{rest}}}'
        )

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


def _terms(latency: tuple[int, int, int], components: ServiceTerms) -> str:
    """` processing=2.100 network=0.000 system=0.900 (db=1.900 …)`, in ms; of the components those that are not 0."""
    form = _terms_form(tuple(map(bool, components)))
    return form % tuple([ns / 1e6 for ns in (*latency, *filter(None, components))])


@lru_cache(maxsize=256)
def _terms_form(present: tuple[bool, ...]) -> str:
    """All figures in one go: formatting them one by one costs three times as much."""
    parts = " ".join([f"{name}=%.3f" for name in compress(_COMPONENTS, present)])
    return f"{_TERMS} ({parts})" if parts else _TERMS


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
