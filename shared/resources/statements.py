"""The read statements of a resource: one record, a page of a list, a count.

A statement's text depends only on the shape of the question (which fields, filters, sort), so it is made once per
shape and then prepared once per connection; values travel as parameters. A page is one statement whatever its length.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from shared.resources.cursors import Position
from shared.resources.definition import Resource, Sort
from shared.resources.listing import ListQuestion, Selection
from shared.resources.representation import quoted, row_json

_REMEMBERED_SHAPES = 500


@dataclass(frozen=True)
class Scope:
    """Whose records: the tenant, and the parent record where the resource is a part of one."""

    tenant_id: UUID
    parent_id: UUID | None = None


@dataclass(frozen=True)
class Statement:
    """SQL with `$n` placeholders, and its values."""

    sql: str
    values: tuple[Any, ...]


class Statements:
    """Makes the statements of one resource."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._made: OrderedDict[Hashable, str] = OrderedDict()

    def one(self, scope: Scope, record_id: UUID, selection: Selection, *, deleted: bool = False) -> Statement:
        """One record as `(body, version)`; with `deleted`, also one that is softly deleted."""
        shape = ("one", selection, deleted)
        sql = self._once(shape, lambda: self._one_sql(selection, "id = $", deleted=deleted))
        return Statement(sql, (*self._scope_values(scope), record_id))

    def one_by_external_id(
        self, scope: Scope, source: str, external_id: str, selection: Selection
    ) -> Statement:
        """The live record of this external id as `(body, version, id)`."""
        sql = self._once(
            ("external", selection), lambda: self._one_sql(selection, "external_id = $ AND t.source = $")
        )
        return Statement(sql, (*self._scope_values(scope), external_id, source))

    def page(self, scope: Scope, question: ListQuestion, after: Position | None) -> Statement:
        """One row more than the limit as `(body, sort value, id)`; empty values sort last in both directions."""
        values: list[Any] = [*self._scope_values(scope), *self._filter_values(question)]
        phase = "first" if after is None else "empty" if after.value is None else "after"
        shape = (
            "page",
            *self._shape(question),
            question.selection,
            question.sort,
            question.descending,
            phase,
        )
        sql = self._once(shape, lambda: self._page_sql(question, phase))
        if after is not None:
            values += [after.record_id] if phase == "empty" else [after.value, after.record_id]
        return Statement(sql, (*values, question.limit + 1))

    def count(self, scope: Scope, question: ListQuestion) -> Statement:
        """How many records the list has in all."""
        sql = self._once(("count", *self._shape(question)), lambda: f"SELECT count(*) {self._from(question)}")
        return Statement(sql, (*self._scope_values(scope), *self._filter_values(question)))

    def estimate(self, scope: Scope, question: ListQuestion) -> Statement:
        """The planner's estimate of the same, as EXPLAIN's JSON."""
        sql = self._once(
            ("estimate", *self._shape(question)),
            lambda: f"EXPLAIN (FORMAT JSON) SELECT 1 {self._from(question)}",
        )
        return Statement(sql, (*self._scope_values(scope), *self._filter_values(question)))

    def _once(self, shape: Hashable, make: Callable[[], str]) -> str:
        """Callers choose the shapes, so only the latest are remembered."""
        made = self._made
        sql = made.get(shape)
        if sql is None:
            sql = made[shape] = make()
            if len(made) > _REMEMBERED_SHAPES:
                made.popitem(last=False)
        else:
            made.move_to_end(shape)
        return sql

    def _scope_values(self, scope: Scope) -> tuple[UUID, ...]:
        if self._resource.parent is None:
            return (scope.tenant_id,)
        assert scope.parent_id is not None  # noqa: S101 (the routes of a part always know its parent)
        return (scope.tenant_id, scope.parent_id)

    def _scope_sql(self) -> list[str]:
        conditions = ["t.tenant_id = $1"]
        if self._resource.parent is not None:
            conditions.append(f"t.{quoted(self._resource.parent.field)} = $2")
        return conditions

    def _one_sql(self, selection: Selection, key: str, *, deleted: bool = False) -> str:
        conditions = self._scope_sql()
        number = len(conditions)
        for part in f"t.{key}".split(" AND "):
            number += 1
            conditions.append(f"{part}{number}")
        if not deleted:
            conditions += [*self._parent_sql(), *self._live_sql()]
        body = row_json(self._resource, selection.fields, selection.includes)
        where = " AND ".join(conditions)
        # What never changes has one.
        version = "t.version" if self._resource.keeps_deleted else "1 AS version"
        return f"SELECT {body}::text AS body, {version}, t.id FROM {quoted(self._resource.table)} t WHERE {where}"

    @staticmethod
    def _shape(question: ListQuestion) -> tuple[Hashable, ...]:
        conditions = tuple((condition.field, condition.operator) for condition in question.conditions)
        return conditions, question.words is not None, question.searched, question.deleted

    @staticmethod
    def _filter_values(question: ListQuestion) -> list[Any]:
        values = [condition.value for condition in question.conditions]
        return [*values, question.words] if question.words is not None else values

    def _from(self, question: ListQuestion) -> str:
        return f"FROM {quoted(self._resource.table)} t WHERE {' AND '.join(self._conditions(question))}"

    def _conditions(self, question: ListQuestion) -> list[str]:
        conditions = self._scope_sql()
        for asked in question.conditions:
            placeholder = f"${len(conditions) + 1}"
            conditions.append(self._resource.filters[asked.field].condition(asked.operator, placeholder))
        if question.words is not None:
            conditions.append(f"{self._resource.search} @@ ${len(conditions) + 1}::text::tsquery")
        elif question.searched:
            conditions.append("false")  # a search without any word finds nothing
        return [*conditions, *self._parent_sql(), *self._live_sql(deleted=question.deleted)]

    def _live_sql(self, *, deleted: bool = False) -> list[str]:
        if not self._resource.keeps_deleted:
            return []
        return ["t.deleted_at IS NOT NULL" if deleted else "t.deleted_at IS NULL"]

    def _parent_sql(self) -> list[str]:
        """Parts of a deleted record are not to be found; PostgreSQL asks this once per statement."""
        if self._resource.parent is None:
            return []
        table = quoted(self._resource.parent.resource.table)
        live = "p.tenant_id = $1 AND p.id = $2 AND p.deleted_at IS NULL"
        return [f"EXISTS (SELECT FROM {table} p WHERE {live})"]

    def _page_sql(self, question: ListQuestion, phase: str) -> str:
        sort = self._resource.sorts[question.sort]
        selection = question.selection
        body = row_json(self._resource, selection.fields, selection.includes)
        select = f"SELECT {body}::text AS body, {sort.sql} AS sort_value, t.id {self._from(question)}"
        direction = "DESC" if question.descending else "ASC"
        beyond = "<" if question.descending else ">"
        number = 1 + len(self._scope_sql()) + len(self._filter_values(question))
        if phase == "empty":
            limit = f"LIMIT ${number + 1}"
            ordered = _ordered(sort, direction)
            return f"{select} AND {sort.sql} IS NULL AND t.id {beyond} ${number} {ordered} {limit}"
        after = ""
        if phase == "after":
            after = f" AND ({sort.sql}, t.id) {beyond} (${number}::{sort.kind.sql_type}, ${number + 1})"
            number += 2
        return _with_empty_last(select, after, sort, direction, f"LIMIT ${number}")


def _with_empty_last(select: str, after: str, sort: Sort, direction: str, limit: str) -> str:
    ordered = f"{_ordered(sort, direction)} {limit}"
    if not sort.nullable:
        return f"{select}{after} {ordered}"
    filled = f"({select}{after} AND {sort.sql} IS NOT NULL {ordered})"
    empty = f"({select} AND {sort.sql} IS NULL {ordered})"
    together = f"SELECT * FROM ({filled} UNION ALL {empty}) both_parts"
    return f"{together} ORDER BY sort_value {direction} NULLS LAST, id {direction} {limit}"


def _ordered(sort: Sort, direction: str) -> str:
    """The index's own order, also among empty values: PostgreSQL does not see that IS NULL leaves only the id."""
    return f"ORDER BY {sort.sql} {direction}, t.id {direction}"
