"""Request bodies: bounded, strict JSON, validated against a document, with a JSON Pointer for each fault."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json, to_json
from starlette.requests import Request

from shared.problems import FieldError, Problem, invalid_fields, malformed_body

DocumentT = TypeVar("DocumentT", bound=BaseModel)

MAX_BODY_BYTES = 1024 * 1024
JSON = ("application/json",)
PATCH_JSON = ("application/merge-patch+json", "application/json")


async def read_body(request: Request, accepted: Sequence[str] = JSON, limit: int = MAX_BODY_BYTES) -> bytes:
    """The body, at most `limit` bytes. Raises 415 for another media type and 413 for more bytes."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in accepted:
        raise Problem(
            415,
            "unsupported_media_type",
            "Unsupported media type",
            f"Send {' or '.join(accepted)}, not {media_type or 'a body without Content-Type'!a}.",
            headers={"Accept-Post" if request.method == "POST" else "Accept-Patch": ", ".join(accepted)},
        )
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise Problem(
                413, "body_too_large", "Body too large", f"A body has at most {limit:,} bytes here."
            )
        parts.append(part)
    return b"".join(parts)


def parse_json(body: bytes) -> Any:
    """Strict JSON (RFC 8259): no NaN, no trailing commas, valid UTF-8. Raises a 400 `Problem`."""
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise malformed_body(f"The body is no JSON: {error}.") from None


def parse_object(body: bytes) -> dict[str, Any]:
    """A JSON object. Raises 400 for what is no JSON, 422 for JSON that is no object."""
    value = parse_json(body)
    if not isinstance(value, dict):
        raise invalid_fields([FieldError("", "object_expected", "The body must be a JSON object.")])
    return value


def validated(document: type[DocumentT], value: Mapping[str, Any], pointer: str = "") -> DocumentT:
    """`value` as a document. Raises a 422 `Problem` with a pointer to each fault, below `pointer`.

    It is read as JSON again, because only there does strictness let a string be a date or an id.
    """
    try:
        return document.model_validate_json(to_json(value))
    except ValidationError as error:
        raise invalid_fields(field_errors(error, pointer)) from None


def field_errors(error: ValidationError, pointer: str = "") -> list[FieldError]:
    """Pydantic's findings as ours."""
    return [
        FieldError(pointer + json_pointer(item["loc"]), item["type"], _sentence(item["msg"]))
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def json_pointer(path: Sequence[str | int]) -> str:
    """RFC 6901."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def _sentence(message: str) -> str:
    return message[:1].upper() + message[1:] + ("" if message.endswith(".") else ".")


def merge_patch(target: Any, patch: Any) -> Any:
    """JSON Merge Patch (RFC 7396): null removes, objects merge, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged
