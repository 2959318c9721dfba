"""Pipelines as callers write and read them."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from services.sales.pipelines.rules import MAX_STAGES
from shared.fields import Line, Word
from shared.resources.definition import Document, RecordDocument, WritableDocument

Kind = Literal["open", "won", "lost"]


class StageIn(Document):
    """One stage. Without an `id` it is the pipeline's stage of the same name, or a new one.

    `probability` (per cent) is always 100 for a won stage and 0 for a lost one, and may be left out there.
    """

    id: UUID | None = None
    name: Word
    kind: Kind
    probability: Annotated[int, Field(ge=0, le=100)] | None = None


class PipelineIn(WritableDocument):
    """The stages that a kind of deal goes through, in order; at least one of them is open."""

    name: Line
    stages: Annotated[list[StageIn], Field(min_length=1, max_length=MAX_STAGES)]


class Stage(Document):
    """One stage of a pipeline; `probability` of winning in per cent."""

    id: str
    name: str
    kind: Kind
    probability: int


class Pipeline(RecordDocument):
    """The stages that a kind of deal goes through, in order."""

    name: str
    stages: list[Stage]
