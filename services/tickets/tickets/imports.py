"""Tickets from a file: one row per ticket, or (with `source_sequence`) one row per event of a ticket.

In a log of events the row with the largest sequence is the ticket's state, and every row becomes an event of its
history, with what changed since the row before. What has been imported already is recognised by its sequence; a log
that begins after it goes on from the ticket as it is.
"""

from typing import get_args

from services.tickets.tickets.repository import IMPORTED_NUMBER, NUMBER_STAGED
from services.tickets.tickets.resource import TICKETS
from services.tickets.tickets.schemas import Channel, Level, Priority, Status
from shared.imports.target import Check, Derived, ImportField, ImportTarget, live_record

_ATTRIBUTES = ("source_status", "location", "symptom", "close_code", "resolution")
_TEXTS = (
    "subject",
    "description",
    "status",
    "priority",
    "impact",
    "urgency",
    "channel",
    "queue",
    "assignee",
    "category",
    "subcategory",
)
_INSTANTS = ("opened_at", "first_responded_at", "resolved_at", "closed_at")

_ATTRIBUTES_SQL = "jsonb_strip_nulls(jsonb_build_object({}))".format(
    ", ".join(f"'{name}', s.{name}" for name in _ATTRIBUTES)
)


def _state(row: str, instant: str) -> str:
    """A row's fields as history shows them; `instant` is the SQL that makes a timestamptz of a column."""
    members = [f"'{name}', {row}.{name}" for name in _TEXTS]
    members.append(f"'made_sla', {row}.made_sla::boolean")
    members += [
        f"'{name}', replace(({instant.format(f'{row}.{name}')} AT TIME ZONE 'UTC')::text, ' ', 'T') || 'Z'"
        for name in _INSTANTS
    ]
    return f"jsonb_build_object({', '.join(members)})"


def _changes(before: str, after: str) -> str:
    """`{field: {from, to}}` of what differs between two states; all that is there, when nothing was before."""
    pair = f"jsonb_build_object('from', {before} -> k, 'to', {after} -> k)"
    differs = f"coalesce({before} -> k, 'null'::jsonb) <> coalesce({after} -> k, 'null'::jsonb)"
    return f"""
        coalesce((SELECT jsonb_object_agg(k, {pair}) FROM jsonb_object_keys({after}) k WHERE {differs}), '{{}}'::jsonb)
    """


# The tickets as they are before the merge; they are locked already by whoever numbers them.
_TICKET_OF_KEY = f"CROSS JOIN LATERAL ({live_record('tickets', 's.key')}) t"
_REMEMBER = (
    "CREATE TEMPORARY TABLE IF NOT EXISTS tickets_before "
    "(id uuid PRIMARY KEY, source_sequence bigint, state jsonb NOT NULL)",
    "TRUNCATE tickets_before",
    f"""
    INSERT INTO tickets_before SELECT t.id, t.source_sequence, {_state("t", "{}")}
    FROM (SELECT DISTINCT key FROM staged) s {_TICKET_OF_KEY}
    """,
    "ANALYZE tickets_before",
)

# Rows without a sequence: one event per ticket that the merge made or changed.
_RECORD_CHANGES = f"""
    INSERT INTO ticket_events (tenant_id, id, occurred_at, principal, ticket_id, sequence, kind, changes)
    SELECT $1::uuid, uuidv7(), greatest(now(), t.last_event_at + interval '1 microsecond'), $3::text, t.id,
           t.event_count + 1, 'imported', {_changes("b.state", "a.state")}
    FROM merged m
    JOIN staged s ON s.key = m.key AND NOT s.superseded AND s.source_sequence IS NULL
    JOIN tickets t ON t.tenant_id = $1::uuid AND t.id = m.id
    CROSS JOIN LATERAL (SELECT {_state("t", "{}")} AS state OFFSET 0) a
    LEFT JOIN tickets_before b ON b.id = m.id
"""

