"""The routes of import jobs: upload a file, cancel a job, fetch the refused rows."""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from uuid import UUID

import asyncpg
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from shared.database.tables import new_id
from shared.events.recording import act_for
from shared.events.tags import record_tag
from shared.idempotency import Answer
from shared.identity import Identity
from shared.imports import store
from shared.imports.documentation import cancel_operation, create_operation, errors_operation
from shared.imports.multipart import MultipartForm
from shared.imports.plan import Plan, read_plan
from shared.imports.reading.errors import error_file_header, error_file_row
from shared.imports.resource import ENDED
from shared.imports.tables import CHUNK_BYTES
from shared.imports.target import ImportTarget
from shared.problems import FieldError, conflict, invalid_fields, not_found
from shared.resources.definition import Resource
from shared.resources.listing import Selection
from shared.resources.performing import perform
from shared.resources.rules import Unit
from shared.resources.statements import Scope, Statements
from shared.resources.tags import tag_headers
from shared.service.definition import Parts

_CSV = "text/csv; charset=utf-8"


def imports_router(resource: Resource, targets: Mapping[str, ImportTarget], parts: Parts) -> APIRouter:
    """POST, cancel and error file. The service's own shorter path `/v1/imports` takes uploads as well."""
    handlers = _Handlers(resource, targets, parts)
    router = APIRouter(tags=[resource.name])
    path = resource.path
    router.add_api_route(
        path, handlers.create, methods=["POST"], status_code=202, openapi_extra=create_operation(targets)
    )
    router.add_api_route(
        "/v1/imports", handlers.create, methods=["POST"], status_code=202, include_in_schema=False
    )
    router.add_api_route(
        f"{path}/{{id}}/cancellations",
        handlers.cancel,
        methods=["POST"],
        status_code=202,
        openapi_extra=cancel_operation(),
    )
    router.add_api_route(
        f"{path}/{{id}}/errors", handlers.errors, methods=["GET"], openapi_extra=errors_operation()
    )
    return router


@dataclass(frozen=True)
class _Upload:
    """A file that has arrived whole."""

    import_id: UUID
    size: int
    digest: bytes


