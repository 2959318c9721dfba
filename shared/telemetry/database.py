"""What a request has of the database: time waiting for a connection, time of statements, and a CLIENT span of each.

Only the summary of a statement is recorded (`SELECT accounts`), never its text or its values, by the
stable semantic conventions for PostgreSQL. Outside a request nothing is timed and nothing recorded: health checks
and migrations would be nothing but noise.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from time import perf_counter_ns
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from opentelemetry.trace import SpanKind

from shared.telemetry.request import RequestContext, current_request
from shared.telemetry.server import type_name
from shared.telemetry.spans import CommonAttributes, SpanRecord, new_span_id
from shared.telemetry.statements import summarize

if TYPE_CHECKING:  # the gateway is installed without SQLAlchemy
    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine import ExceptionContext

_OPEN_STATEMENTS = "kontor.telemetry.open_statements"


class DatabaseStatement:
    """One statement on `database`; `summary` names its operation and table, nothing else.

    with DatabaseStatement("SELECT accounts", "customers"):
        rows = await connection.fetch(…)
    """

    __slots__ = ("_database", "_request", "_start", "_summary")

    def __init__(self, summary: str, database: str) -> None:
        self._summary = summary
        self._database = database
        self._request = current_request.get()
        self._start = 0

    def __enter__(self) -> Self:
        request = self._request
        if request is not None:
            request.watch.statements += 1
            if request.recorded:
                self._start = perf_counter_ns()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        request = self._request
        if request is not None:
            request.watch.statements -= 1
            if request.recorded:
                self._record(request, error)

    def _record(self, request: RequestContext, error: BaseException | None) -> None:
        request.spans.append(
            SpanRecord(
                request.trace_id,
                new_span_id(),
                request.span_id,
                SpanKind.CLIENT,
                self._summary,
                self._start + request.offset_ns,
                perf_counter_ns() + request.offset_ns,
                {} if error is None else {"error.type": error_type(error)},
                (),
                None if error is None else "",
                request.trace_state,
                _common(self._summary, self._database),
            )
        )


@lru_cache(maxsize=1_024)
def _common(summary: str, database: str) -> CommonAttributes:
    return CommonAttributes(
        {"db.system.name": "postgresql", "db.query.summary": summary, "db.namespace": database}
    )


@contextmanager
def in_database() -> Iterator[None]:
    """What the request waits for in here is the database, though no statement of its own shows it."""
    request = current_request.get()
    if request is None:
        yield
        return
    request.watch.statements += 1
    try:
        yield
    finally:
        request.watch.statements -= 1


class waiting_for_connection:  # noqa: N801 (used as a function; as a generator it would cost three times as much)
    """What the request waits for in here, unless a statement is in flight, is a connection to the database."""

    __slots__ = ("_request",)

    def __enter__(self) -> None:
        request = self._request = current_request.get()
        if request is not None:
            request.watch.connections += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._request is not None:
            self._request.watch.connections -= 1


def watch_statements(engine: "Engine", *, database: str) -> None:
    """Time and record each statement of the engine; of an AsyncEngine pass its `sync_engine`."""
    from sqlalchemy import event  # noqa: PLC0415 - the gateway is installed without SQLAlchemy

    def started(connection: "Connection", _cursor: Any, text: str, *_: Any) -> None:
        statement = DatabaseStatement(summarize(text), database)
        connection.info.setdefault(_OPEN_STATEMENTS, []).append(statement.__enter__())

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


def _end_newest(connection: "Connection", error: BaseException | None) -> None:
    statements: list[DatabaseStatement] = connection.info.get(_OPEN_STATEMENTS, [])
    if statements:
        statements.pop().__exit__(None if error is None else type(error), error, None)
