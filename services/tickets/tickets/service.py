"""What happens when a ticket is written: it gets its number, its course is settled, and its history grows."""

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from services.tickets.events.rules import changes_between, kind_of_change
from services.tickets.events.service import record_event
from services.tickets.tickets.models import Ticket
from services.tickets.tickets.repository import next_number
from services.tickets.tickets.rules import (
    CLOSED,
    Course,
    course_faults,
    implied_priority,
    is_reassignment,
    is_reopening,
    settled_course,
)
from services.tickets.tickets.schemas import TicketIn
from shared.problems import Problem, conflict, invalid_fields
from shared.resources.rules import Rules, Unit

_COURSE = tuple(member.name for member in fields(Course))
# A new ticket's history begins with all that it was made with, so that history alone tells any earlier state.
_MADE_WITH = (*TicketIn.model_fields, "number")


class TicketRules(Rules[Ticket]):
    """The ticket's row is locked before any of these but those of a new one."""

    async def complete(self, unit: Unit, values: dict[str, Any], stored: Ticket | None, pointer: str) -> None:
        """What the caller left open, and the counts that follow from the change."""
        if stored is not None and stored.status == CLOSED:
            _keep_as_closed(values, stored)
            return
        before = course_of(stored) if stored is not None else None
        course = settled_course(Course(**{name: values[name] for name in _COURSE}), before, unit.now)
        faults = course_faults(course, before)
        if faults:
            raise invalid_fields([replace(fault, pointer=pointer + fault.pointer) for fault in faults])
        values.update(asdict(course))
        if values["priority"] is None:
            implied = implied_priority(values["impact"], values["urgency"])
            values["priority"] = stored.priority if stored is not None else implied
        if stored is not None:
            values.update(_counts(stored, values))

    async def before_create(self, unit: Unit, record: Ticket) -> None:
        """The number is taken as late as possible, because other new tickets wait for it."""
        record.number = await next_number(unit)
        record.reopen_count = record.reassignment_count = record.event_count = 0
        made_with = {name: getattr(record, name) for name in _MADE_WITH}
        filled = {name: value for name, value in made_with.items() if value not in (None, [], {})}
        record_event(unit, record, "created", changes_between(dict.fromkeys(filled), filled))

    async def before_update(self, unit: Unit, record: Ticket, before: Mapping[str, Any]) -> None:
        """One event with all that changed. Raises 409 for a closed ticket."""
        if before["status"] == CLOSED:
            raise ticket_closed()
        changes = changes_between(before, {name: getattr(record, name) for name in before})
        record_event(unit, record, kind_of_change(changes), changes)

    async def before_delete(self, unit: Unit, record: Ticket) -> None:
        """Also a closed ticket can be deleted."""
        record_event(unit, record, "deleted", changes_between({"deleted_at": None}, {"deleted_at": unit.now}))

    async def before_restore(self, unit: Unit, record: Ticket) -> None:
        """It comes back as it was."""
        deleted = {"deleted_at": record.deleted_at}
        record_event(unit, record, "restored", changes_between(deleted, {"deleted_at": None}))


def course_of(ticket: Ticket) -> Course:
    """How far a ticket has come."""
    return Course(**{name: getattr(ticket, name) for name in _COURSE})


def ticket_closed() -> Problem:
    """The 409 of everything that would change a closed ticket."""
    return conflict("ticket_closed", "The ticket is closed and takes no more changes. Open a new one.")


def _keep_as_closed(values: dict[str, Any], stored: Ticket) -> None:
    """Only what the caller says differently is an attempt to change it."""
    for name in (*_COURSE, "priority"):
        if values[name] is None:
            values[name] = getattr(stored, name)


def _counts(stored: Ticket, values: Mapping[str, Any]) -> dict[str, int]:
    reopened = is_reopening(stored.status, values["status"])
    reassigned = is_reassignment(stored, values["queue"], values["assignee"])
    return {
        "reopen_count": stored.reopen_count + reopened,
        "reassignment_count": stored.reassignment_count + reassigned,
    }
