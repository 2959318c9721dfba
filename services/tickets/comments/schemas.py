"""Comments as callers write and read them."""

from typing import Annotated, Literal

from pydantic import StringConstraints

from shared.fields import Key, Prose
from shared.resources.definition import RecordDocument, WritableDocument

Visibility = Literal["public", "internal"]
AuthorKind = Literal["agent", "requester"]


class TicketCommentIn(WritableDocument):
    """A comment. Its author is whoever writes it, unless another is named; the first public one by an agent is the
    ticket's first response."""

    body: Annotated[Prose, StringConstraints(min_length=1)]
    visibility: Visibility = "public"
    author: Key | None = None
    author_kind: AuthorKind = "agent"


class TicketComment(RecordDocument):
    """A comment on a ticket."""

    ticket_id: str
    body: str
    visibility: Visibility
    author: str
    author_kind: AuthorKind
