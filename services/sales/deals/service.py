"""What happens when a deal is written: it gets its stage, its status follows, and its history grows."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from services.sales.deals.models import Deal, DealStageChange
from services.sales.deals.rules import Ending, ending_faults, next_instant, settled_ending
from services.sales.pipelines.models import Pipeline
from services.sales.pipelines.repository import (
    held_default_pipeline,
    held_pipeline,
    held_pipeline_of_stage,
    pipeline_of_any_time,
)
from services.sales.pipelines.rules import Stage, find_stage, first_open_stage
from shared.database.partitions import keep_partitions
from shared.problems import FieldError, conflict, invalid_fields
from shared.resources.rules import Rules, Unit
from shared.service.definition import Parts


class DealRules(Rules[Deal]):
    """The deal's row is locked before any of these but `complete` of a new one."""

    async def complete(self, unit: Unit, values: dict[str, Any], stored: Deal | None, pointer: str) -> None:
        """The stage, where the caller leaves it open; the status that follows from it; and how the deal ends."""
        await _settle_stage(unit, values, stored, pointer)
        before = _ending(stored) if stored is not None else None
        wanted = Ending(values["status"], values["closed_on"], values["loss_reason"])
        ending = settled_ending(wanted, before, unit.now.date())
        faults = ending_faults(ending, values["engaged_on"])
        if faults:
            raise invalid_fields([replace(fault, pointer=pointer + fault.pointer) for fault in faults])
        values["closed_on"], values["loss_reason"] = ending.closed_on, ending.loss_reason

    async def before_create(self, unit: Unit, record: Deal) -> None:
        """A deal's history begins with its first stage."""
        record.stage_changed_at = unit.now
        unit.session.add(await _change(unit, record))

    async def before_update(self, unit: Unit, record: Deal, before: Mapping[str, Any]) -> None:
        """Another stage is another line of its history, at an instant taken while the deal is locked."""
        if record.stage_id != before["stage_id"]:
            record.stage_changed_at = next_instant(datetime.now(UTC), record.stage_changed_at)
            unit.session.add(await _change(unit, record, before["pipeline_id"], before["stage_id"]))

    async def before_restore(self, unit: Unit, record: Deal) -> None:
        """A deal comes back to its stage, if that is still there; the stage may be of another kind by now."""
        pipeline = await held_pipeline(unit, record.pipeline_id)
        stage = find_stage(pipeline.stages, record.stage_id) if pipeline is not None else None
        if stage is None:
            raise conflict("stage_gone", "The deal's stage is gone, so it has nowhere to come back to.")
        carried = replace(_ending(record), status=stage["kind"])
        ending = settled_ending(carried, _ending(record), unit.now.date())
        record.status, record.closed_on = ending.status, ending.closed_on
        record.loss_reason = ending.loss_reason


async def keep_history_partitions(parts: Parts) -> None:
    """A job of the worker: the months of the stage history, made ahead and dropped when they are too old."""
    days = parts.settings.history_retention_days
    await keep_partitions(parts.database, [DealStageChange.__tablename__], retention_days=days)


def _ending(deal: Deal) -> Ending:
    return Ending(deal.status, deal.closed_on, deal.loss_reason)


async def _settle_stage(unit: Unit, values: dict[str, Any], stored: Deal | None, pointer: str) -> None:
    pipeline_id, stage_id = values["pipeline_id"], values["stage_id"]
    if (
        stored is not None
        and pipeline_id in (None, stored.pipeline_id)
        and stage_id in (None, stored.stage_id)
    ):
        values.update(pipeline_id=stored.pipeline_id, stage_id=stored.stage_id, status=stored.status)
        return
    pipeline = await _chosen_pipeline(unit, pipeline_id, stage_id, pointer)
    stage = _chosen_stage(pipeline, stage_id, pointer)
    values.update(pipeline_id=pipeline.id, stage_id=UUID(stage["id"]), status=stage["kind"])


async def _chosen_pipeline(
    unit: Unit, pipeline_id: UUID | None, stage_id: UUID | None, pointer: str
) -> Pipeline:
    if pipeline_id is not None:
        pipeline, field, wanted = await held_pipeline(unit, pipeline_id), "pipeline_id", pipeline_id
    elif stage_id is not None:
        pipeline, field, wanted = await held_pipeline_of_stage(unit, stage_id), "stage_id", stage_id
    else:
        return await held_default_pipeline(unit)
    if pipeline is None:
        detail = f"There is no {field.removesuffix('_id')} {wanted}."
        raise invalid_fields([FieldError(f"{pointer}/{field}", "unknown_reference", detail)])
    return pipeline


def _chosen_stage(pipeline: Pipeline, stage_id: UUID | None, pointer: str) -> Stage:
    if stage_id is None:
        return first_open_stage(pipeline.stages)
    stage = find_stage(pipeline.stages, stage_id)
    if stage is None:
        detail = f"The pipeline {pipeline.name} has no stage {stage_id}."
        raise invalid_fields([FieldError(f"{pointer}/stage_id", "unknown_reference", detail)])
    return stage


async def _change(
    unit: Unit, deal: Deal, from_pipeline_id: UUID | None = None, from_stage_id: UUID | None = None
) -> DealStageChange:
    left: Stage = {"name": None, "kind": None}
    if from_pipeline_id is not None and from_stage_id is not None:
        left = await _stage(unit, from_pipeline_id, from_stage_id)
    entered = await _stage(unit, deal.pipeline_id, deal.stage_id)
    return DealStageChange(
        tenant_id=unit.tenant_id,
        changed_at=deal.stage_changed_at,
        principal=unit.identity.principal,
        deal_id=deal.id,
        from_pipeline_id=from_pipeline_id,
        from_stage_id=from_stage_id,
        from_stage_name=left["name"],
        from_stage_kind=left["kind"],
        to_pipeline_id=deal.pipeline_id,
        to_stage_id=deal.stage_id,
        to_stage_name=entered["name"],
        to_stage_kind=entered["kind"],
    )


async def _stage(unit: Unit, pipeline_id: UUID, stage_id: UUID) -> Stage:
    """A stage that a live deal is or was in until now, so it is there."""
    pipeline = await pipeline_of_any_time(unit, pipeline_id)
    stage = find_stage(pipeline.stages, stage_id)
    assert stage is not None  # noqa: S101 (stages with deals in them are never removed)
    return stage
