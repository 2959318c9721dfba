"""The comments on tickets."""

from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint
from sqlalchemy.orm import Mapped

from services.tickets.models import Base
from shared.database.tables import Record, sort_index


class TicketComment(Record, Base):
    """Something said about a ticket, to everyone (public) or among those who work on it (internal)."""

    __tablename__ = "ticket_comments"

    ticket_id: Mapped[UUID]
    body: Mapped[str]
    visibility: Mapped[str]
    author: Mapped[str]
    author_kind: Mapped[str]

    @classmethod
    def own_indexes(cls) -> tuple[Any, ...]:
        """The conversation of one ticket, and the ticket of the same tenant."""
        return (
            sort_index("ticket_comments", "ticket_id", "created_at"),
            ForeignKeyConstraint(["tenant_id", "ticket_id"], ["tickets.tenant_id", "tickets.id"]),
        )
