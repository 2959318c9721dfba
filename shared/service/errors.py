"""The one place where exceptions become answers."""

from collections.abc import Iterable

import asyncpg
from fastapi import FastAPI
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match

from shared.database.failures import LOCK_TIMEOUT, STATEMENT_TIMEOUT, sqlstate_of
from shared.problems import Problem, not_found, problem_response_parts, unavailable


def add_error_handlers(app: FastAPI) -> None:
    """Every error of this application is answered as a problem."""

    async def on_http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 (registered for nothing else)
        return problem_response(request, _http_problem(app, request, error))

    async def on_error(request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        if problem is None:
            raise error
        return problem_response(request, problem)

    async def on_defect(request: Request, _error: Exception) -> Response:
        """Starlette raises on, and the server logs the traceback."""
        return problem_response(request, internal_error())

    app.add_exception_handler(HTTPException, on_http_error)
    for kind in (Problem, DBAPIError, asyncpg.PostgresError):
        app.add_exception_handler(kind, on_error)
    app.add_exception_handler(Exception, on_defect)


def problem_of(error: Exception) -> Problem | None:
    """What this error is to the caller, or None for a defect."""
    if isinstance(error, Problem):
        return error
    if sqlstate_of(error) in (STATEMENT_TIMEOUT, LOCK_TIMEOUT):
        return unavailable("The database took too long over this request.")
    return None


def internal_error() -> Problem:
    """What the caller of a defect learns: the request id to ask about."""
    detail = "The service failed on this request. The request id finds it in the logs."
    return Problem(500, "internal_error", "Internal error", detail)


def problem_response(request: Request, problem: Problem) -> Response:
    """A problem as a Starlette response."""
    status, headers, body = problem_response_parts(
        problem, request_id=request.scope["request_id"], instance=request.url.path
    )
    response = Response(body, status)
    response.raw_headers = headers
    return response


def _http_problem(app: FastAPI, request: Request, error: HTTPException) -> Problem:
    if error.status_code == 404:
        return not_found()
    if error.status_code == 405:
        allowed = ", ".join(sorted(_allowed_methods(app.routes, request)))
        detail = f"{request.method} is not offered here."
        return Problem(405, "method_not_allowed", "Method not allowed", detail, headers={"Allow": allowed})
    return Problem(error.status_code, "http_error", str(error.detail), headers=error.headers)


def _allowed_methods(routes: Iterable[BaseRoute], request: Request) -> set[str]:
    """The methods of every route with this path: each operation is a route of its own."""
    allowed: set[str] = set()
    for route in routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            allowed |= set(getattr(route, "methods", None) or ())
    return allowed | ({"HEAD"} if "GET" in allowed else set())
