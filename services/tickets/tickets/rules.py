"""The life of a ticket: which status may follow which, and what its instants and counts are then. Pure decisions.

new ──► open ◄──► pending ◄──► on_hold ◄──► open      at work, in any order, never back to new
 └───────┴───────────┴────────────┴──► resolved ──► closed
                 reopened ◄───────────────┘   closed is the end: a new ticket takes it from there
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from shared.problems import FieldError

AT_WORK = ("open", "pending", "on_hold")
UNRESOLVED = ("new", *AT_WORK)
CLOSED = "closed"

TRANSITIONS: dict[str, tuple[str, ...]] = {
    "new": (*AT_WORK, "resolved", CLOSED),
    **{status: (*(s for s in AT_WORK if s != status), "resolved", CLOSED) for status in AT_WORK},
    "resolved": (*AT_WORK, CLOSED),
    CLOSED: (),
}

_LEVELS = {"high": 1, "medium": 2, "low": 3}
# ITIL's matrix: the sum of both levels, the two lowest of its five priorities taken together.
_PRIORITIES = {2: "urgent", 3: "high", 4: "normal", 5: "low", 6: "low"}
_ORDERED = (
    ("opened_at", "first_responded_at"),
    ("opened_at", "resolved_at"),
    ("opened_at", "closed_at"),
    ("resolved_at", "closed_at"),
)


@dataclass(frozen=True)
class Course:
    """How far a ticket has come. In what a caller asks for, None leaves a member open."""

    status: str | None = None
    opened_at: datetime | None = None
    first_responded_at: datetime | None = None
    resolved_at: datetime | None = None
    closed_at: datetime | None = None


class Handling(Protocol):
    """Who has a ticket."""

    queue: Any
    assignee: Any


def settled_course(asked: Course, before: Course | None, now: datetime) -> Course:
    """The course as it is kept: what the caller left open stays as it was, or follows from the status.

    A document carries over what it does not change, so an instant that no longer fits the status goes silently if it
    is as it was before; `course_faults` is about the rest.
    """
    known = before or Course()
    status = asked.status or known.status or "new"
    opened_at = asked.opened_at or known.opened_at or now
    resolved_at, closed_at = asked.resolved_at, asked.closed_at
    if status in UNRESOLVED and known.status == "resolved" and resolved_at == known.resolved_at:
        resolved_at = None
    elif status not in UNRESOLVED:
        # Whoever says only when it was closed says that it was resolved by then.
        end = closed_at if status == CLOSED and closed_at is not None else now
        resolved_at = resolved_at or known.resolved_at or max(end, opened_at)
    if status == CLOSED and resolved_at is not None:
        closed_at = closed_at or known.closed_at or max(now, resolved_at)
    return Course(
        status, opened_at, asked.first_responded_at or known.first_responded_at, resolved_at, closed_at
    )


def course_faults(settled: Course, before: Course | None) -> list[FieldError]:
    """What in a settled course does not fit together: one fault for each field that the caller should mend."""
    found = (*_transition_faults(settled, before), *_early_ends(settled, before), *_disorder(settled, before))
    first: dict[str, FieldError] = {}
    for fault in found:
        first.setdefault(fault.pointer, fault)
    return list(first.values())


def responded(course: Course, now: datetime) -> datetime:
    """When the first response was, if it was not before: now, but never before the ticket was opened."""
    return course.first_responded_at or max(now, course.opened_at or now)


def is_reopening(before: str, after: str) -> bool:
    """Whether work on a resolved ticket begins anew."""
    return before == "resolved" and after in AT_WORK


def is_reassignment(before: Handling, queue: str | None, assignee: str | None) -> bool:
    """Whether somebody who had the ticket has it no longer. The first queue and the first assignee do not count."""
    return any(
        old is not None and old != new for old, new in ((before.queue, queue), (before.assignee, assignee))
    )


def implied_priority(impact: str | None, urgency: str | None) -> str:
    """The priority of a new ticket whose caller names none, as ITIL has it; normal where either is unknown."""
    if impact is None or urgency is None:
        return "normal"
    return _PRIORITIES[_LEVELS[impact] + _LEVELS[urgency]]


def _transition_faults(settled: Course, before: Course | None) -> Iterator[FieldError]:
    if before is None or before.status is None or settled.status == before.status:
        return
    allowed = TRANSITIONS[before.status]
    if settled.status not in allowed:
        detail = f"A ticket that is {before.status} may become {', '.join(allowed)}, not {settled.status}."
        yield FieldError("/status", "transition_not_allowed", detail)


def _early_ends(settled: Course, before: Course | None) -> Iterator[FieldError]:
    """An end that the status does not have yet; one that was imported so is left alone."""
    known = before or Course()
    unresolved = settled.status in UNRESOLVED
    if unresolved and settled.resolved_at not in (None, known.resolved_at):
        yield FieldError(
            "/resolved_at", "not_resolved", f"A ticket that is {settled.status} is not resolved."
        )
    if settled.status != CLOSED and settled.closed_at not in (None, known.closed_at):
        yield FieldError("/closed_at", "not_closed", f"A ticket that is {settled.status} is not closed.")


def _disorder(settled: Course, before: Course | None) -> Iterator[FieldError]:
    for earlier, later in _ORDERED:
        first, second = getattr(settled, earlier), getattr(settled, later)
        if first is None or second is None or first <= second:
            continue
        if before is not None and getattr(before, later) == second:
            if getattr(before, earlier) != first:
                yield FieldError(f"/{earlier}", "out_of_order", f"Must not be after {later}.")
        else:
            yield FieldError(f"/{later}", "out_of_order", f"Must not be before {earlier}.")
