"""One ticket of the demo and everything that happens to it, written down as the tickets service would."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from pydantic_core import to_json

from deploy.local.demo.batches import Table, columns
from deploy.local.demo.timeline import id_at
from services.tickets.events.rules import kind_of_change
from services.tickets.tickets.rules import is_reopening
from shared.fields import format_instant

_FIELDS = (
    "number subject description status priority impact urgency channel requester_contact_id queue assignee category "
    "subcategory tags opened_at first_responded_at resolved_at closed_at made_sla"
)
_PLAIN = frozenset((str, int, bool, list))
_BLANK: dict[str, Any] = dict.fromkeys(_FIELDS.split())
TICKETS = Table(
    "tickets",
    "tickets",
    columns(f"{_FIELDS} reopen_count reassignment_count event_count last_event_at"),
)
COMMENTS = Table(
    "tickets",
    "ticket_comments",
    columns("ticket_id body visibility author author_kind"),
    records=False,
)
EVENTS = Table(
    "tickets",
    "ticket_events",
    columns("occurred_at principal ticket_id sequence kind changes comment_id", records=False),
    records=False,
)


class Story:
    """A ticket from its first word on. Each call is a later instant; none may follow the closing."""

    def __init__(
        self,
        tenant_id: UUID,
        ticket_id: UUID,
        opened_at: datetime,
        rng: Random,
        made_with: Mapping[str, Any],
        by: str,
    ) -> None:
        self._tenant_id = tenant_id
        self._id = ticket_id
        self._rng = rng
        self.opened_at = self.last_at = opened_at
        self._updated_at = opened_at
        self._version = 1
        self._reopened = self._reassigned = 0
        self.state: dict[str, Any] = {**_BLANK, **made_with, "opened_at": opened_at}
        self.comments: list[tuple[Any, ...]] = []
        self.events: list[tuple[Any, ...]] = []
        filled = {name: value for name, value in self.state.items() if value is not None and value != []}
        self._record("created", opened_at, by, _changes(_BLANK, filled))

    def change(self, at: datetime, by: str, **fields: Any) -> None:
        """A patch of the ticket by somebody."""
        changes = _changes(self.state, fields)
        self._count(self.state, fields)
        self.state |= fields
        self._next_version(at)
        self._record(kind_of_change(changes), at, by, changes)

    def comment(
        self, at: datetime, by: str, body: str, kind: str = "agent", visibility: str = "public"
    ) -> None:
        """Something said; the first public word of an agent is the first response."""
        said = {"body": body, "visibility": visibility, "author": by, "author_kind": kind}
        changes = {name: {"from": None, "to": value} for name, value in said.items()}
        if self.state["first_responded_at"] is None and (kind, visibility) == ("agent", "public"):
            self.state["first_responded_at"] = at
            changes["first_responded_at"] = {"from": None, "to": format_instant(at)}
            self._next_version(at)
        comment_id = id_at(at, self._rng)
        self.comments.append((self._tenant_id, comment_id, 1, at, at, self._id, body, visibility, by, kind))
        self._record("commented", at, by, changes, comment_id)

    def row(self) -> tuple[Any, ...]:
        """The ticket as it is now."""
        return (
            self._tenant_id,
            self._id,
            self._version,
            self.opened_at,
            self._updated_at,
            *self.state.values(),
            self._reopened,
            self._reassigned,
            len(self.events),
            self.last_at,
        )

    def soon(self) -> datetime:
        """A little after the last event: what the same person does next."""
        return self.last_at + timedelta(milliseconds=self._rng.randrange(3_000, 90_000))

    def _count(self, before: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
        if "status" in fields:
            self._reopened += is_reopening(before["status"], fields["status"])
        self._reassigned += any(
            name in fields and before[name] is not None and before[name] != fields[name]
            for name in ("queue", "assignee")
        )

    def _next_version(self, at: datetime) -> None:
        self._version += 1
        self._updated_at = at

    def _record(
        self, kind: str, at: datetime, by: str, changes: Mapping[str, Any], comment_id: UUID | None = None
    ) -> None:
        document = to_json(changes).decode()
        self.last_at = at
        sequence = len(self.events) + 1
        self.events.append(
            (self._tenant_id, id_at(at, self._rng), at, by, self._id, sequence, kind, document, comment_id)
        )


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """As the service writes them down: the fields whose values differ."""
    return {
        name: {"from": _plain(before[name]), "to": _plain(value)}
        for name, value in after.items()
        if value != before[name]
    }


def _plain(value: Any) -> Any:
    if value is None or value.__class__ in _PLAIN:
        return value
    return format_instant(value) if isinstance(value, datetime) else str(value)
