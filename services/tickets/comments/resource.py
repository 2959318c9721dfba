"""Comments as a resource: parts of a ticket, in the order in which they were made."""

from typing import get_args

from services.tickets.comments import models, schemas
from services.tickets.comments.service import CommentRules
from services.tickets.tickets.resource import TICKETS
from shared.resources.definition import Parent, Resource, column_filters, column_sorts
from shared.resources.filters import KEY, Filter, choice

COMMENTS: Resource = Resource(
    name="comments",
    singular="comment",
    model=models.TicketComment,
    writable=schemas.TicketCommentIn,
    readable=schemas.TicketComment,
    filters=column_filters(
        models.TicketComment,
        visibility=Filter("t.visibility", choice(*get_args(schemas.Visibility))),
        author=Filter("t.author", KEY),
        author_kind=Filter("t.author_kind", choice(*get_args(schemas.AuthorKind))),
    ),
    sorts=column_sorts(models.TicketComment),
    default_sort="created_at",
    rules=CommentRules(),
    parent=Parent(TICKETS, "ticket_id"),
)