class _Handlers:
    def __init__(self, resource: Resource, targets: Mapping[str, ImportTarget], parts: Parts) -> None:
        self._resource = resource
        self._targets = targets
        self._database = parts.database
        self._statements = Statements(resource)
        self._whole = Selection(resource.fields)

    async def create(self, request: Request) -> Response:
        """Takes the file as it comes and answers 202 once it is safe."""
        identity: Identity = request.scope["identity"]
        form = MultipartForm(request)
        fields = await form.fields()
        if "mapping" not in fields:
            raise invalid_fields(
                [FieldError("/mapping", "missing", "The form needs a `mapping` before the `file`.")]
            )
        plan = read_plan(fields["mapping"], self._targets)
        async with self._database.connection() as connection:
            await act_for(connection, identity.principal)
            import_id = await self._open(connection, identity, plan, form.file_name)
            try:
                upload = await _store_file(connection, identity.tenant_id, import_id, form.file())
                response = await self._enqueue(request, upload, plan)
            except BaseException:
                await store.forget_upload(connection, identity.tenant_id, import_id)
                raise
            # A replayed key answers with its first job; then this upload is one too many.
            await store.forget_upload(connection, identity.tenant_id, import_id)
            await store.announce(connection)
        return response

    async def cancel(self, request: Request) -> Response:
        """Asks the job to stop; what it has committed stays (`on_error: skip`), or nothing does (`abort`)."""
        import_id = self._id(request)

        async def execute(unit: Unit) -> Answer:
            model = self._resource.record_model
            record = await unit.session.get(model, (unit.tenant_id, import_id), with_for_update=True)
            if record is None:
                raise not_found("There is no such import.")
            status = record.status  # type: ignore[attr-defined]  # every import model has one
            if status in ENDED:
                raise conflict("import_ended", f"The import has ended already: it is {status}.")
            record.cancel_requested = True  # type: ignore[attr-defined]  # as above
            record.version += 1
            await unit.session.flush()
            return await self._answer(unit, import_id)

        return await perform(request, self._database, b"", execute)

    async def errors(self, request: Request) -> Response:
        """The refused rows as CSV: row, line, column, code, reason, value."""
        identity: Identity = request.scope["identity"]
        import_id = self._id(request)
        statement = self._statements.one(Scope(identity.tenant_id), import_id, self._whole)
        if not await self._database.fetch("SELECT imports", statement.sql, *statement.values):
            raise not_found("There is no such import.")
        headers = {
            "Content-Disposition": f'attachment; filename="import-{import_id}-errors.csv"',
            "Cache-Control": "private, no-cache",
            **tag_headers([self._resource.kind, record_tag(self._resource.kind, import_id)]),
        }
        return StreamingResponse(
            self._error_lines(identity.tenant_id, import_id), media_type=_CSV, headers=headers
        )

    async def _error_lines(self, tenant_id: UUID, import_id: UUID) -> AsyncIterator[str]:
        yield error_file_header()
        async with self._database.connection() as connection:
            async for rows in store.read_errors(connection, tenant_id, import_id):
                yield "".join(error_file_row(tuple(row)[1:]) for row in rows)

    async def _open(
        self, connection: asyncpg.Connection, identity: Identity, plan: Plan, file_name: str | None
    ) -> UUID:
        import_id = new_id()
        await connection.execute(
            "INSERT INTO imports (tenant_id, id, resource, status, mapping, file_name, principal, size_bytes, "
            "bytes_read, rows_read, rows_created, rows_updated, rows_unchanged, rows_failed, cancel_requested) "
            "VALUES ($1, $2, $3, 'uploading', $4, $5, $6, 0, 0, 0, 0, 0, 0, 0, false)",
            identity.tenant_id,
            import_id,
            plan.target.resource.name,
            json.dumps(plan.document),
            (file_name or "")[:300].replace("\x00", "") or None,
            identity.principal,
        )
        return import_id

    async def _enqueue(self, request: Request, upload: _Upload, plan: Plan) -> Response:
        payload = upload.digest + json.dumps(plan.document, sort_keys=True).encode()

        async def execute(unit: Unit) -> Answer:
            record = await unit.session.get_one(
                self._resource.record_model, (unit.tenant_id, upload.import_id)
            )
            record.status = "queued"  # type: ignore[attr-defined]  # every import model has one
            record.size_bytes = upload.size  # type: ignore[attr-defined]  # as above
            record.version += 1
            await unit.session.flush()
            return await self._answer(unit, upload.import_id)

        return await perform(request, self._database, payload, execute)

    async def _answer(self, unit: Unit, import_id: UUID) -> Answer:
        statement = self._statements.one(Scope(unit.tenant_id), import_id, self._whole)
        connection = await unit.session.connection()
        body = (await connection.exec_driver_sql(statement.sql, statement.values)).scalar_one().encode()
        headers = {"Content-Type": "application/json", "Location": self._resource.location(import_id)}
        return Answer(202, body, headers)

    @staticmethod
    def _id(request: Request) -> UUID:
        try:
            return UUID(request.path_params["id"])
        except ValueError:
            raise not_found("There is no such import.") from None


async def _store_file(
    connection: asyncpg.Connection, tenant_id: UUID, import_id: UUID, data: AsyncIterator[bytes]
) -> _Upload:
    """Writes the file in chunks as it comes; memory holds one chunk."""
    digest, size, number = blake2b(digest_size=32), 0, 0
    pending = bytearray()
    async for part in data:
        digest.update(part)
        size += len(part)
        pending += part
        if len(pending) >= CHUNK_BYTES:
            await store.add_chunk(connection, tenant_id, import_id, number, bytes(pending))
            number += 1
            pending.clear()
    if pending:
        await store.add_chunk(connection, tenant_id, import_id, number, bytes(pending))
    return _Upload(import_id, size, digest.digest())
