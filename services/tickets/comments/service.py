"""What happens when a comment is written: its ticket's history grows, and the first answer is noted on the ticket."""

from collections.abc import Mapping
from typing import Any

from services.tickets.comments.models import TicketComment
from services.tickets.comments.rules import is_response
from services.tickets.events.rules import Changes, changes_between
from services.tickets.events.service import record_event
from services.tickets.tickets.models import Ticket
from services.tickets.tickets.repository import locked_ticket
from services.tickets.tickets.rules import CLOSED, responded
from services.tickets.tickets.service import course_of, ticket_closed
from shared.problems import not_found
from shared.resources.rules import Rules, Unit


class CommentRules(Rules[TicketComment]):
    """Each locks the ticket, because each adds to its history.

    An event tells what changed on the ticket and which comment it was about. What was said stays with the comment
    alone, so that reading history shows nothing internal and what is taken back is gone.
    """

    async def complete(
        self, unit: Unit, values: dict[str, Any], stored: TicketComment | None, pointer: str
    ) -> None:
        """The author, where the caller names none: whoever wrote it first."""
        if values["author"] is None:
            values["author"] = stored.author if stored is not None else unit.identity.principal

    async def before_create(self, unit: Unit, record: TicketComment) -> None:
        """Raises 409 where the ticket is closed."""
        await _write_history(unit, record, "commented")

    async def before_update(self, unit: Unit, record: TicketComment, before: Mapping[str, Any]) -> None:
        """Raises 409 where the ticket is closed."""
        await _write_history(unit, record, "comment_changed")

    async def before_delete(self, unit: Unit, record: TicketComment) -> None:
        """Also of a closed ticket: what should not have been said can be taken back."""
        ticket = await _ticket(unit, record)
        record_event(unit, ticket, "comment_deleted", {}, comment_id=record.id)

    async def before_restore(self, unit: Unit, record: TicketComment) -> None:
        """Also of a closed ticket."""
        ticket = await _ticket(unit, record)
        record_event(unit, ticket, "comment_restored", {}, comment_id=record.id)


async def _write_history(unit: Unit, comment: TicketComment, kind: str) -> None:
    ticket = await _ticket(unit, comment)
    if ticket.status == CLOSED:
        raise ticket_closed()
    changes = _first_response(unit, ticket, comment)
    record_event(unit, ticket, kind, changes, comment_id=comment.id)


def _first_response(unit: Unit, ticket: Ticket, comment: TicketComment) -> Changes:
    """Notes it on the ticket, which is then a new version; every other comment leaves the ticket as it is."""
    if ticket.first_responded_at is not None or not is_response(comment.visibility, comment.author_kind):
        return {}
    ticket.first_responded_at = responded(course_of(ticket), unit.now)
    ticket.version += 1
    ticket.updated_at = unit.now
    return changes_between({"first_responded_at": None}, {"first_responded_at": ticket.first_responded_at})


async def _ticket(unit: Unit, comment: TicketComment) -> Ticket:
    ticket = await locked_ticket(unit, comment.ticket_id)
    if ticket is None:
        raise not_found("There is no such ticket.")
    return ticket
