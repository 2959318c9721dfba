"""Problems as they go over the wire."""

import json

from hypothesis import given
from hypothesis import strategies as st

from shared.problems import (
    FieldError,
    Problem,
    bad_query,
    conflict,
    invalid_fields,
    problem_response_parts,
    unavailable,
)


@given(st.text(st.characters()), st.text(st.characters()))
def test_whatever_a_caller_sent_can_be_quoted_back(detail: str, pointer: str) -> None:
    problem = Problem(422, "x", "X", detail, errors=[FieldError(pointer, "c", detail)])
    status, headers, body = problem_response_parts(problem, request_id="r", instance="/v1/x")
    assert status == 422
    assert (b"content-length", str(len(body)).encode()) in headers
    assert body.isascii()
    document = json.loads(body)
    assert document["detail"] == detail
    assert document["errors"] == [{"pointer": pointer, "code": "c", "detail": detail}]


def test_what_is_absent_is_left_out() -> None:
    document = Problem(404, "gone", "Gone").document(request_id="r", instance="/x")
    assert document == {
        "type": "urn:kontor:problem:gone",
        "title": "Gone",
        "status": 404,
        "code": "gone",
        "instance": "/x",
        "request_id": "r",
    }


def test_the_kinds_that_recur() -> None:
    assert bad_query("limit", "c", "d").errors[0].pointer == "?limit"
    assert (
        conflict("c", "d", conflicting_id="7").document(request_id="r", instance="/")["conflicting_id"] == "7"
    )
    several = invalid_fields([FieldError("/a", "c", "Bad."), FieldError("/b", "c", "Bad.")])
    assert several.detail == "/a: Bad. (and 1 more)"
    assert unavailable("d", retry_after_s=3).headers == {"Retry-After": "3"}
    assert str(several) == "422 invalid_fields: /a: Bad. (and 1 more)"
