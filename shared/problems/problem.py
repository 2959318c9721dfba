"""The problem itself, the few kinds that recur, and how one is written on the wire."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class FieldError:
    """One thing wrong with the input. `pointer` is a JSON Pointer into the body, or `?name` for a parameter."""

    pointer: str
    code: str
    detail: str


@dataclass(eq=False)
class Problem(Exception):
    """An answer of 400 and above. `code` is stable and meant for programs, `detail` for people."""

    status: int
    code: str
    title: str
    detail: str | None = None
    headers: Mapping[str, str] | None = None
    errors: Sequence[FieldError] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.status} {self.code}: {self.detail or self.title}"

    def document(self, *, request_id: str, instance: str) -> dict[str, Any]:
        """The problem as a JSON object, members in the order in which people read them."""
        document: dict[str, Any] = {
            "type": f"urn:kontor:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
        }
        if self.detail is not None:
            document["detail"] = self.detail
        document["instance"] = instance
        document["request_id"] = request_id
        if self.errors:
            document["errors"] = [
                {"pointer": error.pointer, "code": error.code, "detail": error.detail}
                for error in self.errors
            ]
        return document | dict(self.extra)


def problem_response_parts(
    problem: Problem, *, request_id: str, instance: str
) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body of a problem, ready for an ASGI server.

    The body is ASCII JSON: whatever a caller sent (lone surrogates, control characters) can be quoted back.
    """
    body = json.dumps(problem.document(request_id=request_id, instance=instance)).encode("ascii")
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    headers += [(k.lower().encode(), v.encode("latin-1")) for k, v in (problem.headers or {}).items()]
    return problem.status, headers, body


def not_found(detail: str = "There is nothing at this address.") -> Problem:
    """404, also for what belongs to another tenant."""
    return Problem(404, "not_found", "Not found", detail)


def bad_query(parameter: str, code: str, detail: str) -> Problem:
    """400 for a query parameter that is unknown or cannot be understood."""
    return Problem(400, "bad_query", "Bad query", detail, errors=[FieldError(f"?{parameter}", code, detail)])


def malformed_body(detail: str) -> Problem:
    """400 for a body that is no JSON at all."""
    return Problem(400, "malformed_body", "Malformed body", detail)


def invalid_fields(errors: Sequence[FieldError]) -> Problem:
    """422 for a body that is JSON but not what the resource takes."""
    detail = f"{errors[0].pointer or 'The body'}: {errors[0].detail}"
    if len(errors) > 1:
        detail += f" (and {len(errors) - 1} more)"
    return Problem(422, "invalid_fields", "Invalid fields", detail, errors=errors)


def conflict(code: str, detail: str, **extra: Any) -> Problem:
    """409, naming in `extra` what it conflicts with."""
    return Problem(409, code, "Conflict", detail, extra=extra)


def precondition_failed(detail: str) -> Problem:
    """412 for a stale `If-Match`."""
    return Problem(412, "precondition_failed", "Precondition failed", detail)


def unavailable(detail: str, *, retry_after_s: int = 1) -> Problem:
    """503 with `Retry-After`, for what passes by itself."""
    return Problem(
        503, "unavailable", HTTPStatus(503).phrase, detail, headers={"Retry-After": str(retry_after_s)}
    )
