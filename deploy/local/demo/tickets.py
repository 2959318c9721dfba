"""The demo's tickets: who asks for what and when, how fast the desk is, and how it ends."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import exp
from random import Random
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from deploy.local.demo.batches import Batch, Table
from deploy.local.demo.catalogue import COMPANY_DOMAIN, person
from deploy.local.demo.choosing import Grown, Weighted, pick
from deploy.local.demo.contacts import Contact
from deploy.local.demo.phrases import (
    ANSWERS,
    CATEGORIES,
    NOTES,
    REPLIES,
    RETURNS,
    SOLUTIONS,
    Category,
    letter,
    said,
)
from deploy.local.demo.stories import COMMENTS, EVENTS, TICKETS, Story
from deploy.local.demo.timeline import Timeline, founding_id, id_at
from services.tickets.tickets.rules import implied_priority

COUNTERS = Table("tickets", "ticket_counters", ("tenant_id", "last_number"), records=False)

_HOUR = 3_600
_CHANNELS = Weighted(("email", "web", "phone", "chat", "self_service"), (42, 26, 16, 11, 5))
_SECOND_LEVEL = "Second Level"
_AGENTS_OF_QUEUE = 6
_WITHOUT_REQUESTER = 0.02
_CLOSES_AFTER = 4 * 24 * _HOUR
# How impact and urgency come about together, when it is no emergency.
_LEVELS = Weighted(
    (
        *(("low", "low"), ("low", "medium"), ("medium", "low")),
        *(("medium", "medium"), ("high", "low"), ("high", "medium"), ("medium", "high")),
    ),
    (18, 16, 10, 34, 5, 7, 10),
)


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: median time to the first response and to the resolution, and the promised time to resolve."""

    response: float
    resolution: float
    promise: float


_PACES = {
    "urgent": Pace(0.4 * _HOUR, 5 * _HOUR, 12 * _HOUR),
    "high": Pace(1.2 * _HOUR, 20 * _HOUR, 48 * _HOUR),
    "normal": Pace(4 * _HOUR, 50 * _HOUR, 120 * _HOUR),
    "low": Pace(9 * _HOUR, 90 * _HOUR, 240 * _HOUR),
}


