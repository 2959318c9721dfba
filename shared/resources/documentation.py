"""A resource's OpenAPI, from the same declaration that its routes and its SQL come from."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from shared.problems import MEDIA_TYPE
from shared.resources.bodies import PATCH_JSON
from shared.resources.definition import Resource
from shared.resources.filters import MAX_LIST_VALUES, Filter
from shared.resources.listing import DEFAULT_LIMIT, MAX_LIMIT, MAX_QUERY_LENGTH

Schema = dict[str, Any]
_SUMMARIES = {
    "list": "List {plural}",
    "create": "Create a {singular}",
    "bulk": "Change many {plural} in one call",
    "get": "Get a {singular}",
    "get_by_external_id": "Get a {singular} by another system's id",
    "upsert": "Create or replace a {singular} by another system's id",
    "update": "Change a {singular} (JSON Merge Patch, RFC 7396)",
    "delete": "Delete a {singular} (restorable)",
    "restore": "Restore a deleted {singular}",
}
_READS = ("list", "get", "get_by_external_id")
_CHANGES = {"create": True, "update": True, "upsert": True, "restore": False, "bulk": True, "delete": False}


@dataclass(frozen=True)
class Endpoint:
    """One route of a resource: what it does, where, and with which status it succeeds."""

    operation: str
    method: str
    path: str
    handler: Callable[[Request], Awaitable[Response]]
    status: int = 200


def operation(resource: Resource, endpoint: Endpoint) -> Schema:
    """The operation object of one route."""
    described: Schema = {
        "summary": _SUMMARIES[endpoint.operation].format(
            plural=resource.name.replace("-", " "), singular=resource.singular
        ),
        "parameters": _parameters(resource, endpoint),
        "responses": {str(endpoint.status): _success(resource, endpoint), **_failures(resource, endpoint)},
    }
    if endpoint.operation == "upsert":
        described["responses"]["201"] = _record_response(resource, "Created.", located=True)
    body = _request_body(resource, endpoint)
    if body is not None:
        described["requestBody"] = body
    return described


def component(model: type) -> Schema:
    """A reference to a document's schema among the components."""
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def patch_name(resource: Resource) -> str:
    """The component of what a patch may hold: every member optional, null to remove."""
    return resource.writable.__name__.removesuffix("In") + "Patch"


def _parameters(resource: Resource, endpoint: Endpoint) -> list[Schema]:
    parameters = [_path_parameter(name) for name in _path_names(endpoint.path)]
    if endpoint.operation == "list":
        parameters += list_parameters(resource)
    if endpoint.operation in _READS:
        parameters += _selection_parameters(resource)
    if endpoint.operation in ("get", "get_by_external_id"):
        parameters.append(_header("If-None-Match", "Answers 304 when the entity tag still fits."))
    if endpoint.operation in ("update", "delete", "upsert"):
        parameters.append(_header("If-Match", "Answers 412 unless the record still has this entity tag."))
    if endpoint.method in ("POST", "PATCH"):
        parameters.append(idempotency_parameter())
    return parameters


def _path_names(path: str) -> list[str]:
    return [part.strip("{}").removesuffix(":path") for part in path.split("/") if part.startswith("{")]


def _path_parameter(name: str) -> Schema:
    schema: Schema = {"type": "string"}
    if name in ("id", "parent_id"):
        schema["format"] = "uuid"
    else:
        schema |= {"minLength": 1, "maxLength": 255}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _header(name: str, description: str) -> Schema:
    schema = {"type": "string", "pattern": r'^("[0-9a-f-]{1,40}"|\*)$'}
    return {"name": name, "in": "header", "description": description, "schema": schema}


def idempotency_parameter() -> Schema:
    """The header that makes a POST or PATCH happen at most once."""
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "At most one effect per key within 24 hours; a repetition gets the first answer.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[!#-\[\]-~]+$"},
    }


def list_parameters(resource: Resource) -> list[Schema]:
    """Limit, cursor, sort, search, count and every filter with each of its operators."""
    sorts = [sign + name for name in resource.sorts for sign in ("", "-")]
    parameters = [
        _query("limit", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}),
        _query("cursor", {"type": "string"}, "The `next_cursor` of the page before."),
        _query("sort", {"type": "string", "enum": sorts, "default": resource.default_sort}),
        _query("count", {"type": "string", "enum": ["exact", "estimated"]}, "Adds `total`."),
    ]
    if resource.search is not None:
        text = "Every word must begin a word of the record."
        parameters.append(_query("q", {"type": "string", "maxLength": MAX_QUERY_LENGTH}, text))
    if "delete" in resource.operations:
        parameters.append(_query("filter[deleted]", {"type": "boolean"}, "Lists what is deleted instead."))
    for name, declared in resource.filters.items():
        parameters += [_filter(name, declared, operator) for operator in declared.operators]
    return parameters


