"""The OpenAPI of the routes of imports."""

from collections.abc import Mapping
from typing import Any

from shared.imports.reading.mapping import Mapping as ColumnMapping
from shared.imports.schemas import ImportJob
from shared.imports.target import ImportTarget
from shared.resources.documentation import component, failures, idempotency_parameter, json_response

Schema = dict[str, Any]
_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}


def create_operation(targets: Mapping[str, ImportTarget]) -> Schema:
    """The upload: a form with the mapping first and then the file."""
    properties = {
        "mapping": {"allOf": [component(ColumnMapping)], "description": _fields_text(targets)},
        "file": {
            "type": "string",
            "format": "binary",
            "description": "The CSV file, of any size; it comes last.",
        },
    }
    form = {"type": "object", "properties": properties, "required": ["mapping", "file"]}
    encoding = {"mapping": {"contentType": "application/json"}, "file": {"contentType": "text/csv"}}
    return {
        "summary": "Import a CSV file",
        "operationId": "create-import",
        "parameters": [idempotency_parameter()],
        "requestBody": {
            "required": True,
            "content": {"multipart/form-data": {"schema": form, "encoding": encoding}},
        },
        "responses": _accepted() | failures(400, 401, 409, 413, 415, 422, 429, 502, 503, 504),
    }


def cancel_operation() -> Schema:
    """The request to stop."""
    return {
        "summary": "Cancel an import",
        "operationId": "cancel-import",
        "parameters": [_ID, idempotency_parameter()],
        "responses": _accepted() | failures(400, 401, 404, 409, 422, 429, 502, 503, 504),
    }


def errors_operation() -> Schema:
    """The error file."""
    content = {"text/csv; charset=utf-8": {"schema": {"type": "string"}}}
    return {
        "summary": "Get the refused rows of an import",
        "operationId": "get-import-errors",
        "parameters": [_ID],
        "responses": {
            "200": {"description": "CSV: row, line, column, code, reason, value.", "content": content}
        }
        | failures(400, 401, 404, 429, 502, 503, 504),
    }


def _accepted() -> Schema:
    location = {"Location": {"required": True, "schema": {"type": "string"}}}
    return {
        "202": json_response("Accepted; the job is at Location.", component(ImportJob))
        | {"headers": location}
    }


def _fields_text(targets: Mapping[str, ImportTarget]) -> str:
    lines = [f"{name}: {', '.join(target.fields)}" for name, target in targets.items()]
    return "Resources and their fields. " + "; ".join(lines)
