"""What happens when a pipeline changes: stages get their ids, and none goes while deals are in it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import text

from services.sales.pipelines.models import Pipeline
from services.sales.pipelines.rules import Stage, protected_stages, settled_stages, stage_faults
from shared.database.tables import new_id
from shared.problems import conflict, invalid_fields
from shared.resources.rules import Rules, Unit

_DEALS_IN_STAGES = text(
    "SELECT stage_id, count(*) FROM deals "
    "WHERE tenant_id = :tenant_id AND pipeline_id = :pipeline_id AND stage_id = ANY(:stage_ids) "
    "AND deleted_at IS NULL GROUP BY stage_id"
)


class PipelineRules(Rules[Pipeline]):
    """The pipeline's row is locked before any of these, so no deal enters a stage meanwhile."""

    async def complete(
        self, unit: Unit, values: dict[str, Any], stored: Pipeline | None, pointer: str
    ) -> None:
        """Checks the stages against one another, and gives each an id and a probability."""
        before: Sequence[Stage] = stored.stages if stored is not None else ()
        faults = stage_faults(values["stages"], (stage["id"] for stage in before))
        if faults:
            raise invalid_fields([replace(fault, pointer=pointer + fault.pointer) for fault in faults])
        values["stages"] = settled_stages(values["stages"], before, new_id)

    async def before_update(self, unit: Unit, record: Pipeline, before: Mapping[str, Any]) -> None:
        """A stage with deals in it stays, and stays of its kind."""
        await _refuse_used(unit, record, protected_stages(before["stages"], record.stages))

    async def before_delete(self, unit: Unit, record: Pipeline) -> None:
        """A pipeline with deals in it stays."""
        await _refuse_used(unit, record, record.stages)


async def _refuse_used(unit: Unit, pipeline: Pipeline, stages: Sequence[Stage]) -> None:
    if not stages:
        return
    ids = {
        "tenant_id": unit.tenant_id,
        "pipeline_id": pipeline.id,
        "stage_ids": [UUID(stage["id"]) for stage in stages],
    }
    with unit.session.no_autoflush:
        counts = {str(row[0]): row[1] for row in await unit.session.execute(_DEALS_IN_STAGES, ids)}
    used = [
        {"id": stage["id"], "name": stage["name"], "deals": counts[stage["id"]]}
        for stage in stages
        if stage["id"] in counts
    ]
    if used:
        listed = ", ".join(f"{stage['name']} has {stage['deals']:,}" for stage in used)
        detail = f"Deals are in stages that would go or change their kind: {listed}. Move them first."
        raise conflict("stage_in_use", detail, stages=used)
