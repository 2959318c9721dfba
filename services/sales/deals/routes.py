"""Moving a deal to another stage as an action: `POST /v1/deals/{id}/stage-changes`."""

from uuid import UUID

from fastapi import APIRouter
from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import Response

from services.sales.deals.models import Deal, DealStageChange
from services.sales.deals.resource import DEALS, STAGE_CHANGES
from services.sales.deals.schemas import StageChangeIn
from shared.idempotency import Answer
from shared.problems import conflict, not_found
from shared.resources.bodies import parse_object, read_body, validated
from shared.resources.documentation import component, failures, idempotency_parameter, json_response
from shared.resources.etags import check_if_match, entity_tag
from shared.resources.listing import Selection
from shared.resources.performing import perform
from shared.resources.rules import Unit
from shared.resources.statements import Scope, Statements
from shared.resources.writing import Writer
from shared.service.definition import Parts

_WHOLE = Selection(STAGE_CHANGES.fields)


def stage_change_router(parts: Parts) -> APIRouter:
    """The route, over this process's database."""
    router = APIRouter(tags=[STAGE_CHANGES.name])
    writer, statements = Writer(DEALS), Statements(STAGE_CHANGES)

    async def change_stage(request: Request) -> Response:
        body = await read_body(request)
        document = parse_object(body)
        change = validated(StageChangeIn, document)
        deal_id = _deal_id(request)
        if_match = request.headers.get("if-match")

        async def execute(unit: Unit) -> Answer:
            await _refuse_same_stage(unit, deal_id, change.stage_id, if_match)
            # Only the members that were sent: what is absent from a patch is left alone.
            patch = {**document, "pipeline_id": None}
            await writer.update(unit, Scope(unit.tenant_id), deal_id, patch, if_match)
            return await _answer(unit, statements, deal_id)

        return await perform(request, parts.database, body, execute)

    router.add_api_route(
        STAGE_CHANGES.path,
        change_stage,
        methods=["POST"],
        status_code=201,
        response_class=Response,
        name="create stage-changes",
        operation_id="create-deals-stage-changes",
        summary="Move a deal to another stage",
        openapi_extra=_documented(),
    )
    return router


def _deal_id(request: Request) -> UUID:
    try:
        return UUID(request.path_params["parent_id"])
    except ValueError:
        raise not_found("There is no such deal.") from None


async def _refuse_same_stage(unit: Unit, deal_id: UUID, stage_id: UUID, if_match: str | None) -> None:
    """Locks the deal. A click that was sent twice makes one change and one 409, never two changes."""
    statement = select(Deal).where(
        Deal.tenant_id == unit.tenant_id, Deal.id == deal_id, Deal.deleted_at.is_(None)
    )
    deal = (await unit.session.execute(statement.with_for_update())).scalar_one_or_none()
    if deal is None:
        raise not_found("There is no such deal.")
    check_if_match(if_match, deal.version)
    if deal.stage_id == stage_id:
        raise conflict("already_in_stage", "The deal is in this stage already.")


async def _answer(unit: Unit, statements: Statements, deal_id: UUID) -> Answer:
    deal = await unit.session.get_one(Deal, (unit.tenant_id, deal_id))
    newest = select(DealStageChange.id).where(
        DealStageChange.tenant_id == unit.tenant_id,
        DealStageChange.deal_id == deal_id,
        DealStageChange.changed_at == deal.stage_changed_at,
    )
    change_id = (await unit.session.execute(newest)).scalar_one()
    statement = statements.one(Scope(unit.tenant_id, deal_id), change_id, _WHOLE)
    connection = await unit.session.connection()
    row = (await connection.exec_driver_sql(statement.sql, statement.values)).one()
    body = row.body.encode()
    headers = {
        "Content-Type": "application/json",
        "ETag": entity_tag(row.version, body, whole=True),
        "Location": STAGE_CHANGES.location(change_id, deal_id),
    }
    return Answer(201, body, headers)


def _documented() -> dict[str, object]:
    answer = json_response("The change.", component(STAGE_CHANGES.readable))
    header = {"required": True, "schema": {"type": "string"}}
    return {
        "parameters": [
            {
                "name": "parent_id",
                "in": "path",
                "required": True,
                "schema": {"type": "string", "format": "uuid"},
            },
            {
                "name": "If-Match",
                "in": "header",
                "description": "Answers 412 unless the deal still has this entity tag.",
                "schema": {"type": "string", "pattern": r'^("[0-9a-f-]{1,40}"|\*)$'},
            },
            idempotency_parameter(),
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": component(StageChangeIn)}},
        },
        "responses": {
            "201": answer | {"headers": {"ETag": header, "Location": header}},
            **failures(400, 401, 404, 409, 412, 413, 415, 422, 429, 502, 503, 504),
        },
    }
