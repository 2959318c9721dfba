"""CLIENT spans of database statements, under the request's span.

Only the summary of a statement is recorded (`SELECT accounts`), never its text or its values, by the
stable semantic conventions for PostgreSQL. A statement outside any recorded span makes none: health
checks and migrations would be nothing but noise.
"""

from collections.abc import Awaitable
from time import perf_counter_ns
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from opentelemetry.trace import Span, SpanKind, StatusCode

from shared.telemetry.clock import wall_time
from shared.telemetry.server import type_name
from shared.telemetry.setup import Telemetry
from shared.telemetry.statements import summarize

if TYPE_CHECKING:  # the gateway is installed without SQLAlchemy
    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine import ExceptionContext

T = TypeVar("T")
_OPEN_SPANS = "kontor.telemetry.open_spans"


class DatabaseSpan:
    """One statement; this form records nothing."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave; exceptions go on."""


class _RecordedDatabaseSpan(DatabaseSpan):
    __slots__ = ("_span",)

    def __init__(self, span: Span) -> None:
        self._span = span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _end(self._span, error)


_SILENT = DatabaseSpan()


def database_span(telemetry: Telemetry, summary: str, *, database: str) -> DatabaseSpan:
    """The span of one statement on `database`; `summary` names its operation and table, nothing else."""
    if not telemetry.records_here():
        return _SILENT
    return _RecordedDatabaseSpan(_start(telemetry, summary, database))


def traced(telemetry: Telemetry, summary: str, database: str, call: Awaitable[T]) -> Awaitable[T]:
    """The call's result, timed as one statement: `await traced(…, connection.fetch(…))`.

    When nothing is recorded this is the very awaitable that was given, with no layer around it.
    """
    if not telemetry.records_here():
        return call
    return _timed(telemetry, summary, database, call)


def trace_statements(engine: "Engine", telemetry: Telemetry, *, database: str) -> None:
    """Give each statement of the engine a span; of an AsyncEngine pass its `sync_engine`.

    Without an endpoint no hook is registered.
    """
    if not telemetry.recording:
        return
    from sqlalchemy import event  # noqa: PLC0415 - the gateway is installed without SQLAlchemy

    def started(connection: "Connection", _cursor: Any, statement: str, *_: Any) -> None:
        recorded = telemetry.records_here()
        span = _start(telemetry, summarize(statement), database) if recorded else None
        connection.info.setdefault(_OPEN_SPANS, []).append(span)

    def finished(connection: "Connection", *_: Any) -> None:
        _end_newest(connection, None)

    def failed(failure: "ExceptionContext") -> None:
        if failure.connection is not None:
            _end_newest(failure.connection, failure.original_exception)

    event.listen(engine, "before_cursor_execute", started)
    event.listen(engine, "after_cursor_execute", finished)
    event.listen(engine, "handle_error", failed)


def error_type(error: BaseException) -> str:
    """The SQLSTATE that PostgreSQL gave, or the exception's class where it gave none (a lost connection)."""
    seen: BaseException | None = error
    while seen is not None:
        state = getattr(seen, "sqlstate", None)
        if isinstance(state, str) and state:
            return state
        seen = getattr(seen, "orig", None) or seen.__cause__
    return type_name(error)


async def _timed(telemetry: Telemetry, summary: str, database: str, call: Awaitable[T]) -> T:
    with _RecordedDatabaseSpan(_start(telemetry, summary, database)):
        return await call


def _start(telemetry: Telemetry, summary: str, database: str) -> Span:
    return telemetry.start_span(
        summary,
        SpanKind.CLIENT,
        {"db.system.name": "postgresql", "db.query.summary": summary, "db.namespace": database},
        start_time=wall_time(perf_counter_ns()),
    )


def _end(span: Span, error: BaseException | None) -> None:
    if error is not None:
        span.set_attribute("error.type", error_type(error))
        span.set_status(StatusCode.ERROR)
    span.end(wall_time(perf_counter_ns()))


def _end_newest(connection: "Connection", error: BaseException | None) -> None:
    spans: list[Span | None] = connection.info.get(_OPEN_SPANS, [])
    if spans and (span := spans.pop()) is not None:
        _end(span, error)
