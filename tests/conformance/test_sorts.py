"""Sorts and cursors: every sort walks completely in both directions, by its index, and cursors cannot be made up."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from shared.database.database import Database
from shared.resources.listing import QueryReader
from shared.resources.representation import quoted
from shared.resources.statements import Statements
from tests.conformance import rows
from tests.conformance.catalogue import Case, every
from tests.conformance.problems import pointers, problem
from tests.conformance.world import World

FEW = 90


async def many(world: World) -> None:
    """Some records, and copies of one of them that share every sort value or have none."""
    for _ in range(3):
        record = await world.create()
    nullable = {
        column
        for sort in world.resource.sorts.values()
        if sort.nullable
        for column in rows.with_its_pair(world, rows.columns_in(sort.sql))
    }
    some = {column: f"CASE WHEN g % 3 > 0 THEN t.{quoted(column)} END" for column in nullable}
    await rows.copy(world, record["id"], FEW, **some)
    await world.database.execute(f"ANALYZE {quoted(world.resource.table)}")


@every("list")
async def test_every_sort_walks_through_everything(case: Case, world: World) -> None:
    await many(world)
    for name, sort in case.resource.sorts.items():
        for sign, direction in (("", "ASC"), ("-", "DESC")):
            expected = await rows.in_order(world, sort.sql, direction)
            assert len(expected) >= FEW
            assert await world.walk(sort=sign + name, limit="17") == expected, sign + name
    default = case.resource.default_sort
    assert await world.walk() == await world.walk(sort=default)


@every("list")
async def test_thousands_share_one_value(case: Case, world: World) -> None:
    record = await world.create()
    await rows.copy(world, record["id"], 2_000)
    found = await world.walk()
    assert len(found) == len(set(found)) >= 2_001


@every("list", "create", "delete")
async def test_changes_during_a_walk_neither_skip_nor_repeat(case: Case, world: World) -> None:
    await many(world)
    before = await world.ids()
    path, params = await world.path(), {"limit": "10"}
    found: list[str] = []
    gone: set[str] = set()
    cursor: str | None = None
    while True:
        answer = await world.client.get(path, params=params | ({"cursor": cursor} if cursor else {}))
        page = answer.json()
        found += [one["id"] for one in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        await world.create()
        # The cursor's own row goes, one already seen, and one still to come.
        ahead = [one for one in before if one not in found][-1:]
        for doomed in {found[-1], found[0], *ahead} - gone:
            answer = await world.client.delete(f"{path}/{doomed}")
            gone |= {doomed} if answer.status_code == 204 else set()
    assert len(found) == len(set(found))
    assert set(found) >= set(before) - gone


@every("list")
async def test_every_sort_is_served_by_an_index(case: Case, world: World) -> None:
    await many(world)
    statements, reader = Statements(case.resource), QueryReader(case.resource)
    for name in case.resource.sorts:
        for spelled in (name, f"-{name}"):
            question = reader.question([("sort", spelled), ("limit", "10")])
            statement = statements.page(await world.scope(), question, None)
            plan = await _plan(world, statement.sql, statement.values)
            needless = set(_needless_work(plan, rows.columns_in(case.resource.sorts[name].sql)))
            if case.resource.parent is not None and name != case.resource.default_sort.removeprefix("-"):
                needless -= {
                    "Sort",
                    "Incremental Sort",
                }  # one record's few parts may be sorted when asked for
            assert not needless, f"{spelled}: {json.dumps(plan)[:3000]}"


async def _plan(world: World, sql: str, values: tuple[Any, ...]) -> dict[str, Any]:
    async with world.database.acquire() as connection, connection.transaction():
        for setting in ("enable_seqscan", "enable_bitmapscan"):
            await connection.execute(f"SET LOCAL {setting} = off")
        found = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {sql}", *values)
    plan: dict[str, Any] = json.loads(found)[0]["Plan"]
    return plan


def _needless_work(node: dict[str, Any], columns: list[str]) -> Iterator[str]:
    """Nodes that read or sort all of the table's rows, not merely the few that a limited index scan has found.

    A unique index ends before the id, which an incremental sort then adds without work.
    """
    kind, parts = node["Node Type"], node.get("Plans", [])
    presorted = any(column in key for key in node.get("Presorted Key", ()) for column in columns)
    if kind in ("Sort", "Incremental Sort") and not presorted and not any(map(_is_limited, parts)):
        yield kind
    if kind in ("Seq Scan", "Bitmap Heap Scan"):
        yield kind
    for part in parts:
        if part.get("Parent Relationship") not in ("SubPlan", "InitPlan"):
            yield from _needless_work(part, columns)


def _is_limited(node: dict[str, Any]) -> bool:
    return node["Node Type"] == "Limit" or any(map(_is_limited, node.get("Plans", [])))


@every("list")
async def test_cursors_cannot_be_made_up(case: Case, world: World) -> None:
    for _ in range(3):
        await world.create()
    path = await world.path()
    page = (await world.client.get(path, params={"limit": 1})).json()
    cursor = page["next_cursor"]
    raw = bytearray(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    raw[-1] ^= 1
    forged = urlsafe_b64encode(bytes(raw)).decode().rstrip("=")
    for bad in (forged, cursor[:-4], cursor + "AAAA", "", "x", "é", "AAAA", cursor.swapcase(), "A" * 5000):
        document = problem(await world.client.get(path, params={"limit": 1, "cursor": bad}), 400)
        assert pointers(document) == ["?cursor"], bad


@every("list")
async def test_a_cursor_continues_its_own_question_only(
    case: Case, world: World, make_world: Callable[[], Awaitable[World]]
) -> None:
    record = await world.create()
    await world.create()
    path, default = await world.path(), case.resource.default_sort
    cursor = (await world.client.get(path, params={"limit": 1})).json()["next_cursor"]
    other_way = default.removeprefix("-") if default.startswith("-") else f"-{default}"
    for other in ({"sort": other_way}, {"filter[id]": record["id"]}, {"filter[id][ne]": record["id"]}):
        answer = await world.client.get(path, params={"cursor": cursor, **other})
        assert pointers(problem(answer, 400)) == ["?cursor"]
    # What does not change the order may change between pages.
    assert (
        await world.client.get(path, params={"cursor": cursor, "limit": 2, "fields": "id"})
    ).status_code == 200
    stranger = await make_world()
    await stranger.create()
    problem(await stranger.client.get(await stranger.path(), params={"cursor": cursor}), 400)


@every("list")
async def test_the_next_page_is_linked(case: Case, world: World) -> None:
    for _ in range(3):
        await world.create()
    answer = await world.client.get(await world.path(), params={"limit": 2, "filter[id][ne]": _NOBODY})
    page, link = answer.json(), answer.headers["link"]
    target, _, relation = link.partition("; ")
    assert relation == 'rel="next"'
    following = await world.client.get(target.strip("<>"))
    assert following.status_code == 200
    seen = {one["id"] for one in page["data"]}
    assert following.json()["data"]
    assert seen.isdisjoint(one["id"] for one in following.json()["data"])
    whole = await world.client.get(await world.path(), params={"limit": 200})
    assert whole.json()["has_more"] is False
    assert "link" not in whole.headers


_NOBODY = "0191b1a0-0000-7000-8000-000000000001"


@every("list")
async def test_fifty_unless_told_otherwise(case: Case, world: World) -> None:
    record = await world.create()
    await rows.copy(world, record["id"], 60)
    page = (await world.client.get(await world.path())).json()
    assert len(page["data"]) == 50
    assert page["has_more"] is True


@every("list")
async def test_the_number_of_statements_does_not_depend_on_the_length(case: Case, world: World) -> None:
    record = await world.create()
    includes = ",".join(case.resource.includes)
    params = {"limit": "200", "count": "exact", **({"include": includes} if includes else {})}
    path = await world.path()
    await world.client.get(path, params=params)
    short = await _statements(world, path, params)
    await rows.copy(world, record["id"], 190)
    assert await _statements(world, path, params) == short <= 2


async def _statements(world: World, path: str, params: dict[str, str]) -> int:
    """How many spans of statements one list makes; counted where the driver is called."""
    count = 0
    original = Database.fetch

    async def counting(self: Database, summary: str, sql: str, *values: Any) -> Any:
        nonlocal count
        count += 1
        return await original(self, summary, sql, *values)

    Database.fetch = counting  # type: ignore[method-assign]  # for one request
    try:
        assert (await world.client.get(path, params=params)).status_code == 200
    finally:
        Database.fetch = original  # type: ignore[method-assign]  # as it was
    return count
