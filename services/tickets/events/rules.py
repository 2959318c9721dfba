"""What an event says of a change. Pure decisions."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from shared.fields import format_instant

Changes = dict[str, dict[str, Any]]


def changes_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> Changes:
    """Exactly the fields whose values differ, as JSON has them."""
    pairs = {name: (_plain(before[name]), _plain(value)) for name, value in after.items()}
    return {name: {"from": old, "to": new} for name, (old, new) in pairs.items() if _text(old) != _text(new)}


def kind_of_change(changes: Changes) -> str:
    """What people would call it: the most telling of the fields that changed."""
    if "status" in changes:
        return "status_changed"
    return "assigned" if changes.keys() & {"queue", "assignee"} else "changed"


def next_instant(now: datetime, last: datetime | None) -> datetime:
    """Now, but always after the event before: clocks of several replicas differ, and ties have no order."""
    return now if last is None else max(now, last + timedelta(microseconds=1))


def _text(value: Any) -> str:
    """What JSON tells apart differs here, also where Python sees one value: true equals 1 there."""
    return json.dumps(value, sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return format_instant(value)
    return str(value) if isinstance(value, UUID) else value