class Tickets:
    """Makes tickets in the order of their opening."""

    def __init__(self, tenant_id: UUID, timeline: Timeline, seed: int, contacts: Sequence[Contact]) -> None:
        self._tenant_id = tenant_id
        self._timeline = timeline
        self._rng = rng = Random(f"{seed} tickets")  # noqa: S311 (demo data, not secrets)
        self._utc = ZoneInfo("UTC")
        weights = [exp(rng.gauss(0, 1.2)) * (1.5 if contact.account else 0.7) for contact in contacts]
        self._contacts = Grown(contacts, weights, lambda contact: contact.created_at)
        self._categories = Weighted(CATEGORIES, [category.weight for category in CATEGORIES])
        queues = dict.fromkeys([category.queue for category in CATEGORIES] + [_SECOND_LEVEL])
        self._agents = {queue: self._team(seed) for queue in queues}
        self._made = 0

    @property
    def counter_rows(self) -> list[tuple[Any, ...]]:
        """The counter, which gives the next ticket the next number."""
        return [(self._tenant_id, self._made)] if self._made else []

    def openings(self, number: int) -> list[tuple[datetime, Contact | None]]:
        """When so many tickets are opened and by whom, in order; the first one is the table's founding record."""
        openings = sorted((self._opening() for _ in range(number - 1)), key=lambda opening: opening[0])
        return [(self._timeline.start, None), *openings][:number]

    def make(self, openings: Sequence[tuple[datetime, Contact | None]]) -> Iterator[Batch]:
        """The next tickets with all that belongs to them."""
        stories = [self._story(*opening) for opening in openings]
        yield Batch(TICKETS, [story.row() for story in stories])
        yield Batch(COMMENTS, [comment for story in stories for comment in story.comments])
        yield Batch(EVENTS, [event for story in stories for event in story.events])

    def _team(self, seed: int) -> list[str]:
        languages = ("en", "en-gb", "de", "fr", "es", "pl")
        return [person(self._rng, names, seed)[1] for names in languages[:_AGENTS_OF_QUEUE]]

    def _opening(self) -> tuple[datetime, Contact | None]:
        """By somebody who is known by then, on that day in the office hours where they are."""
        rng, timeline = self._rng, self._timeline
        at = timeline.instant(self._utc, rng)
        contact = self._contacts.pick(rng, at)
        if contact is None or rng.random() < _WITHOUT_REQUESTER:
            return at, None
        in_their_day = timeline.on_day(at, contact.zone, rng)
        return (in_their_day if in_their_day >= contact.created_at else at), contact

    def _story(self, opened_at: datetime, contact: Contact | None) -> Story:
        rng = self._rng
        self._made += 1
        category = self._categories.pick(rng)
        name = contact.given_name if contact is not None else "A visitor"
        language = contact.language if contact is not None else "en"
        subject, description = letter(category, name, language, rng)
        impact, urgency = self._levels(category)
        channel = _CHANNELS.pick(rng) if contact is not None else "web"
        agents = self._agents[category.queue]
        # Only who phones is written down by an agent; all else comes in by itself.
        by = pick(agents, rng) if channel == "phone" else f"{channel}@{COMPANY_DOMAIN}"
        ticket_id = id_at(opened_at, rng) if self._made > 1 else founding_id("tickets", opened_at)
        made_with = {
            "number": self._made,
            "subject": subject,
            "description": description,
            "status": "new",
            "priority": implied_priority(impact, urgency),
            "impact": impact,
            "urgency": urgency,
            "channel": channel,
            "requester_contact_id": contact.id if contact is not None else None,
            "queue": category.queue,
            "category": category.name,
            "subcategory": pick(category.subcategories, rng),
            "tags": _tags(category, rng),
        }
        story = Story(self._tenant_id, ticket_id, opened_at, rng, made_with, by)
        _Handling(story, self._timeline, rng, contact, agents, self._agents[_SECOND_LEVEL]).run()
        return story

    def _levels(self, category: Category) -> tuple[str, str]:
        if self._rng.random() < category.urgent:
            return "high", "high"
        impact, urgency = _LEVELS.pick(self._rng)
        return impact, urgency


def _tags(category: Category, rng: Random) -> list[str]:
    """None, one, or two that differ."""
    first, draw = int(rng.random() * len(category.tags)), rng.random()
    return list((category.tags * 2)[first : first + (0 if draw < 0.45 else 1 if draw < 0.85 else 2)])


