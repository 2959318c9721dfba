"""Deals and their stage changes as callers write and read them."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from shared.fields import Instant, Line, Money, PlainDate, Prose
from shared.resources.definition import Document, RecordDocument, WritableDocument

MAX_CONTACTS = 100
Status = Literal["open", "won", "lost"]


def _distinct(ids: list[UUID]) -> list[UUID]:
    if len(set(ids)) < len(ids):
        raise PydanticCustomError("repeated", "must not name a contact twice")
    return ids


ContactIds = Annotated[list[UUID], Field(max_length=MAX_CONTACTS), AfterValidator(_distinct)]


class DealIn(WritableDocument):
    """Something that may be sold to someone.

    Without a stage a new deal begins in the first open stage of its pipeline, and without a pipeline in the
    tenant's oldest one; an existing deal stays where it is. Accounts and contacts belong to another service and
    are not checked here. `closed_on` is today when a deal is won or lost without one, and goes when it is reopened;
    `loss_reason` is for lost deals only.
    """

    name: Line | None = None
    account_id: UUID | None = None
    contact_ids: ContactIds = Field(default_factory=list)
    product_id: UUID | None = None
    rep_id: UUID | None = None
    pipeline_id: UUID | None = None
    stage_id: UUID | None = None
    amount: Money | None = None
    engaged_on: PlainDate | None = None
    closed_on: PlainDate | None = None
    loss_reason: Prose | None = None


class Deal(RecordDocument):
    """Something that may be sold to someone. `status` is the kind of its stage."""

    name: str | None
    account_id: UUID | None
    contact_ids: list[UUID]
    product_id: UUID | None
    rep_id: UUID | None
    pipeline_id: UUID
    stage_id: UUID
    status: Status
    amount: Money | None
    engaged_on: PlainDate | None
    closed_on: PlainDate | None
    loss_reason: str | None
    stage_changed_at: Instant


class StageChangeIn(Document):
    """Move a deal to another stage; the rest as in a patch of the deal."""

    stage_id: UUID
    closed_on: PlainDate | None = None
    loss_reason: Prose | None = None


class StageChange(Document):
    """A deal came into a stage, at this instant and by this principal; the first time from nowhere."""

    id: str
    deal_id: UUID
    from_pipeline_id: UUID | None
    from_stage_id: UUID | None
    from_stage_name: str | None
    from_stage_kind: Status | None
    to_pipeline_id: UUID
    to_stage_id: UUID
    to_stage_name: str
    to_stage_kind: Status
    changed_at: Instant
    principal: str


class Total(Document):
    """The sum of amounts in one currency, exact however large it is."""

    amount: Annotated[str, WithJsonSchema({"type": "string", "pattern": r"^-?\d+(\.\d{1,4})?$"})]
    currency: str


class KindSummary(Document):
    """The deals in stages of one kind. A deal without an amount counts and adds nothing."""

    count: int
    amounts: list[Total]


class ByStageKind(Document):
    """Every kind of stage, also one without deals."""

    open: KindSummary
    won: KindSummary
    lost: KindSummary


class DealSummary(Document):
    """What the deals of a list come to. Amounts of different currencies are never added up."""

    count: int
    won_count: int
    won_amounts: list[Total]
    by_stage_kind: ByStageKind
