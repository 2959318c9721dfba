"""The log as server-sent events (WHATWG HTML, 9.2): what is written on the stream. Pure."""

import json
from typing import Any

from shared.events.log import LoggedEvent, Reading
from shared.events.position import Cursor
from shared.fields import format_instant


def start_frame(cursor: Cursor, *, reset: bool) -> bytes:
    """The first one. With `reset`, what was asked for cannot be continued: whatever is known may be out of date."""
    return _frame("start", {"position": str(cursor.position), "reset": reset}, cursor)


def change_frame(event: LoggedEvent, cursor: Cursor | None) -> bytes:
    """A change. Without a cursor it is told early: it comes before its turn, and cannot be resumed from."""
    change = event.change
    records: list[dict[str, Any]] = [
        {"id": str(record_id), "version": version}
        for record_id, version in zip(change.ids, change.versions, strict=True)
    ]
    for record, parent in zip(records, change.parents, strict=False):
        record["parent_id"] = str(parent)
    document = {
        "type": event.type,
        "position": str(event.position),
        "tenant_id": str(event.tenant_id),
        "occurred_at": format_instant(event.occurred_at),
        "principal": event.principal,
        "traceparent": event.traceparent,
        "count": change.count,
        "records": records or None,
        "tags": change.tags,
    }
    return _frame("change", document, cursor)


def heartbeat_frame(reading: Reading, cursor: Cursor) -> bytes:
    """All is told up to here, and this is what waits: so many events, the oldest for so long."""
    behind_ms = round(reading.behind_s * 1_000)
    document = {"position": str(cursor.position), "held": reading.held, "behind_ms": behind_ms}
    return _frame("heartbeat", document, cursor)


def _frame(event: str, document: dict[str, Any], cursor: Cursor | None) -> bytes:
    name = f"id: {cursor}\n" if cursor is not None else ""
    return f"{name}event: {event}\ndata: {json.dumps(document, separators=(',', ':'))}\n\n".encode()
