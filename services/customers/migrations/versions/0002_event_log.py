"""The event log: every change of a record, in the transaction of the change."""

from alembic import op

from shared.events.schema import log_changes, make_event_log

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Makes the log, and has every table of records write to it."""
    connection = op.get_bind()
    make_event_log(connection)
    log_changes(connection, "accounts", "accounts")
    log_changes(connection, "contacts", "contacts")
    log_changes(connection, "imports", "customers/imports")
