"""Where first answers are kept: a table in each service's own database, written with the effect itself."""

from datetime import timedelta

from sqlalchemy import (
    Column,
    DateTime,
    Index,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

IDEMPOTENCY_TABLE = "idempotency_keys"
KEPT = timedelta(hours=24)


def add_idempotency_table(metadata: MetaData) -> Table:
    """Declares the table in a service's metadata."""
    return Table(
        IDEMPOTENCY_TABLE,
        metadata,
        Column("tenant_id", Uuid(), primary_key=True),
        Column("principal", Text(), primary_key=True),
        Column("key", Text(), primary_key=True),
        Column("fingerprint", LargeBinary(), nullable=False),
        Column("status", SmallInteger(), nullable=False),
        Column("headers", JSONB(), nullable=False),
        Column("body", LargeBinary(), nullable=False),
        Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Index("ix_idempotency_keys_created_at", "created_at"),
    )


async def forget_old_keys(session: AsyncSession) -> int:
    """Deletes what is older than 24 hours; returns how many."""
    statement = text(f"DELETE FROM {IDEMPOTENCY_TABLE} WHERE created_at < now() - CAST(:kept AS interval)")  # noqa: S608 (a constant)
    result = await session.execute(statement, {"kept": KEPT})
    return int(result.rowcount)  # type: ignore[attr-defined]  # a DELETE has one
