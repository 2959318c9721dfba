"""What every table has in common.

A record is identified by `(tenant_id, id)`: the tenant comes first in the key and in every index, so that one
tenant's rows lie together and nothing can be asked without saying whose. Ids are UUIDv7, made by the application.
"""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    DateTime,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncAttrs
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column
from sqlalchemy.sql.elements import ColumnElement
from uuid_utils.compat import uuid7

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


def new_id() -> UUID:
    """A fresh UUIDv7 (RFC 9562): ordered by the time it was made."""
    return UUID(int=uuid7().int)


class TypedBase(AsyncAttrs, DeclarativeBase):
    """Maps Python types to PostgreSQL's, the same way in every service."""

    __abstract__ = True
    type_annotation_map = {  # noqa: RUF012 (SQLAlchemy reads this class attribute)
        str: Text(),
        datetime: DateTime(timezone=True),
        UUID: Uuid(),
        list[Any]: JSONB(),
        dict[str, Any]: JSONB(),
        list[str]: ARRAY(Text()),
        list[UUID]: ARRAY(Uuid()),
    }


def service_metadata() -> MetaData:
    """The metadata of one service's database, with constraint names that errors can be traced by."""
    return MetaData(naming_convention=NAMING)


class TenantRow:
    """A row that belongs to a tenant."""

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)


class Record(TenantRow):
    """A row that is a resource: versioned, softly deleted, and known to other systems by an external id."""

    source: Mapped[str | None]
    external_id: Mapped[str | None]
    version: Mapped[int] = mapped_column(BigInteger, default=1, server_default=text("1"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    deleted_at: Mapped[datetime | None]

    __tablename__: str

    @declared_attr.directive
    @classmethod
    def __table_args__(cls) -> tuple[Any, ...]:
        return (*record_indexes(cls.__tablename__), *cls.own_indexes())

    @classmethod
    def own_indexes(cls) -> tuple[Any, ...]:
        """Indexes and constraints of this table beyond those of every record."""
        return ()


class HistoryRow(TenantRow):
    """A row that is added once and then stays as it is: no version, no soft delete, no external id.

    Its table is partitioned by `time_column`, which the class declares as part of the primary key; its migration
    calls `shared.database.partitions.ensure_partitions` and a job keeps doing so.
    """

    principal: Mapped[str]
    """Who did it."""

    time_column: ClassVar[str]
    __tablename__: str

    @declared_attr.directive
    @classmethod
    def __table_args__(cls) -> tuple[Any, ...]:
        key = PrimaryKeyConstraint("tenant_id", "id", cls.time_column)
        return (key, *cls.own_indexes(), {"postgresql_partition_by": f"RANGE ({cls.time_column})"})

    @classmethod
    def own_indexes(cls) -> tuple[Any, ...]:
        """Indexes and constraints of this table; `history_index` serves the list of one record's history."""
        return ()


def history_index(table: str, parent: str, time_column: str) -> Index:
    """An index that serves the history of one record in the order of time, with the id as tie-breaker."""
    return Index(f"ix_{table}_{parent}", "tenant_id", parent, time_column, "id")


def live() -> ColumnElement[bool]:
    """The condition of partial indexes over what is not deleted."""
    return text("deleted_at IS NULL")  # type: ignore[return-value]  # an index takes text where a column is typed


def record_indexes(table: str) -> tuple[Index, ...]:
    """The default sorts, the external id, and the few deleted rows, each with its index."""
    return (
        sort_index(table, "created_at"),
        sort_index(table, "updated_at"),
        unique_index(table, "source", "external_id", name="external_id"),
        Index(f"ix_{table}_deleted", "tenant_id", "id", postgresql_where=text("deleted_at IS NOT NULL")),
    )


def sort_index(table: str, *columns: str | ColumnElement[Any], name: str | None = None) -> Index:
    """An index that serves one sort with the id as tie-breaker, forwards and backwards."""
    label = name or "_".join(str(column) for column in columns)
    return Index(f"ix_{table}_{label}", "tenant_id", *columns, "id", postgresql_where=live())


def unique_index(table: str, *columns: str | ColumnElement[Any], name: str | None = None) -> Index:
    """A unique key among what is not deleted: a deleted record never stands in a new one's way."""
    label = name or "_".join(str(column) for column in columns)
    return Index(f"uq_{table}_{label}", "tenant_id", *columns, unique=True, postgresql_where=live())


def text_expression(sql: str) -> ColumnElement[Any]:
    """An SQL expression in an index, such as `lower(name)`."""
    return text(sql)  # type: ignore[return-value]  # as above


def search_index(table: str, vector: str) -> Index:
    """The index of `q`: `vector` is the SQL of the record's tsvector, see `shared.resources.search`."""
    return Index(f"ix_{table}_search", text(vector), postgresql_using="gin", postgresql_where=live())
