"""The history of tickets: one row for each change, never altered."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from services.tickets.models import Base
from shared.database.tables import HistoryRow, history_index


class TicketEvent(HistoryRow, Base):
    """A change of one ticket: `changes` is `{field: {"from": …, "to": …}}`.

    `sequence` counts a ticket's events in the order in which they were recorded. `source_sequence` is the number that
    an imported one had where it came from: with its instant it tells whether it has been imported already.
    """

    __tablename__ = "ticket_events"
    time_column = "occurred_at"

    occurred_at: Mapped[datetime] = mapped_column(primary_key=True)
    ticket_id: Mapped[UUID]
    sequence: Mapped[int]
    kind: Mapped[str]
    changes: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    comment_id: Mapped[UUID | None]
    source_sequence: Mapped[int | None] = mapped_column(BigInteger)

    @classmethod
    def own_indexes(cls) -> tuple[Any, ...]:
        """The history of one ticket."""
        return (history_index("ticket_events", "ticket_id", "occurred_at"),)