def _filter(name: str, declared: Filter, operator: str) -> Schema:
    spelled = f"filter[{name}]" if operator == "eq" else f"filter[{name}][{operator}]"
    if operator == "is_null":
        return _query(spelled, {"type": "boolean"})
    if operator in ("in", "nin"):
        items = {"type": "array", "items": declared.kind.schema, "minItems": 1, "maxItems": MAX_LIST_VALUES}
        return _query(spelled, items) | {"style": "form", "explode": False}
    return _query(spelled, declared.kind.schema)


def _selection_parameters(resource: Resource) -> list[Schema]:
    parameters = [_names("fields", resource.fields, "Answers these members only.")]
    if resource.includes:
        parameters.append(_names("include", tuple(resource.includes), "Adds these related records."))
    return parameters


def _names(name: str, known: tuple[str, ...], description: str) -> Schema:
    schema = {"type": "array", "items": {"type": "string", "enum": list(known)}, "minItems": 1}
    return _query(name, schema, description) | {"style": "form", "explode": False}


def _query(name: str, schema: Schema, description: str = "") -> Schema:
    described = {"description": description} if description else {}
    return {"name": name, "in": "query", "schema": schema, **described}


def _request_body(resource: Resource, endpoint: Endpoint) -> Schema | None:
    match endpoint.operation:
        case "create" | "upsert":
            content = {"application/json": {"schema": component(resource.writable)}}
        case "update":
            patch = {"$ref": f"#/components/schemas/{patch_name(resource)}"}
            content = {media_type: {"schema": patch} for media_type in PATCH_JSON}
        case "bulk":
            content = {"application/json": {"schema": {"$ref": "#/components/schemas/BulkRequest"}}}
        case _:
            return None
    return {"required": True, "content": content}


def _success(resource: Resource, endpoint: Endpoint) -> Schema:
    match endpoint.operation:
        case "list":
            return _list_response(resource)
        case "delete":
            return {"description": "Deleted."}
        case "bulk":
            return json_response("Each item's outcome, in order.", _bulk_schema(resource))
        case "create" | "restore":
            return _record_response(resource, "Done.", located=True)
        case _:
            partial = endpoint.operation in _READS
            return _record_response(resource, f"The {resource.singular}.", partial=partial)


def json_response(description: str, schema: Schema) -> Schema:
    """A JSON answer."""
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _record_response(
    resource: Resource, description: str, *, located: bool = False, partial: bool = False
) -> Schema:
    """A read with `fields` or `include` answers a selection, so its members are not all required."""
    schema = record_selection(resource) if partial else component(resource.readable)
    headers = {"ETag": _response_header()}
    if located:
        headers["Location"] = _response_header()
    return json_response(description, schema) | {"headers": headers}


def _response_header() -> Schema:
    return {"required": True, "schema": {"type": "string"}}


def record_selection(resource: Resource) -> Schema:
    """The component of a record of which only some members may be there."""
    return {"$ref": f"#/components/schemas/{resource.readable.__name__}Selection"}


def _list_response(resource: Resource) -> Schema:
    schema = {
        "type": "object",
        "properties": {
            "data": {"type": "array", "items": record_selection(resource)},
            "has_more": {"type": "boolean"},
            "next_cursor": {"type": ["string", "null"]},
            "total": {"type": "integer"},
            "total_accuracy": {"type": "string", "enum": ["exact", "estimated"]},
        },
        "required": ["data", "has_more", "next_cursor"],
        "additionalProperties": False,
    }
    return json_response("A page.", schema)


def _bulk_schema(resource: Resource) -> Schema:
    item = {
        "type": "object",
        "properties": {
            "status": {"type": "integer"},
            "record": component(resource.readable),
            "problem": {"$ref": "#/components/schemas/Problem"},
        },
        "required": ["status"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"items": {"type": "array", "items": item}},
        "required": ["items"],
        "additionalProperties": False,
    }


def problem_response(description: str) -> Schema:
    """A problem answer (RFC 9457)."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": description, "content": {MEDIA_TYPE: {"schema": schema}}}


_FAILURES = {
    400: "The request cannot be understood.",
    401: "No identity, or one that is not valid.",
    404: "There is no such record.",
    409: "It conflicts with another record or request.",
    412: "The record has changed.",
    413: "The body is too large.",
    415: "The body's media type is not taken here.",
    422: "The body is not what the resource takes.",
    429: "Too many requests.",
    502: "The service did not answer properly.",
    503: "Try again in a moment.",
    504: "The service did not answer in time.",
}


def failures(*statuses: int) -> Schema:
    """The problem answers of these statuses."""
    return {str(status): problem_response(_FAILURES[status]) for status in sorted(statuses)}


def _failures(resource: Resource, endpoint: Endpoint) -> Schema:
    statuses = {400, 401, 429, 502, 503, 504}
    if "{" in endpoint.path:
        statuses.add(404)
    if endpoint.operation in _CHANGES:
        statuses |= {409, 422}
    if _CHANGES.get(endpoint.operation):
        statuses |= {413, 415}
    if endpoint.operation in ("update", "delete", "upsert"):
        statuses.add(412)
    documented = failures(*statuses)
    if endpoint.operation in ("get", "get_by_external_id"):
        documented["304"] = {"description": "The caller has it already."}
    return documented
