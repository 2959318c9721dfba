"""Every error of the admin API as a problem."""

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from services.gateway.control.fleet import NotReadyError
from services.gateway.documents.complaints import Complaint, DocumentError
from services.gateway.request_ids import RequestIds, accepted
from shared.problems import FieldError, Problem, invalid_fields, problem_response_parts


def add_error_handlers(app: FastAPI) -> None:
    """Problems, wrong parameters, unknown addresses and our own mistakes are answered alike."""
    ids = RequestIds()

    async def on_error(request: Request, error: Exception) -> Response:
        sent = request.headers.get("x-request-id", "").encode("latin-1")
        request_id = (sent if accepted(sent) else ids.next()).decode("ascii")
        status, headers, body = problem_response_parts(
            _problem(error), request_id=request_id, instance=request.url.path
        )
        response = Response(body, status)
        response.raw_headers = [*headers, (b"x-request-id", request_id.encode("ascii"))]
        return response

    for kind in (Problem, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, on_error)


def _problem(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestValidationError):
        return invalid_fields(
            [_field_error(item["loc"], item["type"], item["msg"]) for item in error.errors()]
        )
    if isinstance(error, HTTPException):
        return Problem(error.status_code, "http_error", str(error.detail), headers=error.headers)
    return Problem(500, "internal_error", "Internal error", "The log of the gateway says more.")


def _field_error(location: tuple[int | str, ...], code: str, detail: str) -> FieldError:
    place, *path = location
    pointer = f"?{path[0]}" if place == "query" and path else "".join(f"/{part}" for part in path)
    return FieldError(pointer, code, detail)


def not_reloaded(error: DocumentError) -> Problem:
    """422 with every mistake and its line; what is in force has not changed."""
    errors = [_mistake(complaint) for complaint in error.complaints]
    return Problem(
        422, "not_reloaded", "Not reloaded", str(error), extra={"errors": errors} if errors else {}
    )


def not_ready(error: NotReadyError) -> Problem:
    """503 with the workers that were not ready, and why; what is in force has not changed."""
    detail = f"Everything stays as it was: {error}."
    reasons = [{"worker": number, "reason": reason} for number, reason in error.reasons.items()]
    return Problem(503, "not_reloaded", "Not reloaded", detail, extra={"workers": reasons})


def _mistake(complaint: Complaint) -> dict[str, object]:
    pointer = "/" + complaint.field.replace("[", ".").replace("]", "").replace(".", "/")
    return {
        "pointer": "" if complaint.field == "the document" else pointer,
        "code": "invalid",
        "detail": complaint.text,
        "line": complaint.line,
        "column": complaint.column,
    }
