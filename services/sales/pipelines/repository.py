"""Finding pipelines for deals, and making the first one of a tenant.

Whoever reads a pipeline here keeps others from changing its stages until the transaction ends: changing them
updates the row, and that waits for, and is waited for by, the share lock taken here.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.dialects.postgresql import insert

from services.sales.pipelines.models import Pipeline
from services.sales.pipelines.rules import DEFAULT_NAME, default_stages
from shared.database.tables import new_id
from shared.resources.rules import Unit


async def held_pipeline(unit: Unit, pipeline_id: UUID) -> Pipeline | None:
    """The live pipeline of this id, its stages held."""
    return await _held(unit, _live(unit).where(Pipeline.id == pipeline_id))


async def held_pipeline_of_stage(unit: Unit, stage_id: UUID) -> Pipeline | None:
    """The live pipeline that has this stage, its stages held."""
    return await _held(unit, _live(unit).where(Pipeline.stages.contains([{"id": str(stage_id)}])))


async def held_default_pipeline(unit: Unit) -> Pipeline:
    """The tenant's oldest live pipeline, its stages held; made now if there is none."""
    oldest = _live(unit).order_by(Pipeline.created_at, Pipeline.id).limit(1)
    pipeline = await _held(unit, oldest)
    if pipeline is None:
        await _make_default(unit)
        pipeline = await _held(unit, oldest)
    assert pipeline is not None  # noqa: S101 (made a statement ago, or by whoever won the name)
    return pipeline


async def pipeline_of_any_time(unit: Unit, pipeline_id: UUID) -> Pipeline:
    """The pipeline of this id, which exists, without holding its stages beyond what is held already."""
    with unit.session.no_autoflush:
        return await unit.session.get_one(Pipeline, (unit.tenant_id, pipeline_id))


def _live(unit: Unit) -> Select[Any]:
    return select(Pipeline).where(Pipeline.tenant_id == unit.tenant_id, Pipeline.deleted_at.is_(None))


async def _held(unit: Unit, statement: Select[Any]) -> Pipeline | None:
    locked = statement.with_for_update(read=True).execution_options(populate_existing=True)
    with unit.session.no_autoflush:
        pipeline: Pipeline | None = (await unit.session.execute(locked)).scalars().first()
    return pipeline


async def _make_default(unit: Unit) -> None:
    """Of several at once, the unique name lets one through; the others wait for it and then do nothing."""
    values = {
        "tenant_id": unit.tenant_id,
        "id": new_id(),
        "name": DEFAULT_NAME,
        "stages": default_stages(new_id),
        "created_at": unit.now,
        "updated_at": unit.now,
    }
    await unit.session.execute(insert(Pipeline).values(values).on_conflict_do_nothing())
