"""Writing history: in the transaction of the change, while the ticket's row is locked."""

from datetime import UTC, datetime
from uuid import UUID

from services.tickets.events.models import TicketEvent
from services.tickets.events.rules import Changes, next_instant
from services.tickets.tickets.models import Ticket
from shared.database.partitions import keep_partitions
from shared.resources.rules import Unit
from shared.service.definition import Parts


def record_event(
    unit: Unit, ticket: Ticket, kind: str, changes: Changes, *, comment_id: UUID | None = None
) -> None:
    """Adds the ticket's next event.

    The unit's own instant was taken before the lock was won, and may lie before the winner's event.
    """
    ticket.event_count += 1
    ticket.last_event_at = next_instant(datetime.now(UTC), ticket.last_event_at)
    event = TicketEvent(
        tenant_id=unit.tenant_id,
        occurred_at=ticket.last_event_at,
        principal=unit.identity.principal,
        ticket_id=ticket.id,
        sequence=ticket.event_count,
        kind=kind,
        changes=changes,
        comment_id=comment_id,
    )
    unit.session.add(event)


async def keep_history_partitions(parts: Parts) -> None:
    """A job of the worker: the months of the history, made ahead and dropped when they are too old."""
    days = parts.settings.history_retention_days
    await keep_partitions(parts.database, [TicketEvent.__tablename__], retention_days=days)
