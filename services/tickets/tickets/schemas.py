"""Tickets as callers write and read them."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from shared.fields import Instant, Line, Prose, Word
from shared.resources.definition import RecordDocument, WritableDocument

Status = Literal["new", "open", "pending", "on_hold", "resolved", "closed"]
Priority = Literal["low", "normal", "high", "urgent"]
Level = Literal["high", "medium", "low"]
"""ITIL's three levels of impact and urgency, by name: whether 1 or 3 is the worst need not be remembered."""
Channel = Literal[
    "email",
    "phone",
    "web",
    "chat",
    "messaging",
    "social",
    "api",
    "self_service",
    "walk_in",
    "monitoring",
    "other",
]

MAX_ATTRIBUTES = 50
MAX_ATTRIBUTE_NAME = 100
MAX_ATTRIBUTE_TEXT = 2_000
MAX_TAGS = 50
# RFC 7493: beyond this, programs that read JSON numbers as doubles see another number.
_EXACT = 2**53 - 1


def _scalar(value: Any) -> Any:
    if isinstance(value, str):
        return _text(value, MAX_ATTRIBUTE_TEXT)
    if isinstance(value, int) and not -_EXACT <= value <= _EXACT:
        raise PydanticCustomError("number_too_large", "must lie within 2^53 of zero; send it as a text")
    if value is not None and not isinstance(value, int | float):
        raise PydanticCustomError("scalar", "must be a text, a number, true, false or null")
    return value


def _text(value: str, max_length: int) -> str:
    if "\x00" in value:
        raise PydanticCustomError("nul_character", "must not contain the NUL character")
    if len(value) > max_length:
        raise PydanticCustomError("too_long", "must have at most {max} characters", {"max": max_length})
    return value


def _named(value: dict[str, Any]) -> dict[str, Any]:
    for name in value:
        if not name.strip():
            raise PydanticCustomError("blank", "must not have an empty or blank name")
        _text(name, MAX_ATTRIBUTE_NAME)
    return value


Scalar = Annotated[
    Any,
    AfterValidator(_scalar),
    WithJsonSchema({"type": ["string", "number", "boolean", "null"], "maxLength": MAX_ATTRIBUTE_TEXT}),
]
Attributes = Annotated[dict[str, Scalar], Field(max_length=MAX_ATTRIBUTES), AfterValidator(_named)]
"""Whatever else the other system knows of the ticket: names and plain values. A patch merges it (RFC 7396)."""


class TicketIn(WritableDocument):
    """A ticket. Left out, its status and priority stay as they are (at first `new`, and what impact and urgency imply),
    and so do the instants that follow from the status. Once closed, a ticket takes no more changes."""

    subject: Line
    description: Prose | None = None
    status: Status | None = None
    priority: Priority | None = None
    impact: Level | None = None
    urgency: Level | None = None
    channel: Channel = "api"
    requester_contact_id: UUID | None = None
    queue: Word | None = None
    assignee: Word | None = None
    category: Word | None = None
    subcategory: Word | None = None
    tags: Annotated[list[Word], Field(default_factory=list, max_length=MAX_TAGS)]
    opened_at: Instant | None = None
    first_responded_at: Instant | None = None
    resolved_at: Instant | None = None
    closed_at: Instant | None = None
    made_sla: bool | None = None
    attributes: Annotated[Attributes, Field(default_factory=dict)]


class Ticket(RecordDocument):
    """A ticket. `number` is the tenant's own count; `made_sla` says whether the promise to the requester was kept."""

    number: int
    subject: str
    description: str | None
    status: Status
    priority: Priority
    impact: Level | None
    urgency: Level | None
    channel: Channel
    requester_contact_id: UUID | None
    queue: str | None
    assignee: str | None
    category: str | None
    subcategory: str | None
    tags: list[str]
    opened_at: Instant
    first_responded_at: Instant | None
    resolved_at: Instant | None
    closed_at: Instant | None
    made_sla: bool | None
    reopen_count: int
    reassignment_count: int
    attributes: dict[str, Scalar]
