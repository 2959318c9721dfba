"""Errors as the caller sees them: problem details (RFC 9457), one shape for the whole suite.

    Problem            any answer of 400 and above, raised from anywhere below the routes
    ├── .errors        what is wrong with the input, each with a JSON Pointer (RFC 6901)
    └── .extra         members of this one problem, such as the id that a conflict is about

`problem_response_parts` turns one into status, headers and body; nothing else writes problems.
"""

from shared.problems.problem import (
    MEDIA_TYPE,
    FieldError,
    Problem,
    bad_query,
    conflict,
    invalid_fields,
    malformed_body,
    not_found,
    precondition_failed,
    problem_response_parts,
    unavailable,
)

__all__ = [
    "MEDIA_TYPE",
    "FieldError",
    "Problem",
    "bad_query",
    "conflict",
    "invalid_fields",
    "malformed_body",
    "not_found",
    "precondition_failed",
    "problem_response_parts",
    "unavailable",
]
