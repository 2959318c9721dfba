"""The declaration of a resource, from which its routes, its SQL and its documentation follow.

A feature declares its table, what may be written, what is answered, and what lists may be filtered and sorted by.
Everything that `api.md` promises of every resource is then done here, once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Boolean, Date, DateTime, Integer, Numeric, Uuid, inspect

from shared.database.tables import Record, TenantRow
from shared.fields import Instant, Key
from shared.resources import filters as kinds
from shared.resources.filters import Filter, Kind
from shared.resources.rules import Rules

Operation = Literal["list", "get", "create", "update", "delete", "restore", "upsert", "bulk"]
EVERY_OPERATION: frozenset[Operation] = frozenset(
    ("list", "get", "create", "update", "delete", "restore", "upsert", "bulk")
)
READ_ONLY: frozenset[Operation] = frozenset(("list", "get"))


class Document(BaseModel):
    """A body: unknown members are refused, nothing is coerced."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, from_attributes=True)


class WritableDocument(Document):
    """What a caller may write of any record."""

    source: Key | None = None
    external_id: Key | None = None


class RecordDocument(Document):
    """What every record answers besides its own fields."""

    id: str
    source: str | None
    external_id: str | None
    version: int
    created_at: Instant
    updated_at: Instant
    deleted_at: Instant | None


@dataclass(frozen=True)
class Sort:
    """`sql` over the table `t`; `kind` says how its value travels in a cursor."""

    sql: str
    kind: Kind
    nullable: bool = False


@dataclass(frozen=True)
class Reference:
    """A field that holds the id of a record of this service, and the name under which it may be included."""

    field: str
    target_of: Callable[[], "Resource"]
    """Called when needed, so that resources may refer to themselves and to one another."""
    include: str | None = None
    many: bool = False

    @property
    def target(self) -> "Resource":
        return self.target_of()


@dataclass(frozen=True)
class Parent:
    """The record that this one is a part of: `/v1/tickets/{ticket_id}/comments`."""

    resource: "Resource"
    field: str


@dataclass(frozen=True)
class Resource:
    """One resource. `name` is its path, `singular` its noun in sentences.

    `computed` maps a field to SQL over the row `{t}`; `unique` maps a unique index to the fields it is about.
    A read-only resource needs no `writable` document, and its rows need be no more than a tenant's (`HistoryRow`).
    """

    name: str
    singular: str
    model: type[TenantRow]
    writable: type[WritableDocument] = field(default=WritableDocument, kw_only=True)
    readable: type[BaseModel]
    filters: Mapping[str, Filter]
    sorts: Mapping[str, Sort]
    rules: Rules[Any] = field(default_factory=Rules)
    default_sort: str = "-created_at"
    search: str | None = None
    computed: Mapping[str, str] = field(default_factory=dict)
    references: tuple[Reference, ...] = ()
    unique: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    parent: Parent | None = None
    operations: frozenset[Operation] = EVERY_OPERATION
    summary: str = ""

    @property
    def table(self) -> str:
        return str(self.model.__tablename__)  # type: ignore[attr-defined]  # every mapped class has one

    @property
    def record_model(self) -> type[Record]:
        """The table of what can be written. Raises TypeError for rows that are no records."""
        if not issubclass(self.model, Record):
            raise TypeError(f"{self.name} is written by nobody: its rows are no records")
        return self.model

    @property
    def keeps_deleted(self) -> bool:
        """Whether rows can be softly deleted, and so have a version too."""
        return issubclass(self.model, Record)

    @property
    def changeable(self) -> bool:
        """Whether there is any operation that writes."""
        return bool(self.operations - READ_ONLY)

    @cached_property
    def path(self) -> str:
        """The collection's path, with the parent's id as a parameter where there is one."""
        if self.parent is None:
            return f"/v1/{self.name}"
        return f"{self.parent.resource.path}/{{parent_id}}/{self.name}"

    @cached_property
    def kind(self) -> str:
        """What changes call its records: the collection's path without anyone's id, such as `tickets/comments`."""
        return self.path.removeprefix("/v1/").replace("/{parent_id}", "")

    def location(self, record_id: object, parent_id: object = None) -> str:
        """The path of one record."""
        return f"{self.path.format(parent_id=parent_id)}/{record_id}"

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """What is answered, in order."""
        return tuple(self.readable.model_fields)

    @cached_property
    def includes(self) -> dict[str, Reference]:
        return {ref.include: ref for ref in self.references if ref.include is not None}

    @cached_property
    def unique_indexes(self) -> dict[str, tuple[str, ...]]:
        """The unique indexes of the table and the fields that each is about."""
        return {f"uq_{self.table}_external_id": ("source", "external_id"), **self.unique}


def column_filters(model: type[TenantRow], *names: str, **special: Filter) -> dict[str, Filter]:
    """Filters by columns, typed by the column; every record's own come first and `special` ones last."""
    own = (
        "id",
        *(("created_at", "updated_at", "source", "external_id") if issubclass(model, Record) else ()),
    )
    plain = {name: _column_filter(model, name) for name in (*own, *names)}
    return plain | special


def column_sorts(model: type[TenantRow], *names: str, **special: Sort) -> dict[str, Sort]:
    """Sorts by columns; each of `names` must have its index. Text is sorted without regard to case."""
    own = ("created_at", "updated_at") if issubclass(model, Record) else ()
    plain = {name: _column_sort(model, name) for name in (*own, *names)}
    return plain | special


def _column_filter(model: type[TenantRow], name: str) -> Filter:
    column = inspect(model).columns[name]
    kind = kinds.KEY if name in ("source", "external_id") else _kind_of(column.type)
    return Filter(f"t.{column.name}", kind, nullable=bool(column.nullable))


def _column_sort(model: type[TenantRow], name: str) -> Sort:
    column = inspect(model).columns[name]
    kind = _kind_of(column.type)
    sql = f"lower(t.{column.name})" if kind is kinds.TEXT else f"t.{column.name}"
    return Sort(sql, kind, nullable=bool(column.nullable))


def _kind_of(column_type: Any) -> Kind:
    by_type = (
        (Uuid, kinds.ID),
        (DateTime, kinds.INSTANT),
        (Date, kinds.DATE),
        (Boolean, kinds.BOOLEAN),
        (Integer, kinds.INTEGER),
        (Numeric, kinds.DECIMAL),
    )
    return next((kind for cls, kind in by_type if isinstance(column_type, cls)), kinds.TEXT)