# What the log of the staged tickets holds already.
_REMEMBER_LOG = (
    "CREATE TEMPORARY TABLE IF NOT EXISTS logged_before "
    "(ticket_id uuid NOT NULL, source_sequence bigint NOT NULL, occurred_at timestamptz NOT NULL)",
    "TRUNCATE logged_before",
    f"""
    INSERT INTO logged_before SELECT t.id, e.source_sequence, e.occurred_at
    FROM (SELECT DISTINCT key FROM staged WHERE source_sequence IS NOT NULL) s {_TICKET_OF_KEY}
    CROSS JOIN LATERAL (
        SELECT source_sequence, occurred_at FROM ticket_events
        WHERE tenant_id = $1::uuid AND ticket_id = t.id AND source_sequence IS NOT NULL OFFSET 0
    ) e
    """,
    "ANALYZE logged_before",
)

_TEXT, _BOOLEAN, _INSTANT = "'text'", "'boolean'", "'instant'"


def _differences(before: str, after: str) -> str:
    """`{field: {from, to}}` of two staged rows.

    Staged texts are canonical and compared as they are, but for instants: a ticket's own are written in another way.
    """
    kinds = dict.fromkeys(_TEXTS, _TEXT) | {"made_sla": _BOOLEAN} | dict.fromkeys(_INSTANTS, _INSTANT)
    pairs = ", ".join(
        f"('{name}', {kind}, ({before}).{name}, ({after}).{name})" for name, kind in kinds.items()
    )
    return f"""
        coalesce((SELECT jsonb_object_agg(k, jsonb_build_object('from', {_shown("a")}, 'to', {_shown("b")}))
                  FROM (VALUES {pairs}) pair (k, kind, a, b)
                  WHERE a IS DISTINCT FROM b AND k IN (SELECT field FROM mapped)
                    AND CASE kind WHEN {_INSTANT} THEN a::timestamptz IS DISTINCT FROM b::timestamptz ELSE true END),
                 '{{}}'::jsonb)
    """


def _shown(value: str) -> str:
    instant = f"replace(({value}::timestamptz AT TIME ZONE 'UTC')::text, ' ', 'T') || 'Z'"
    return (
        f"CASE kind WHEN {_BOOLEAN} THEN to_jsonb({value}::boolean) WHEN {_INSTANT} THEN to_jsonb({instant}) "
        f"ELSE to_jsonb({value}) END"
    )


# Rows with a sequence: each one that is not there yet, after the one before it in the file; the first of a ticket that
# was known already goes on from its last state. Logs do repeat a number at another time; both rows are events.
_RECORD_LOG = f"""
    INSERT INTO ticket_events (tenant_id, id, occurred_at, principal, ticket_id, sequence, kind, changes,
                               source_sequence)
    SELECT $1::uuid, uuidv7(), log.occurred_at, log.principal, log.ticket_id,
           log.event_count + row_number() OVER (PARTITION BY log.ticket_id ORDER BY log.source_sequence, log.row),
           CASE WHEN log.before IS NULL THEN 'created' WHEN log.changes ? 'status' THEN 'status_changed'
                WHEN log.changes ?| ARRAY['queue', 'assignee'] THEN 'assigned' ELSE 'changed' END,
           log.changes, log.source_sequence
    FROM (
        SELECT n.*, {_differences("n.before", "n.after")} AS changes FROM (
            SELECT r.*, CASE WHEN r.later AND row_number() OVER (
                                      PARTITION BY r.ticket_id, r.later ORDER BY r.source_sequence, r.row) = 1
                             THEN jsonb_populate_record(NULL::staged, r.state) ELSE r.preceding END AS before
            FROM (
                SELECT s.row, s.source_sequence::bigint AS source_sequence, t.id AS ticket_id, t.event_count,
                       coalesce(s.event_at, s.opened_at, now()::text)::timestamptz AS occurred_at,
                       coalesce(s.event_by, $3::text) AS principal, s AS after,
                       lag(s) OVER (PARTITION BY s.key ORDER BY s.source_sequence::bigint, s.row) AS preceding,
                       b.state, b.id IS NOT NULL
                           AND s.source_sequence::bigint >= coalesce(b.source_sequence, 0) AS later
                FROM staged s {_TICKET_OF_KEY} LEFT JOIN tickets_before b ON b.id = t.id
                WHERE s.source_sequence IS NOT NULL
            ) r
            WHERE NOT EXISTS (SELECT FROM logged_before l WHERE l.ticket_id = r.ticket_id
                              AND l.source_sequence = r.source_sequence AND l.occurred_at = r.occurred_at)
        ) n
    ) log
    ORDER BY log.ticket_id, log.source_sequence, log.row
"""


