"""Events as callers read them."""

from typing import Any, Literal

from shared.fields import Instant
from shared.resources.definition import Document

Kind = Literal[
    "created",
    "changed",
    "status_changed",
    "assigned",
    "commented",
    "comment_changed",
    "comment_deleted",
    "comment_restored",
    "deleted",
    "restored",
    "imported",
]


class TicketEvent(Document):
    """A change of a ticket: what it was, when, by whom, and each field with its value before and after.

    The event of a comment names it by `comment_id`; its `changes` are the ticket's, such as the first response.
    """

    id: str
    ticket_id: str
    sequence: int
    kind: Kind
    changes: dict[str, Any]
    comment_id: str | None
    source_sequence: int | None
    occurred_at: Instant
    principal: str
