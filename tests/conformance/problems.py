"""What every answer of 400 and above must look like."""

from typing import Any

import httpx2

MEMBERS = {"type", "title", "status", "code", "instance", "request_id"}


def problem(answer: httpx2.Response, status: int, code: str | None = None) -> dict[str, Any]:
    """The problem in the answer, checked against RFC 9457 and our additions."""
    assert answer.status_code == status, f"{answer.request.method} {answer.request.url}: {answer.text}"
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document.keys() >= MEMBERS
    assert document["status"] == status
    assert document["type"] == f"urn:kontor:problem:{document['code']}"
    assert document["request_id"] == answer.headers["x-request-id"]
    assert document["instance"] == answer.request.url.path
    for error in document.get("errors", []):
        assert error.keys() == {"pointer", "code", "detail"}
    if code is not None:
        assert document["code"] == code, document
    return document


def pointers(document: dict[str, Any]) -> list[str]:
    """Where the problem says that the faults are."""
    return [error["pointer"] for error in document.get("errors", [])]
