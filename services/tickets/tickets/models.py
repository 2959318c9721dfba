"""The tickets table, and the counter that their numbers come from."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from services.tickets.models import Base
from shared.database.tables import Record, live, search_index, sort_index, text_expression
from shared.resources.search import search_vector

# A description may be a whole log file; its first pages are what people search for, and they bound the index.
SEARCH = search_vector("number::text", "subject", "left(description, 10000)")
PRIORITY_RANK = "(CASE {column} WHEN 'urgent' THEN 4 WHEN 'high' THEN 3 WHEN 'normal' THEN 2 ELSE 1 END)"


class Ticket(Record, Base):
    """A request for help, from its first word to its end.

    `event_count` and `last_event_at` belong to its history: they give the next event its place in the order.
    `source_sequence` is the other system's own count of changes, by which an import knows an older row from a newer.
    """

    __tablename__ = "tickets"

    number: Mapped[int] = mapped_column(BigInteger)
    subject: Mapped[str]
    description: Mapped[str | None]
    status: Mapped[str]
    priority: Mapped[str]
    impact: Mapped[str | None]
    urgency: Mapped[str | None]
    channel: Mapped[str]
    requester_contact_id: Mapped[UUID | None]
    queue: Mapped[str | None]
    assignee: Mapped[str | None]
    category: Mapped[str | None]
    subcategory: Mapped[str | None]
    tags: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    opened_at: Mapped[datetime]
    first_responded_at: Mapped[datetime | None]
    resolved_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    made_sla: Mapped[bool | None]
    reopen_count: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    reassignment_count: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    attributes: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    source_sequence: Mapped[int | None] = mapped_column(BigInteger)
    event_count: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    last_event_at: Mapped[datetime | None]

    @classmethod
    def own_indexes(cls) -> tuple[Any, ...]:
        """The number, the desk's views (one status, one queue, one agent, one requester), sorts, search, tags.

        Everything else that can be filtered has few values, each with many tickets: such a list finds its page along
        the sort's index.
        """
        rank = text_expression(PRIORITY_RANK.format(column="priority"))
        return (
            # A number is never given twice, not even after its ticket was deleted.
            Index("uq_tickets_number", "tenant_id", "number", unique=True),
            sort_index("tickets", "status", "created_at"),
            sort_index("tickets", text_expression("lower(queue)"), "created_at", name="queue"),
            sort_index("tickets", text_expression("lower(assignee)"), "created_at", name="assignee"),
            sort_index("tickets", "requester_contact_id", "created_at"),
            sort_index("tickets", "opened_at"),
            sort_index("tickets", rank, name="priority"),
            Index("ix_tickets_tags", "tags", postgresql_using="gin", postgresql_where=live()),
            search_index("tickets", SEARCH),
        )


class TicketCounter(Base):
    """The last number that a tenant's tickets were given."""

    __tablename__ = "ticket_counters"

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    last_number: Mapped[int] = mapped_column(BigInteger)
