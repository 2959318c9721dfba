"""The life of a ticket, without a database."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tickets.tickets.rules import (
    AT_WORK,
    CLOSED,
    TRANSITIONS,
    UNRESOLVED,
    Course,
    course_faults,
    implied_priority,
    is_reassignment,
    is_reopening,
    responded,
    settled_course,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
STATUSES = tuple(TRANSITIONS)
REOPENINGS = {("resolved", "open"), ("resolved", "pending"), ("resolved", "on_hold")}


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def settled(asked: Course, before: Course | None = None, now: datetime = START) -> Course:
    course = settled_course(asked, before, now)
    assert course_faults(course, before) == []
    return course


def faults(asked: Course, before: Course | None = None, now: datetime = START) -> dict[str, str]:
    return {f.pointer: f.code for f in course_faults(settled_course(asked, before, now), before)}


@st.composite
def walks(draw: st.DrawFn) -> list[str]:
    """Statuses of which each may follow the one before."""
    walk = [draw(st.sampled_from(STATUSES))]
    for _ in range(draw(st.integers(0, 12))):
        following = TRANSITIONS[walk[-1]]
        if not following:
            break
        walk.append(draw(st.sampled_from(following)))
    return walk


def in_order(course: Course) -> bool:
    assert course.opened_at is not None
    after = (course.first_responded_at, course.resolved_at, course.closed_at)
    ends = course.resolved_at is None or course.closed_at is None or course.resolved_at <= course.closed_at
    return ends and all(instant is None or instant >= course.opened_at for instant in after)


@given(
    walk=walks(),
    opened=st.none() | st.integers(-100, 100),
    steps=st.lists(st.integers(-3, 5), min_size=14, max_size=14),
    answered=st.integers(0, 13),
)
def test_any_allowed_walk_keeps_the_instants_in_order(
    walk: list[str], opened: int | None, steps: list[int], answered: int
) -> None:
    """Even with clocks that step back, and a ticket that is opened in the future."""
    opened_at = at(opened) if opened is not None else None
    now, reopenings = START, 0
    before = settled(Course(walk[0], opened_at), None, now)
    for number, status in enumerate(walk[1:]):
        now += timedelta(hours=steps[number])
        course = settled(replace(before, status=status), before, now)
        reopenings += is_reopening(walk[number], status)
        if number == answered:
            course = replace(course, first_responded_at=responded(course, now))
        assert in_order(course)
        assert (course.resolved_at is None) == (status in UNRESOLVED)
        assert (course.closed_at is None) == (status != CLOSED)
        assert course.opened_at == before.opened_at
        before = course
    assert reopenings == sum((was, now) in REOPENINGS for was, now in pairwise(walk))


@given(walk=walks(), hours=st.integers(0, 9))
def test_the_same_document_again_changes_nothing(walk: list[str], hours: int) -> None:
    before = settled(Course(walk[0]), None, START)
    for status in walk[1:]:
        before = settled(replace(before, status=status), before, START)
    assert settled(before, before, at(hours)) == before
    assert settled(Course(status=before.status), before, at(hours)) == before


@given(old=st.sampled_from(STATUSES), new=st.sampled_from(STATUSES))
def test_what_the_table_does_not_name_is_refused(old: str, new: str) -> None:
    before = settled(Course(old))
    refused = "/status" in faults(replace(before, status=new), before)
    assert refused == (new != old and new not in TRANSITIONS[old])


def test_the_table() -> None:
    assert all("new" not in following for following in TRANSITIONS.values())
    assert TRANSITIONS[CLOSED] == ()
    assert all({"resolved", CLOSED} <= set(TRANSITIONS[status]) for status in UNRESOLVED)
    assert set(TRANSITIONS["resolved"]) == {*AT_WORK, CLOSED}


def test_resolving_and_closing_note_when_unless_told() -> None:
    before = settled(Course("open", at(-5)))
    assert settled(replace(before, status="resolved"), before, at(1)).resolved_at == at(1)
    told = replace(before, status="resolved", resolved_at=at(-1))
    assert settled(told, before, at(1)).resolved_at == at(-1)
    closed = settled(replace(before, status=CLOSED), before, at(2))
    assert (closed.resolved_at, closed.closed_at) == (at(2), at(2))
    closed = settled(replace(before, status=CLOSED, closed_at=at(-2)), before, at(2))
    assert (closed.resolved_at, closed.closed_at) == (at(-2), at(-2))


def test_reopening_forgets_the_resolution() -> None:
    before = settled(Course("resolved", at(-5)))
    assert settled(replace(before, status="open"), before).resolved_at is None
    contradiction = replace(before, status="open", resolved_at=at(3))
    assert faults(contradiction, before) == {"/resolved_at": "not_resolved"}


@pytest.mark.parametrize(
    ("asked", "wrong"),
    [
        (Course("open", at(0), first_responded_at=at(-1)), {"/first_responded_at": "out_of_order"}),
        (Course("resolved", at(0), resolved_at=at(-1)), {"/resolved_at": "out_of_order"}),
        (Course(CLOSED, at(0), closed_at=at(-1)), {"/closed_at": "out_of_order"}),
        (Course(CLOSED, at(0), resolved_at=at(2), closed_at=at(1)), {"/closed_at": "out_of_order"}),
        (Course("open", at(0), resolved_at=at(1)), {"/resolved_at": "not_resolved"}),
        (Course("resolved", at(0), closed_at=at(1)), {"/closed_at": "not_closed"}),
    ],
)
def test_instants_that_do_not_fit_name_their_field(asked: Course, wrong: dict[str, str]) -> None:
    assert faults(asked) == wrong


def test_moving_the_opening_past_what_followed_names_the_opening() -> None:
    before = settled(Course("resolved", at(0), resolved_at=at(1)))
    assert faults(replace(before, opened_at=at(2)), before) == {"/opened_at": "out_of_order"}


def test_what_was_imported_in_disorder_can_still_be_worked_on() -> None:
    before = Course("open", at(5), resolved_at=at(1))
    assert settled(before, before) == before


@dataclass
class Held:
    queue: str | None
    assignee: str | None


@pytest.mark.parametrize(
    ("before", "after", "counts"),
    [
        ((None, None), ("Network", "ada"), False),
        (("Network", None), ("Network", "ada"), False),
        (("Network", "ada"), ("Network", "ada"), False),
        (("Network", "ada"), ("Network", "bob"), True),
        (("Network", "ada"), ("Servers", "bob"), True),
        (("Network", "ada"), ("Network", None), True),
    ],
)
def test_a_reassignment_takes_the_ticket_from_somebody(
    before: tuple[str | None, str | None], after: tuple[str | None, str | None], counts: bool
) -> None:
    assert is_reassignment(Held(*before), *after) is counts


@pytest.mark.parametrize(
    ("impact", "urgency", "priority"),
    [
        ("high", "high", "urgent"),
        ("high", "medium", "high"),
        ("medium", "medium", "normal"),
        ("low", "high", "normal"),
        ("medium", "low", "low"),
        ("low", "low", "low"),
        (None, "high", "normal"),
    ],
)
def test_priority_follows_from_impact_and_urgency(
    impact: str | None, urgency: str | None, priority: str
) -> None:
    assert implied_priority(impact, urgency) == priority
