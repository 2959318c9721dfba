"""The routes of a resource: HTTP on one side, the use cases on the other.

The handlers take the bare request: what FastAPI would parse and validate per parameter is read here by the
resource's own declaration, with problems that name the parameter, and is documented from the same declaration.
"""

from collections.abc import Iterable
from functools import cached_property
from urllib.parse import quote, urlencode
from uuid import UUID

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from shared.database.database import Database
from shared.idempotency import Answer
from shared.problems import FieldError, invalid_fields, not_found
from shared.resources.bodies import PATCH_JSON, parse_json, parse_object, read_body, validated
from shared.resources.bulk import BulkRequest, apply_items, render_outcomes
from shared.resources.cursors import CursorSigner
from shared.resources.definition import Resource
from shared.resources.documentation import Endpoint, operation
from shared.resources.etags import entity_tag, not_modified
from shared.resources.listing import QueryReader, Selection
from shared.resources.performing import perform
from shared.resources.reading import Found, Reader
from shared.resources.rules import Unit
from shared.resources.statements import Scope
from shared.resources.tags import Headers, ResourceTags
from shared.resources.writing import Writer, Written

JSON = "application/json"
_CACHE = "private, no-cache"


def add_resource_routes(app: FastAPI, resource: Resource, endpoints: Iterable[Endpoint]) -> None:
    """Every route that the resource declares, directly on the application: a router in between costs a look-up."""
    for endpoint in endpoints:
        app.add_api_route(
            endpoint.path,
            endpoint.handler,
            methods=[endpoint.method],
            status_code=endpoint.status,
            response_class=Response,
            name=f"{endpoint.operation} {resource.name}",
            operation_id=f"{endpoint.operation}-{'-'.join(resource.path.split('/')[2:])}".replace(
                "-{parent_id}", ""
            ),
            openapi_extra=operation(resource, endpoint),
            tags=[resource.name],
        )


