"""Which failures of PostgreSQL pass by themselves: the one place that knows their names."""

import asyncpg
from sqlalchemy.exc import DBAPIError

_LOST = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    TimeoutError,
)
_FAREWELL = "another operation (2) is in progress"
_RACES = ("40001", "40P01")  # serialization failure, deadlock: the loser may simply run again


def connection_lost(error: BaseException) -> bool:
    """Whether the statement failed because there was no server to run it, as during a restart."""
    cause = _driver_error(error)
    if isinstance(
        cause, ValueError
    ):  # the driver's complaint of a value it cannot send is an InterfaceError, too
        return False
    return isinstance(cause, _LOST) or _bidden_farewell(cause)


def lost_a_race(error: BaseException) -> bool:
    """Whether PostgreSQL ended this transaction so that another one could go on."""
    return getattr(_driver_error(error), "sqlstate", None) in _RACES


def violated_constraint(error: BaseException, sqlstate: str) -> str | None:
    """The constraint's name if the statement broke one of this kind."""
    cause = _driver_error(error)
    if getattr(cause, "sqlstate", None) != sqlstate:
        return None
    return str(getattr(cause, "constraint_name", "")) or None


UNIQUE_VIOLATION = "23505"
STATEMENT_TIMEOUT = "57014"
LOCK_TIMEOUT = "55P03"


def sqlstate_of(error: BaseException) -> str | None:
    """PostgreSQL's five-character code, or None for what did not come from it."""
    return getattr(_driver_error(error), "sqlstate", None)


def _bidden_farewell(error: BaseException) -> bool:
    """Whether the server ended the connection between two statements, and asyncpg has not read as far as its end.

    The driver has no error of its own for it: https://github.com/MagicStack/asyncpg/issues/784. State 2 is that of
    reading on to the next synchronisation, which never comes.
    """
    return isinstance(error, asyncpg.InternalClientError) and _FAREWELL in str(error)


def _driver_error(error: BaseException) -> BaseException:
    """asyncpg's own error: SQLAlchemy wraps it twice."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return error.orig.__cause__ or error.orig
    return error
