"""The service's OpenAPI 3.1 document: FastAPI's paths, and the components that the declarations refer to."""

from collections.abc import Iterable
from functools import cache
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from shared.resources.bulk import BulkRequest
from shared.resources.definition import Resource
from shared.resources.documentation import patch_name

Schema = dict[str, Any]
_PROBLEM: Schema = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457, with a stable `code`, the request's id, and what is wrong with the input.",
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {name: {"type": "string"} for name in ("pointer", "code", "detail")},
                "required": ["pointer", "code", "detail"],
            },
        },
    },
    "required": ["type", "title", "status", "code", "instance", "request_id"],
}


def document_api(app: FastAPI, resources: Iterable[Resource], documents: Iterable[type]) -> None:
    """Makes `app.openapi()` complete. The document is made once, when it is first asked for."""
    resources, documents = tuple(resources), tuple(documents)

    @cache
    def openapi() -> Schema:
        described = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            openapi_version="3.1.0",
        )
        components = described.setdefault("components", {})
        components["schemas"] = {**components.get("schemas", {}), **_schemas(resources, documents)}
        components["securitySchemes"] = {"apiKey": {"type": "http", "scheme": "bearer"}}
        described["security"] = [{"apiKey": []}]
        return described

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to replace the document


def _schemas(resources: tuple[Resource, ...], documents: tuple[type, ...]) -> Schema:
    wanted: list[tuple[Any, JsonSchemaMode]] = [(BulkRequest, "validation")]
    wanted += [(document, "validation") for document in documents]
    for resource in resources:
        wanted.append((resource.readable, "serialization"))
        if resource.changeable:
            wanted.append((resource.writable, "validation"))
    _, generated = models_json_schema(wanted, ref_template="#/components/schemas/{model}")
    schemas: Schema = {**generated.get("$defs", {}), "Problem": _PROBLEM}
    for resource in resources:
        if resource.changeable:
            schemas[patch_name(resource)] = _patch_schema(schemas[resource.writable.__name__])
        selection = _selection_schema(schemas[resource.readable.__name__], resource)
        schemas[f"{resource.readable.__name__}Selection"] = selection
    return schemas


def _patch_schema(writable: Schema) -> Schema:
    """Every member optional; null where removing the member leaves something valid."""
    required = set(writable.get("required", ()))
    properties = {
        name: schema if name in required else {"anyOf": [schema, {"type": "null"}]}
        for name, schema in writable["properties"].items()
    }
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _selection_schema(readable: Schema, resource: Resource) -> Schema:
    properties = dict(readable["properties"])
    for name, reference in resource.includes.items():
        target = {"$ref": f"#/components/schemas/{reference.target.readable.__name__}"}
        array = {"type": "array", "items": target}
        properties[name] = array if reference.many else {"anyOf": [target, {"type": "null"}]}
    return {"type": "object", "properties": properties, "additionalProperties": False}
