"""Tickets as a resource: how they are filtered, sorted and searched."""

from typing import get_args

from services.tickets.tickets import models, schemas
from services.tickets.tickets.service import TicketRules
from shared.resources.definition import Resource, Sort, column_filters, column_sorts
from shared.resources.filters import INTEGER, KEY, ArrayFilter, Filter, choice

TICKETS: Resource = Resource(
    name="tickets",
    singular="ticket",
    model=models.Ticket,
    writable=schemas.TicketIn,
    readable=schemas.Ticket,
    filters=column_filters(
        models.Ticket,
        "number",
        "requester_contact_id",
        "queue",
        "assignee",
        "category",
        "subcategory",
        "opened_at",
        "first_responded_at",
        "resolved_at",
        "closed_at",
        "made_sla",
        "reopen_count",
        "reassignment_count",
        status=Filter("t.status", choice(*get_args(schemas.Status))),
        priority=Filter("t.priority", choice(*get_args(schemas.Priority))),
        impact=Filter("t.impact", choice(*get_args(schemas.Level)), nullable=True),
        urgency=Filter("t.urgency", choice(*get_args(schemas.Level)), nullable=True),
        channel=Filter("t.channel", choice(*get_args(schemas.Channel))),
        tag=ArrayFilter("t.tags", KEY),
    ),
    sorts=column_sorts(
        models.Ticket,
        "number",
        "opened_at",
        priority=Sort(models.PRIORITY_RANK.format(column="t.priority"), INTEGER),
    ),
    search=models.SEARCH,
    rules=TicketRules(),
)
