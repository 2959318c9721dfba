"""The event log: every change of a record, in the transaction of the change."""

from alembic import op

from shared.events.schema import log_additions, log_changes, make_event_log

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Makes the log, and has every table of records write to it."""
    connection = op.get_bind()
    make_event_log(connection)
    log_changes(connection, "pipelines", "pipelines")
    log_changes(connection, "products", "products")
    log_changes(connection, "sales_reps", "sales-reps")
    log_changes(connection, "deals", "deals")
    log_changes(connection, "imports", "sales/imports")
    log_additions(connection, "deal_stage_changes", "deals/stage-changes", parent="deal_id")