class _Handling:
    """What the desk does with one ticket, as far as that lies in the past."""

    def __init__(
        self,
        story: Story,
        timeline: Timeline,
        rng: Random,
        contact: Contact | None,
        agents: Sequence[str],
        second_level: Sequence[str],
    ) -> None:
        self._story = story
        self._timeline = timeline
        self._rng = rng
        self._agent = pick(agents, rng)
        self._agents = agents
        self._second_level = second_level
        self._name = contact.given_name if contact is not None else "there"
        self._requester = contact.email if contact is not None else f"visitor@{COMPANY_DOMAIN}"
        self._zone = contact.zone if contact is not None else ZoneInfo("UTC")
        self._pace = _PACES[story.state["priority"]]

    def run(self) -> None:
        """Through all its stations. Each returns False when it lies in the future, and there the story stops."""
        stations = (
            self._take,
            self._answer,
            self._pass_on,
            self._ask_back,
            self._solve,
            self._return,
            self._close,
        )
        for station in stations:
            if not station():
                return

    def _take(self) -> bool:
        self._answer_at = self._at(self._pace.response, 0.8, self._story.opened_at)
        taken = self._story.opened_at + (self._answer_at - self._story.opened_at) * self._rng.uniform(
            0.3, 0.9
        )
        if not self._past(taken):
            return False
        self._story.change(taken, self._agent, status="open", assignee=self._agent)
        return True

    def _answer(self) -> bool:
        at = max(self._answer_at, self._story.soon())
        return self._past(at) and self._comment(at, said(ANSWERS, self._name, self._rng))

    def _pass_on(self) -> bool:
        rng, story = self._rng, self._story
        draw = rng.random()
        if draw > 0.16:
            return True
        at = self._at(self._pace.response * 0.7, 0.6, story.last_at)
        if not self._past(at + timedelta(minutes=3)):
            return False
        before, self._agent = self._agent, pick(self._second_level if draw < 0.09 else self._agents, rng)
        if draw < 0.09:
            self._comment(at, pick(NOTES, rng), by=before, visibility="internal")
            story.change(story.soon(), before, queue=_SECOND_LEVEL, assignee=self._agent)
        elif self._agent != before:
            story.change(at, before, assignee=self._agent)
        return True

    def _ask_back(self) -> bool:
        rng, story = self._rng, self._story
        draw = rng.random()
        if draw > 0.34:
            return True
        waiting = "pending" if draw > 0.05 else "on_hold"
        if not self._past(story.last_at + timedelta(minutes=2)):
            return False
        story.change(story.soon(), self._agent, status=waiting)
        at = self._at(self._pace.resolution * 0.3, 0.9, story.last_at)
        if not self._past(at + timedelta(minutes=2)):
            return False
        if waiting == "pending":
            self._comment(at, pick(REPLIES, rng), by=self._requester, kind="requester")
        story.change(max(at, story.soon()), self._agent, status="open")
        return True

    def _solve(self) -> bool:
        rng, story = self._rng, self._story
        spent = (story.last_at - story.opened_at).total_seconds()
        at = self._at(max(self._pace.resolution - spent, self._pace.resolution * 0.3), 0.9, story.last_at)
        if not self._past(at + timedelta(minutes=2)):
            return False
        if rng.random() < 0.55:
            self._comment(at, pick(SOLUTIONS, rng))
            at = story.soon()
        in_time = (at - story.opened_at).total_seconds() <= self._pace.promise
        story.change(at, self._agent, status="resolved", resolved_at=at, made_sla=in_time)
        return True

    def _return(self) -> bool:
        """Some come back, and are solved once more."""
        rng, story = self._rng, self._story
        if rng.random() > 0.06:
            return True
        at = self._at(18 * _HOUR, 0.8, story.last_at, longest=_CLOSES_AFTER * 0.9)
        if not self._past(at + timedelta(minutes=2)):
            return False
        self._comment(at, said(RETURNS, self._name, rng), by=self._requester, kind="requester")
        story.change(story.soon(), self._agent, status="open", resolved_at=None)
        return self._solve()

    def _close(self) -> bool:
        """What is resolved is closed by itself after some days."""
        at = self._story.last_at + timedelta(seconds=_CLOSES_AFTER)
        if not self._past(at):
            return False
        self._story.change(at, f"automation@{COMPANY_DOMAIN}", status="closed", closed_at=at)
        return True

    def _comment(
        self, at: datetime, body: str, *, by: str = "", kind: str = "agent", visibility: str = "public"
    ) -> bool:
        self._story.comment(at, by or self._agent, body, kind, visibility)
        return True

    def _past(self, at: datetime) -> bool:
        return at <= self._timeline.now

    def _at(
        self, median_s: float, spread: float, start: datetime, longest: float = 60 * 24 * _HOUR
    ) -> datetime:
        """A log-normal time after `start`; in office hours unless it is urgent."""
        seconds = min(longest, median_s * exp(self._rng.gauss(0, spread)) + 5)
        if self._story.state["priority"] == "urgent":
            return start + timedelta(seconds=seconds)
        return self._timeline.after(start, seconds, self._zone, self._rng)
