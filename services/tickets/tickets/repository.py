"""Numbers, and the locks on tickets.

Numbers come from one row per tenant. Taking some locks that row until the transaction ends, so no two tickets can get
the same; a transaction that is undone gives its numbers back, and one that takes more than it needs leaves a gap.
"""

from uuid import UUID

from sqlalchemy import select, text

from services.tickets.tickets.models import Ticket
from shared.imports.target import live_record
from shared.resources.rules import Unit

_ON_TOP = "ON CONFLICT (tenant_id) DO UPDATE SET last_number = c.last_number + excluded.last_number"
_TAKE_ONE = text(
    "INSERT INTO ticket_counters AS c (tenant_id, last_number) VALUES (:tenant_id, 1) "  # noqa: S608 (our own text)
    f"{_ON_TOP} RETURNING last_number"
)

# For an import: what every staged row's ticket is numbered, found out before the merge. `$1` is the tenant and `$2` the
# source, as in `ImportTarget.before`; the merge then writes `IMPORTED_NUMBER` as its default of `number`. Tickets
# that are there already are locked (in one order, so that imports do not deadlock) and keep their number, which also
# keeps them from being deleted under the merge; the new ones share one block, taken at once, in the file's order.
NUMBER_STAGED = (
    "CREATE TEMPORARY TABLE IF NOT EXISTS ticket_numbers (key text PRIMARY KEY, number bigint NOT NULL)",
    "TRUNCATE ticket_numbers",
    f"""
    WITH present AS (
        SELECT t.external_id, t.number FROM (SELECT DISTINCT key FROM staged ORDER BY key) s
        CROSS JOIN LATERAL ({live_record("tickets", "s.key", lock="FOR UPDATE")}) t
    )
    INSERT INTO ticket_numbers SELECT external_id, number FROM present
    """,  # noqa: S608 (our own text)
    f"""
    WITH fresh AS (
        SELECT s.key, row_number() OVER (ORDER BY min(s.row)) AS place FROM staged s
        WHERE NOT EXISTS (SELECT FROM ticket_numbers n WHERE n.key = s.key) GROUP BY s.key
    ), block AS (
        INSERT INTO ticket_counters AS c (tenant_id, last_number)
        SELECT $1::uuid, count(*) FROM fresh HAVING count(*) > 0 {_ON_TOP} RETURNING last_number
    )
    INSERT INTO ticket_numbers
    SELECT f.key, block.last_number - (SELECT count(*) FROM fresh) + f.place FROM fresh f, block
    """,  # noqa: S608 (our own text)
)
IMPORTED_NUMBER = "(SELECT n.number FROM ticket_numbers n WHERE n.key = s.key)"


async def next_number(unit: Unit) -> int:
    """The number of a new ticket. Other tickets of the tenant wait for this transaction to end."""
    with unit.session.no_autoflush:
        result = await unit.session.execute(_TAKE_ONE, {"tenant_id": unit.tenant_id})
    return int(result.scalar_one())


async def locked_ticket(unit: Unit, ticket_id: UUID) -> Ticket | None:
    """The live ticket, held until the transaction ends."""
    statement = select(Ticket).where(
        Ticket.tenant_id == unit.tenant_id, Ticket.id == ticket_id, Ticket.deleted_at.is_(None)
    )
    # Nothing half done is sent before its time: the kit looks after what goes wrong with the record's own row.
    with unit.session.no_autoflush:
        return (await unit.session.execute(statement.with_for_update())).scalar_one_or_none()
