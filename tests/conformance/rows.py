"""Thousands of records at once: copies of one, made inside the database."""

import re
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Column, Integer, Table, inspect

from shared.resources.representation import quoted

if TYPE_CHECKING:
    from tests.conformance.world import World


async def copy(world: "World", record_id: object, copies: int, **values: str) -> None:
    """Copies one record `copies` times. `values` are SQL by column; `g` is the copy's number."""
    table: Table = inspect(world.resource.model).local_table
    unique = _unique_columns(table)
    columns = [column for column in table.columns if column.computed is None]
    names = ", ".join(quoted(column.name) for column in columns)
    sources = ", ".join(values.get(column.name, _source(column, unique, world)) for column in columns)
    await world.database.execute(
        f"INSERT INTO {quoted(table.name)} ({names}) SELECT {sources} FROM {quoted(table.name)} t, "
        "generate_series(1, $3::int) g WHERE t.tenant_id = $1 AND t.id = $2",
        world.tenant_id,
        UUID(str(record_id)),
        copies,
    )


def _source(column: Column[Any], unique: set[str], world: "World") -> str:
    if column.name == "id":
        return "gen_random_uuid()"
    if column.name in ("source", "external_id"):
        return "NULL"
    if column.name in unique:
        number = next(world.numbers)
        if isinstance(column.type, Integer):
            return f"{number * 1_000_000} + g"
        return f"t.{quoted(column.name)} || ' copy {number} ' || g"
    return f"t.{quoted(column.name)}"


def _unique_columns(table: Table) -> set[str]:
    """The columns that some unique index is about, also inside an expression."""
    words: set[str] = set()
    for index in table.indexes:
        if index.unique:
            for expression in index.expressions:
                words.update(re.findall(r"\w+", getattr(expression, "name", None) or str(expression)))
    return {column.name for column in table.columns if column.name in words} - {"tenant_id"}


def columns_in(sql: str) -> list[str]:
    """The columns of the record's table `t` that an expression is about."""
    return re.findall(r"\bt\.\"?(\w+)", sql)


def with_its_pair(world: "World", columns: list[str]) -> set[str]:
    """The columns and those that are empty together with them: an amount is nothing without its currency."""
    pairs = [
        {part.columns[0].name for part in composite.props}
        for composite in inspect(world.resource.model).composites
    ]
    return set(columns).union(*(pair for pair in pairs if pair & set(columns)))


async def in_order(world: "World", sql: str, direction: str) -> list[str]:
    """The ids of all live records in the order of an expression, empty values last: what a list must equal."""
    resource, scope = world.resource, await world.scope()
    conditions, values = ["t.tenant_id = $1"], [scope.tenant_id]
    if resource.parent is not None and scope.parent_id is not None:
        conditions.append(f"t.{quoted(resource.parent.field)} = $2")
        values.append(scope.parent_id)
    if resource.keeps_deleted:
        conditions.append("t.deleted_at IS NULL")
    found = await world.database.fetch(
        f"SELECT t.id FROM {quoted(resource.table)} t WHERE {' AND '.join(conditions)} "
        f"ORDER BY {sql} {direction} NULLS LAST, t.id {direction}",
        *values,
    )
    return [str(row["id"]) for row in found]
