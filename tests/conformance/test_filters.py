"""Filters: each operator of each filter against real rows, compared with what it means."""

import json
from collections.abc import Callable
from typing import Any

import asyncpg

from shared.fields import format_instant
from shared.resources.filters import ArrayFilter, ElementFilter, Filter
from shared.resources.representation import quoted
from tests.conformance.catalogue import Case, every
from tests.conformance.world import World

Meaning = Callable[[Any, Any], bool]
MEANINGS: dict[str, Meaning] = {
    "eq": lambda value, asked: value is not None and value == asked,
    "ne": lambda value, asked: value is None or value != asked,
    "in": lambda value, asked: value is not None and value in asked,
    "nin": lambda value, asked: value is None or value not in asked,
    "lt": lambda value, asked: value is not None and value < asked,
    "lte": lambda value, asked: value is not None and value <= asked,
    "gt": lambda value, asked: value is not None and value > asked,
    "gte": lambda value, asked: value is not None and value >= asked,
    "contains": lambda value, asked: value is not None and asked in value,
    "starts_with": lambda value, asked: value is not None and value.startswith(asked),
    "is_null": lambda value, asked: (value is None) is asked,
}
ARRAY_MEANINGS: dict[str, Meaning] = {
    "eq": lambda values, asked: asked in values,
    "in": lambda values, asked: not set(asked).isdisjoint(values),
}


async def several(world: World) -> None:
    """Records that differ, some with everything and some with the least."""
    writable = "create" in world.resource.operations
    for number in range(6):
        if writable:
            await world.create(await world.body(whole=number % 3 != 2))
        else:
            await world.create()


@every("list")
async def test_each_operator_means_what_it_says(case: Case, world: World) -> None:
    await several(world)
    for name, declared in case.resource.filters.items():
        found = await _values(world, declared)
        for operator in declared.operators:
            for text in _questions(declared, operator, list(found.values())):
                expected = {i for i, value in found.items() if _meaning(declared, operator, value, text)}
                answered = await world.ids(**{f"filter[{name}][{operator}]": text})
                assert set(answered) == expected, f"filter[{name}][{operator}]={text}"
                if operator == "eq":
                    assert answered == await world.ids(**{f"filter[{name}]": text})


@every("list")
async def test_conditions_are_joined_by_and(case: Case, world: World) -> None:
    await several(world)
    ids = await world.ids()
    both = {"filter[id][in]": ",".join(ids[:3]), "filter[id][ne]": ids[1], "filter[id][nin]": ids[4]}
    assert await world.ids(**both) == [ids[0], ids[2]]


async def _values(world: World, declared: Filter) -> dict[str, Any]:
    """The filtered value of each live record, straight from the database."""
    scope, resource = await world.scope(), world.resource
    deleted = " AND t.deleted_at IS NULL" if resource.keeps_deleted else ""
    found: list[asyncpg.Record] = await world.database.fetch(
        f"SELECT t.id, {declared.sql} AS value FROM {quoted(resource.table)} t WHERE t.tenant_id = $1{deleted}"
        + (f" AND t.{resource.parent.field} = $2" if resource.parent is not None else ""),
        *(one for one in (scope.tenant_id, scope.parent_id) if one is not None),
    )
    return {str(row["id"]): _plain(declared, row["value"]) for row in found}


def _plain(declared: Filter, value: Any) -> Any:
    if isinstance(declared, ElementFilter):
        return [item[declared.member].lower() for item in json.loads(value)]
    if isinstance(value, list):
        return [_folded(declared, one) for one in value]
    return _folded(declared, value)


def _folded(declared: Filter, value: Any) -> Any:
    return value.lower() if declared.kind.folded and isinstance(value, str) else value


def _meaning(declared: Filter, operator: str, value: Any, text: str) -> bool:
    arrays = isinstance(declared, ElementFilter | ArrayFilter)
    meaning = (ARRAY_MEANINGS if arrays else MEANINGS)[operator]
    if operator == "is_null":
        return meaning(value, text == "true")
    if operator in ("in", "nin"):
        return meaning(value, [_folded(declared, declared.kind.parse(part)) for part in text.split(",")])
    return meaning(value, _folded(declared, declared.kind.parse(text)))


def _questions(declared: Filter, operator: str, values: list[Any]) -> list[str]:
    """Values that some records have and others have not, spelled as a caller would."""
    if operator == "is_null":
        return ["true", "false"]
    if isinstance(declared, ElementFilter | ArrayFilter):
        values = [one for several in values for one in several]
    known = sorted({value for value in values if value is not None})
    if not known:
        known = [_SAMPLES[declared.kind.name]] if declared.kind.name in _SAMPLES else []
        if not known and "enum" in declared.kind.schema:
            known = [declared.kind.schema["enum"][0]]
        return [str(one) for one in known]
    texts = [_spelled(one) for one in dict.fromkeys((known[0], known[len(known) // 2], known[-1]))]
    if operator in ("in", "nin"):
        return (
            [",".join(text for text in texts if "," not in text)] if any("," not in t for t in texts) else []
        )
    if operator == "contains":
        return [texts[0][1:4], texts[-1][2:].upper(), "%", "_", "\\", "'"]
    if operator == "starts_with":
        return [texts[0][:3], texts[-1][:4].upper(), "%", "_"]
    return [*texts, texts[0].upper()] if declared.kind.folded else texts


_SAMPLES = {
    "text": "x",
    "key": "x",
    "integer": "1",
    "decimal": "1.5",
    "boolean": "true",
    "id": "0191b1a0-0000-7000-8000-000000000001",
    "date": "2024-03-01",
    "instant": "2024-03-01T00:00:00Z",
}


def _spelled(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if hasattr(value, "tzinfo"):
        return format_instant(value)
    return str(value)
