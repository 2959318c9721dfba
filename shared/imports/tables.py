"""Where imports live: the job itself, the file's bytes, and the rows that were refused.

The uploaded bytes are kept in the database, so that any worker can run the job and a killed one leaves nothing to
do again by hand. They are deleted when the job ends; its outcome and its error rows are kept for seven days.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table, Text, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from shared.database.tables import Record

KEPT = timedelta(days=7)
ABANDONED_AFTER = timedelta(hours=1)
CHUNK_BYTES = 1024 * 1024
CHANNEL = "kontor_imports"


class ImportRecord(Record):
    """One import job. A service makes its table by subclassing it together with its own base."""

    __abstract__ = True
    __tablename__ = "imports"

    resource: Mapped[str]
    status: Mapped[str]
    """uploading → queued → running → completed | failed | cancelled"""
    mapping: Mapped[dict[str, Any]]
    file_name: Mapped[str | None]
    principal: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    bytes_read: Mapped[int] = mapped_column(BigInteger, default=0)
    rows_read: Mapped[int] = mapped_column(BigInteger, default=0)
    rows_created: Mapped[int] = mapped_column(BigInteger, default=0)
    rows_updated: Mapped[int] = mapped_column(BigInteger, default=0)
    rows_unchanged: Mapped[int] = mapped_column(BigInteger, default=0)
    rows_failed: Mapped[int] = mapped_column(BigInteger, default=0)
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    failure: Mapped[str | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    @classmethod
    def own_indexes(cls) -> tuple[Any, ...]:
        """The worker looks for what is not finished."""
        return (Index("ix_imports_status", "status", "created_at"),)


def add_import_tables(metadata: MetaData) -> tuple[Table, Table]:
    """Declares the file's chunks and the refused rows in a service's metadata."""
    chunks = Table(
        "import_chunks",
        metadata,
        Column("tenant_id", Uuid(), primary_key=True),
        Column("import_id", Uuid(), primary_key=True),
        Column("number", Integer(), primary_key=True, autoincrement=False),
        Column("data", LargeBinary(), nullable=False),
    )
    errors = Table(
        "import_errors",
        metadata,
        Column("tenant_id", Uuid(), primary_key=True),
        Column("import_id", Uuid(), primary_key=True),
        Column("number", BigInteger(), primary_key=True, autoincrement=True),
        Column("row", BigInteger(), nullable=False),
        Column("line", BigInteger(), nullable=False),
        Column("column", Text()),
        Column("code", Text(), nullable=False),
        Column("reason", Text(), nullable=False),
        Column("value", Text()),
    )
    return chunks, errors
