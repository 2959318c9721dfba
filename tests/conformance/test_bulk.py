"""Bulk calls: an outcome for each item in its order, or nothing at all on request."""

from typing import Any

from shared.resources.bulk import MAX_ITEMS
from tests.conformance.catalogue import Case, every
from tests.conformance.problems import pointers, problem
from tests.conformance.world import World


async def bulk(world: World, *items: dict[str, Any], all_or_none: bool = False) -> Any:
    """The answer to a bulk call."""
    body = {"items": list(items), "all_or_none": all_or_none}
    return await world.client.post(f"{await world.path()}/bulk", json=body)


@every("bulk", "delete")
async def test_outcomes_come_in_order(case: Case, world: World) -> None:
    kept, doomed = await world.create(), await world.create()
    name = world.text_member
    answer = await bulk(
        world,
        {"action": "create", "body": await world.body()},
        {"action": "create", "body": {"nope": 1}},
        {"action": "update", "id": kept["id"], "body": {name: "patched"}, "if_match": '"1"'},
        {"action": "update", "id": kept["id"], "body": {name: "late"}, "if_match": '"1"'},
        {"action": "upsert", "source": "s", "external_id": "1", "body": await world.body()},
        {"action": "upsert", "source": "s", "external_id": "1", "body": await world.body()},
        {"action": "create", "body": await world.body() | {"source": "s", "external_id": "1"}},
        {"action": "delete", "id": doomed["id"]},
        {"action": "delete", "id": doomed["id"]},
    )
    assert answer.status_code == 200, answer.text
    items = answer.json()["items"]
    assert [item["status"] for item in items] == [201, 422, 200, 412, 201, 200, 409, 204, 404]
    assert items[1]["problem"]["errors"][0]["pointer"].startswith("/items/1/body")
    for item in items:
        if item["status"] >= 400:
            assert item["problem"]["status"] == item["status"]
            assert item["problem"]["request_id"] == answer.headers["x-request-id"]
        elif item["status"] != 204:
            assert item["record"] == await world.get(item["record"]["id"]) or item is items[4]
    assert items[2]["record"][name] == "patched"
    assert items[6]["problem"].get("conflicting_id", items[5]["record"]["id"]) == items[5]["record"]["id"]


@every("bulk", "delete")
async def test_all_or_none_undoes_everything(case: Case, world: World) -> None:
    record = await world.create()
    body = await world.body()
    before = await world.ids()
    answer = await bulk(
        world,
        {"action": "create", "body": body},
        {"action": "delete", "id": record["id"]},
        {"action": "create", "body": {"nope": 1}},
        all_or_none=True,
    )
    document = problem(answer, 422, "bulk_aborted")
    assert pointers(document)[0].startswith("/items/2")
    assert await world.ids() == before
    done = await bulk(
        world,
        {"action": "create", "body": await world.body()},
        {"action": "delete", "id": record["id"]},
        all_or_none=True,
    )
    assert [item["status"] for item in done.json()["items"]] == [201, 204]


@every("bulk")
async def test_all_or_none_tells_of_a_duplicate(case: Case, world: World) -> None:
    body = await world.body() | {"source": "s", "external_id": "1"}
    twin = await world.body() | {"source": "s", "external_id": "1"}
    answer = await bulk(
        world, {"action": "create", "body": body}, {"action": "create", "body": twin}, all_or_none=True
    )
    assert pointers(problem(answer, 422, "bulk_aborted")) == ["/items/1"]


@every("bulk")
async def test_there_is_a_most_and_a_least(case: Case, world: World) -> None:
    body = await world.body(whole=False)
    problem(await bulk(world), 422)
    too_many = [{"action": "create", "body": body}] * (MAX_ITEMS + 1)
    assert pointers(problem(await bulk(world, *too_many), 422)) == ["/items"]
    for wrong in ({"action": "nope"}, {"action": "create"}, {"action": "delete", "id": "x"}):
        document = problem(await bulk(world, wrong), 422)
        assert pointers(document)[0].startswith("/items/0")


@every("bulk")
async def test_two_hundred_at_once(case: Case, world: World) -> None:
    nobody = {"action": "delete", "id": "0191b1a0-0000-7000-8000-000000000001"}
    body = await world.body(whole=False)
    answer = await bulk(world, *[nobody] * (MAX_ITEMS - 1), {"action": "create", "body": body})
    assert [item["status"] for item in answer.json()["items"]] == [*[404] * (MAX_ITEMS - 1), 201]
