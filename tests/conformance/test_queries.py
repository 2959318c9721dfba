"""Query strings: what lists and single records may be asked, and that nothing is ever ignored."""

from typing import Any

import pytest

from shared.resources.filters import OPERATORS, Filter
from tests.conformance.catalogue import Case, every
from tests.conformance.problems import pointers, problem
from tests.conformance.world import World


async def refused(world: World, query: str, parameter: str) -> str:
    """The code of the 400 that names the parameter."""
    document = problem(await world.client.get(f"{await world.path()}?{query}"), 400, "bad_query")
    assert pointers(document) == [f"?{parameter}"], query
    code: str = document["errors"][0]["code"]
    return code


@every("list")
async def test_unknown_parameters_are_named(case: Case, world: World) -> None:
    assert await refused(world, "page=2", "page") == "unknown_parameter"
    assert await refused(world, "filter[nope]=1", "filter[nope]") == "unknown_field"
    assert await refused(world, "filter=1", "filter") == "malformed_filter"
    assert await refused(world, "filter[a][b][c]=1", "filter[a][b][c]") == "malformed_filter"
    assert await refused(world, "sort=nope", "sort") == "unknown_sort"
    assert await refused(world, "sort=", "sort") == "unknown_sort"
    assert await refused(world, "sort=--created_at", "sort") == "unknown_sort"
    assert await refused(world, "include=nope", "include") == "unknown_include"
    assert await refused(world, "fields=nope", "fields") == "unknown_fields"
    assert await refused(world, "fields=", "fields") == "unknown_fields"
    assert await refused(world, "limit=1&limit=2", "limit") == "repeated_parameter"
    if case.resource.search is None:
        assert await refused(world, "q=x", "q") == "unknown_parameter"


@every("list")
@pytest.mark.parametrize("limit", ["0", "201", "-1", "1.0", "x", "", "1e2", "٣", "99999999999999999999"])
async def test_limits_beyond_their_bounds_are_refused(case: Case, world: World, limit: str) -> None:
    document = problem(await world.client.get(await world.path(), params={"limit": limit}), 400)
    assert pointers(document) == ["?limit"]


@every("list")
async def test_every_operator_that_a_filter_does_not_have_is_refused(case: Case, world: World) -> None:
    for name, declared in case.resource.filters.items():
        for operator in set(OPERATORS) - set(declared.operators) | {"like"}:
            spelled = f"filter[{name}][{operator}]"
            assert await refused(world, f"{spelled}=1", spelled) == "unknown_operator"


WRONG = {
    "integer": ("x", "1.5", "", "99999999999999999999", "--1", "\uff11"),
    "decimal": ("x", "nan", "inf", "", "1e999", "1_000"),
    "boolean": ("1", "TRUE", ""),
    "id": ("x", "", "0191b1a0"),
    "date": ("2024-13-01", "20240101", "", "2024-01-01T00:00:00Z"),
    "instant": ("2024-01-01", "2024-01-01T00:00:00", "x", "", "0001-01-01T00:00:00+23:59"),
    "choice": ("none of them", ""),
    "text": ("\x00", "a\x00"),
    "key": ("\x00",),
}


@every("list")
async def test_a_value_of_the_wrong_type_is_named(case: Case, world: World) -> None:
    path = await world.path()
    for name, declared in case.resource.filters.items():
        for operator in declared.operators:
            for wrong in ("maybe", "") if operator == "is_null" else WRONG[declared.kind.name]:
                spelled = f"filter[{name}][{operator}]"
                answer = await world.client.get(path, params={spelled: wrong})
                document = problem(answer, 400, "bad_query")
                assert pointers(document) == [f"?{spelled}"], wrong


@every("list")
async def test_lists_of_values_have_an_end(case: Case, world: World) -> None:
    path = await world.path()
    ids = ",".join(["0191b1a0-0000-7000-8000-000000000001"] * 201)
    document = problem(await world.client.get(path, params={"filter[id][in]": ids}), 400)
    assert pointers(document) == ["?filter[id][in]"]
    assert (await world.client.get(path, params={"filter[id][in]": ids[37:]})).status_code == 200


@every("get")
async def test_fields_choose_members_in_their_order(case: Case, world: World) -> None:
    record = await world.create()
    for path, unwrap in ((await world.one_path(record), False), (await world.path(), True)):
        for names in (["id"], list(case.resource.fields[:1:-1])):
            answer = (await world.client.get(path, params={"fields": ",".join(names)})).json()
            found = (
                next(one for one in answer["data"] if one.get("id", record["id"]) == record["id"])
                if unwrap
                else answer
            )
            assert list(found) == names
            if unwrap is False:
                assert found == {name: record[name] for name in names}


@every("get")
async def test_includes_answer_the_related_record(case: Case, world: World) -> None:
    record = await world.create()
    path = await world.one_path(record)
    for name, reference in case.resource.includes.items():
        answer = await world.client.get(path, params={"include": name})
        included = answer.json()[name]
        target = world.of(reference.target)
        expected: Any
        if reference.many:
            expected = [await target.get(one) for one in sorted(record[reference.field])]
        else:
            expected = await target.get(record[reference.field]) if record[reference.field] else None
        assert included == expected
        listed = (await world.client.get(await world.path(), params={"include": name})).json()["data"]
        assert next(one for one in listed if one["id"] == record["id"])[name] == expected
        problem(await world.client.get(path, params={"include": f"{name},nope"}), 400)


@every("get")
async def test_a_single_record_takes_no_list_parameters(case: Case, world: World) -> None:
    path = await world.one_path(await world.create())
    for query in (
        "limit=1",
        "sort=id",
        "filter[id]=1",
        "q=x",
        "cursor=x",
        "count=exact",
        "fields=nope",
        "nope=1",
    ):
        problem(await world.client.get(f"{path}?{query}"), 400, "bad_query")


@every("list")
async def test_counts_are_made_on_request(case: Case, world: World) -> None:
    await world.create()
    await world.create()
    path = await world.path()
    page = (await world.client.get(path)).json()
    assert "total" not in page
    exact = (await world.client.get(path, params={"count": "exact", "limit": 1})).json()
    assert (exact["total"], exact["total_accuracy"]) == (len(await world.ids()), "exact")
    assert exact["has_more"] is (exact["total"] > 1)
    estimated = (await world.client.get(path, params={"count": "estimated"})).json()
    assert isinstance(estimated["total"], int)
    assert estimated["total_accuracy"] == "estimated"
    problem(await world.client.get(path, params={"count": "roughly"}), 400)


@every("list")
async def test_every_filter_is_documented_with_its_operators(case: Case, world: World) -> None:
    document = (await world.client.get("/openapi.json")).json()
    listing = document["paths"][case.resource.path]["get"]
    names = {parameter["name"] for parameter in listing["parameters"]}
    assert names >= {_spelled(name, operator) for name, operator in _operators(case.resource.filters)}


def _operators(filters: object) -> list[tuple[str, str]]:
    assert isinstance(filters, dict)
    typed: dict[str, Filter] = filters
    return [(name, operator) for name, declared in typed.items() for operator in declared.operators]


def _spelled(name: str, operator: str) -> str:
    return f"filter[{name}]" if operator == "eq" else f"filter[{name}][{operator}]"
