"""The history of a ticket as a resource: read only, oldest first."""

from typing import get_args

from services.tickets.events import models, schemas
from services.tickets.tickets.resource import TICKETS
from shared.resources.definition import READ_ONLY, Parent, Resource, column_filters, column_sorts
from shared.resources.filters import Filter, choice

EVENTS: Resource = Resource(
    name="events",
    singular="ticket event",
    model=models.TicketEvent,
    readable=schemas.TicketEvent,
    filters=column_filters(
        models.TicketEvent,
        "occurred_at",
        "sequence",
        "comment_id",
        "principal",
        kind=Filter("t.kind", choice(*get_args(schemas.Kind))),
    ),
    sorts=column_sorts(models.TicketEvent, "occurred_at"),
    default_sort="occurred_at",
    parent=Parent(TICKETS, "ticket_id"),
    operations=READ_ONLY,
)