class Handlers:
    """The handlers of one resource."""

    def __init__(self, resource: Resource, database: Database, signer: CursorSigner) -> None:
        self._resource = resource
        self._database = database
        self._reader = Reader(resource, database, signer)
        self._query = QueryReader(resource)
        self._tags = ResourceTags(resource)
        self._whole = Selection(resource.fields)

    @cached_property
    def _writer(self) -> Writer:
        """Made when first needed: what is read-only has none."""
        return Writer(self._resource)

    def endpoints(self) -> list[Endpoint]:
        """What the resource declares, most specific paths first."""
        path = self._resource.path
        named, one = f"{path}/by-external-id/{{source}}/{{external_id:path}}", f"{path}/{{id}}"
        every = [
            Endpoint("list", "GET", path, self.list),
            Endpoint("create", "POST", path, self.create, 201),
            Endpoint("bulk", "POST", f"{path}/bulk", self.bulk),
            Endpoint("get_by_external_id", "GET", named, self.get_by_external_id),
            Endpoint("upsert", "PUT", named, self.upsert),
            Endpoint("restore", "POST", f"{one}/restorations", self.restore, 201),
            Endpoint("get", "GET", one, self.get),
            Endpoint("update", "PATCH", one, self.update),
            Endpoint("delete", "DELETE", one, self.delete, 204),
        ]
        wanted = self._resource.operations
        return [
            e
            for e in every
            if e.operation in wanted or (e.operation == "get_by_external_id" and "upsert" in wanted)
        ]

    async def list(self, request: Request) -> Response:
        """A page."""
        pairs = request.query_params.multi_items()
        scope, question = _scope(request), self._query.question(pairs)
        page = await self._reader.page(scope, question)
        headers = {"Cache-Control": _CACHE, **self._tags.of_list(scope, question.selection)}
        if page.next_cursor is not None:
            rest = [(name, value) for name, value in pairs if name != "cursor"]
            query = urlencode([*rest, ("cursor", page.next_cursor)], safe="[]")
            path = quote(request.scope["path"])  # `request.url` would put the whole address together first
            headers["Link"] = f'<{path}?{query}>; rel="next"'
        return Response(page.body, media_type=JSON, headers=headers)

    async def get(self, request: Request) -> Response:
        """One record by its id."""
        scope, selection = _scope(request), self._selection(request)
        found = await self._reader.one(scope, self._record_id(request), selection)
        return _single(request, found, selection, self._tags.of_one(scope, found, selection))

    async def get_by_external_id(self, request: Request) -> Response:
        """One record by another system's id."""
        scope, selection = _scope(request), self._selection(request)
        source, external_id = _external_id(request)
        found = await self._reader.one_by_external_id(scope, source, external_id, selection)
        return _single(request, found, selection, self._tags.of_one(scope, found, selection))

    async def create(self, request: Request) -> Response:
        """A new record."""
        body = await read_body(request)
        document, scope = parse_object(body), _scope(request)

        async def execute(unit: Unit) -> Answer:
            return self._answer(scope, await self._writer.create(unit, scope, document))

        return await perform(request, self._database, body, execute)

    async def update(self, request: Request) -> Response:
        """A merge patch."""
        body = await read_body(request, PATCH_JSON)
        patch, scope, record_id = parse_json(body), _scope(request), self._record_id(request)
        if not isinstance(patch, dict):
            raise invalid_fields([FieldError("", "object_expected", "The patch must be a JSON object.")])
        if_match = request.headers.get("if-match")

        async def execute(unit: Unit) -> Answer:
            return self._answer(scope, await self._writer.update(unit, scope, record_id, patch, if_match))

        return await perform(request, self._database, body, execute)

    async def upsert(self, request: Request) -> Response:
        """Create or replace by another system's id."""
        body = await read_body(request)
        document, scope = parse_object(body), _scope(request)
        (source, external_id), if_match = _external_id(request), request.headers.get("if-match")

        async def execute(unit: Unit) -> Answer:
            written = await self._writer.upsert(unit, scope, source, external_id, document, if_match)
            return self._answer(scope, written)

        return await perform(request, self._database, body, execute)

    async def delete(self, request: Request) -> Response:
        """A soft delete."""
        scope, record_id = _scope(request), self._record_id(request)
        if_match = request.headers.get("if-match")

        async def execute(unit: Unit) -> Answer:
            await self._writer.delete(unit, scope, record_id, if_match)
            return Answer(204)

        return await perform(request, self._database, b"", execute)

    async def restore(self, request: Request) -> Response:
        """Bring a deleted record back."""
        scope, record_id = _scope(request), self._record_id(request)

        async def execute(unit: Unit) -> Answer:
            return self._answer(scope, await self._writer.restore(unit, scope, record_id), status=201)

        return await perform(request, self._database, b"", execute)

    async def bulk(self, request: Request) -> Response:
        """Many changes in one call."""
        body = await read_body(request)
        items, scope = validated(BulkRequest, parse_object(body)), _scope(request)

        async def execute(unit: Unit) -> Answer:
            outcomes = await apply_items(unit, scope, self._writer, items)
            body = render_outcomes(
                outcomes, request_id=request.scope["request_id"], instance=request.url.path
            )
            return Answer(200, body, {"Content-Type": JSON})

        return await perform(request, self._database, body, execute)

    def _answer(self, scope: Scope, written: Written, status: int | None = None) -> Answer:
        found = written.found
        headers = {"Content-Type": JSON, "ETag": entity_tag(found.version, found.body, whole=True)}
        status = status or (201 if written.created else 200)
        if status == 201:
            headers["Location"] = self._resource.location(found.record_id, scope.parent_id)
        return Answer(status, found.body, headers)

    def _selection(self, request: Request) -> Selection:
        if not request.scope["query_string"]:
            return self._whole
        return self._query.selection(request.query_params.multi_items())

    def _record_id(self, request: Request) -> UUID:
        return _path_id(request, "id", self._resource.singular)


def _single(request: Request, found: Found, selection: Selection, tags: Headers) -> Response:
    tag = entity_tag(found.version, found.body, whole=selection.whole)
    headers = {"ETag": tag, "Cache-Control": _CACHE, **tags}
    if not_modified(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    return Response(found.body, media_type=JSON, headers=headers)


def _scope(request: Request) -> Scope:
    parent = _path_id(request, "parent_id", "record") if "parent_id" in request.path_params else None
    return Scope(request.scope["identity"].tenant_id, parent)


def _path_id(request: Request, name: str, noun: str) -> UUID:
    """An id in the path; what is no id names nothing."""
    text: str = request.path_params[name]
    try:
        return UUID(text)
    except ValueError:
        raise not_found(f"There is no such {noun}.") from None


def _external_id(request: Request) -> tuple[str, str]:
    source, external_id = request.path_params["source"], request.path_params["external_id"]
    if "\x00" in source + external_id:
        raise not_found("There is no such external id.")
    return source, external_id
