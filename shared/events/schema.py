"""The event log's table, and the triggers that fill it. Migrations call these, and they hold for every writer.

A statement that changes records writes one row per tenant, kind and action with the ids of them all, so that an import
of thousands costs as much as it should. A trigger cannot be forgotten: what rules, imports and jobs change on the side
is told as well, and so is what somebody changes by hand.

A record is changed when its version is: columns that only help the service (a counter) may change without.
"""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    Connection,
    DateTime,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    Uuid,
)

from shared.database.partitions import ensure_partitions

EVENT_LOG = "event_log"
PRINCIPAL_SETTING = "kontor.principal"
TRACE_SETTING = "kontor.traceparent"
"""Settings of the transaction (or connection) that say who changes things, and on whose request."""

_COLUMNS = (
    "tenant_id, transaction_id, sequence, occurred_at, kind, action, record_count, record_ids, versions, parent_ids, "
    "principal, traceparent"
)


def add_event_log(metadata: MetaData) -> Table:
    """Declares the table in a service's metadata."""
    return Table(
        EVENT_LOG,
        metadata,
        Column("tenant_id", Uuid(), primary_key=True),
        Column("transaction_id", BigInteger(), primary_key=True, autoincrement=False),
        Column("sequence", BigInteger(), primary_key=True, autoincrement=False),
        Column("occurred_at", DateTime(timezone=True), primary_key=True),
        Column("kind", Text(), nullable=False),
        Column("action", Text(), nullable=False),
        Column("record_count", Integer(), nullable=False),
        Column("record_ids", ARRAY(Uuid()), nullable=False),
        Column("versions", ARRAY(BigInteger())),
        Column("parent_ids", ARRAY(Uuid())),
        Column("principal", Text(), nullable=False),
        Column("traceparent", Text()),
        # All tenants' changes in one order, for the gateways. A tenant's own lie together in the primary key.
        Index("ix_event_log_position", "transaction_id", "sequence"),
        postgresql_partition_by="RANGE (occurred_at)",
    )


def make_event_log(connection: Connection) -> None:
    """Makes the table with its partitions."""
    connection.exec_driver_sql(f"CREATE SEQUENCE {EVENT_LOG}_sequence")
    connection.exec_driver_sql(
        f"""
        CREATE TABLE {EVENT_LOG} (
            tenant_id uuid NOT NULL,
            transaction_id bigint NOT NULL,
            sequence bigint NOT NULL,
            occurred_at timestamptz NOT NULL,
            kind text NOT NULL,
            action text NOT NULL,
            record_count integer NOT NULL,
            record_ids uuid[] STORAGE EXTERNAL NOT NULL,
            versions bigint[],
            parent_ids uuid[] STORAGE EXTERNAL,
            principal text NOT NULL,
            traceparent text,
            CONSTRAINT pk_{EVENT_LOG} PRIMARY KEY (tenant_id, transaction_id, sequence, occurred_at)
        ) PARTITION BY RANGE (occurred_at)
        """
    )
    connection.exec_driver_sql(
        f"CREATE INDEX ix_{EVENT_LOG}_position ON {EVENT_LOG} (transaction_id, sequence)"
    )
    ensure_partitions(connection, EVENT_LOG)


def log_changes(connection: Connection, table: str, kind: str, *, parent: str | None = None) -> None:
    """Logs the changes of a table of records as changes of this kind; of parts, `parent` is the parent's column."""
    parent_id = parent or "NULL::uuid"
    columns = f"tenant_id, id, version, deleted_at, {parent_id} AS parent_id"
    both = f"SELECT {columns}, true AS after FROM fresh UNION ALL SELECT {columns}, false FROM stale"
    # Not a join: its plan would be kept from the first statement on, and be a loop when that had a single row.
    updated = f"""
        SELECT tenant_id, id, max(version) AS version, (array_agg(parent_id))[1] AS parent_id,
            CASE WHEN count(deleted_at) = count(*) OR count(deleted_at) = 0 THEN 'updated'
                 WHEN bool_or(after AND deleted_at IS NOT NULL) THEN 'deleted' ELSE 'restored' END AS action
        FROM ({both}) r GROUP BY tenant_id, id HAVING max(version) > min(version)
    """
    _make_function(
        connection,
        table,
        {
            "INSERT": _insert(f"SELECT {columns}, 'created' AS action FROM fresh", kind, parent),
            "UPDATE": _insert(updated, kind, parent),
            "DELETE": _insert(f"SELECT {columns}, 'deleted' AS action FROM stale", kind, parent),
        },
    )
    _make_trigger(connection, table, "INSERT", "NEW TABLE AS fresh")
    _make_trigger(connection, table, "UPDATE", "OLD TABLE AS stale NEW TABLE AS fresh")
    _make_trigger(connection, table, "DELETE", "OLD TABLE AS stale")


def log_additions(connection: Connection, table: str, kind: str, *, parent: str) -> None:
    """Logs what is added to a history (`HistoryRow`), whose rows never change."""
    added = f"SELECT tenant_id, id, 1 AS version, {parent} AS parent_id, 'created' AS action FROM fresh"
    _make_function(connection, table, {"INSERT": _insert(added, kind, parent)})
    _make_trigger(connection, table, "INSERT", "NEW TABLE AS fresh")


def _insert(rows: str, kind: str, parent: str | None) -> str:
    """`rows` yields (tenant_id, id, version, parent_id, action)."""
    parents = "array_agg(parent_id)" if parent is not None else "NULL"
    return f"""
        INSERT INTO {EVENT_LOG} ({_COLUMNS})
        SELECT tenant_id, pg_current_xact_id()::text::bigint, nextval('{EVENT_LOG}_sequence'), clock_timestamp(),
            '{kind}', action, count(*), array_agg(id),
            CASE WHEN max(version) > 1 THEN array_agg(version) END, {parents},
            coalesce(nullif(current_setting('{PRINCIPAL_SETTING}', true), ''), 'system'),
            nullif(current_setting('{TRACE_SETTING}', true), '')
        FROM ({rows}) changed GROUP BY tenant_id, action;
    """


def _make_function(connection: Connection, table: str, statements: dict[str, str]) -> None:
    branches = " ELS".join(
        f"IF TG_OP = '{operation}' THEN {statement}" for operation, statement in statements.items()
    )
    connection.exec_driver_sql(
        f"CREATE FUNCTION {EVENT_LOG}_of_{table}() RETURNS trigger LANGUAGE plpgsql AS "
        f"$body$ BEGIN {branches} END IF; RETURN NULL; END $body$"
    )


def _make_trigger(connection: Connection, table: str, operation: str, referencing: str) -> None:
    connection.exec_driver_sql(
        f"CREATE TRIGGER {EVENT_LOG}_{operation.lower()} AFTER {operation} ON {table} REFERENCING {referencing} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {EVENT_LOG}_of_{table}()"
    )
