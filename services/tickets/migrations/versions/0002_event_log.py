"""The event log: every change of a record, in the transaction of the change."""

from alembic import op

from shared.events.schema import log_additions, log_changes, make_event_log

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Makes the log, and has every table of records write to it."""
    connection = op.get_bind()
    make_event_log(connection)
    log_changes(connection, "tickets", "tickets")
    log_changes(connection, "ticket_comments", "tickets/comments", parent="ticket_id")
    log_changes(connection, "imports", "tickets/imports")
    log_additions(connection, "ticket_events", "tickets/events", parent="ticket_id")