def _counted(insert: str) -> str:
    """The same insert, and its tickets' counts and last instants kept in step."""
    return f"""
        WITH added AS ({insert} RETURNING ticket_id, occurred_at)
        UPDATE tickets t SET event_count = t.event_count + e.events,
                             last_event_at = greatest(t.last_event_at, e.last)
        FROM (SELECT ticket_id, count(*) AS events, max(occurred_at) AS last FROM added GROUP BY ticket_id) e
        WHERE t.tenant_id = $1::uuid AND t.id = e.ticket_id
    """


def _count(name: str) -> ImportField:
    return ImportField("integer", name, sql=f"coalesce(s.{name}::int, 0)", minimum=0, maximum=1_000_000)


_ENDS = ("first_responded_at", "resolved_at", "closed_at")

TICKET_IMPORT = ImportTarget(
    resource=TICKETS,
    fields={
        "subject": ImportField(column="subject", required=True),
        "description": ImportField(column="description", max_length=100_000),
        "status": ImportField("choice", "status", choices=get_args(Status), sql="coalesce(s.status, 'new')"),
        "priority": ImportField(
            "choice", "priority", choices=get_args(Priority), sql="coalesce(s.priority, 'normal')"
        ),
        "impact": ImportField("choice", "impact", choices=get_args(Level)),
        "urgency": ImportField("choice", "urgency", choices=get_args(Level)),
        "channel": ImportField(
            "choice", "channel", choices=get_args(Channel), sql="coalesce(s.channel, 'other')"
        ),
        "requester_contact_id": ImportField("id", "requester_contact_id"),
        "queue": ImportField(column="queue", max_length=100),
        "assignee": ImportField(column="assignee", max_length=100),
        "category": ImportField(column="category", max_length=100),
        "subcategory": ImportField(column="subcategory", max_length=100),
        "opened_at": ImportField("instant", "opened_at", required=True),
        **{name: ImportField("instant", name) for name in _ENDS},
        "made_sla": ImportField("boolean", "made_sla"),
        "reopen_count": _count("reopen_count"),
        "reassignment_count": _count("reassignment_count"),
        "source_sequence": ImportField("integer", "source_sequence", minimum=0, maximum=2**62),
        "event_at": ImportField("instant"),
        "event_by": ImportField(max_length=255),
        **{name: ImportField(max_length=2_000) for name in _ATTRIBUTES},
    },
    derived=(Derived("attributes", _ATTRIBUTES, _ATTRIBUTES_SQL),),
    checks=tuple(
        Check(
            name,
            "out_of_order",
            "is before the ticket was opened",
            f"s.{name}::timestamptz < s.opened_at::timestamptz",
        )
        for name in _ENDS
    ),
    before=(*NUMBER_STAGED, *_REMEMBER, *_REMEMBER_LOG),
    after=(_counted(_RECORD_CHANGES), _counted(_RECORD_LOG)),
    defaults={
        "number": IMPORTED_NUMBER,
        "status": "'new'",
        "priority": "'normal'",
        "channel": "'other'",
    },
    sequence="source_sequence",
)
