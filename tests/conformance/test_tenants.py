"""One tenant's records do not exist for another, whatever is asked of them."""

from collections.abc import Awaitable, Callable

from tests.conformance.catalogue import Case, every
from tests.conformance.problems import pointers, problem
from tests.conformance.world import World

MakeWorld = Callable[[], Awaitable[World]]


@every("list", "get")
async def test_reading_finds_nothing(case: Case, world: World, make_world: MakeWorld) -> None:
    record, stranger = await world.create(), await make_world()
    path = await world.path()
    problem(await stranger.client.get(f"{path}/{record['id']}"), 404)
    listed = await stranger.client.get(path)
    if case.resource.parent is not None:
        problem(listed, 404)
        own = await stranger.path()
        problem(await stranger.client.get(f"{own}/{record['id']}"), 404)
        listed = await stranger.client.get(own)
    assert record["id"] not in [one["id"] for one in listed.json()["data"]]
    found = await stranger.client.get(
        await stranger.path(), params={"filter[id]": record["id"], "count": "exact"}
    )
    assert (found.json()["data"], found.json()["total"]) == ([], 0)


@every("update", "delete", "restore")
async def test_changing_finds_nothing(case: Case, world: World, make_world: MakeWorld) -> None:
    record, stranger = await world.create(), await make_world()
    one = await world.one_path(record)
    before = await world.client.get(one)
    problem(await stranger.client.patch(one, json={world.text_member: "mine"}), 404)
    problem(await stranger.client.delete(one), 404)
    problem(await stranger.client.post(f"{one}/restorations"), 404)
    assert (await world.client.get(one)).content == before.content


@every("bulk")
async def test_bulk_finds_nothing(case: Case, world: World, make_world: MakeWorld) -> None:
    record, stranger = await world.create(), await make_world()
    items = [
        {"action": "update", "id": record["id"], "body": {world.text_member: "mine"}},
        {"action": "delete", "id": record["id"]},
    ]
    answer = await stranger.client.post(f"{await stranger.path()}/bulk", json={"items": items})
    assert [item["status"] for item in answer.json()["items"]] == [404, 404]


@every("upsert")
async def test_external_ids_are_each_tenants_own(case: Case, world: World, make_world: MakeWorld) -> None:
    stranger = await make_world()
    mine = await world.client.put(f"{await world.path()}/by-external-id/s/1", json=await world.body())
    path = f"{await stranger.path()}/by-external-id/s/1"
    problem(await stranger.client.get(path), 404)
    theirs = await stranger.client.put(path, json=await stranger.body())
    assert theirs.status_code == 201, theirs.text
    assert theirs.json()["id"] != mine.json()["id"]


@every("create")
async def test_references_do_not_reach_over(case: Case, world: World, make_world: MakeWorld) -> None:
    stranger = await make_world()
    for reference in case.resource.references:
        if reference.field not in case.resource.writable.model_fields:
            continue
        foreign = (await stranger.of(reference.target).create())["id"]
        body = await world.body() | {reference.field: [foreign] if reference.many else foreign}
        answer = await world.client.post(await world.path(), json=body)
        assert pointers(problem(answer, 422))[0].startswith(f"/{reference.field}")


@every("create")
async def test_parts_are_not_added_to_a_strangers_record(
    case: Case, world: World, make_world: MakeWorld
) -> None:
    if case.resource.parent is None:
        return
    stranger = await make_world()
    problem(await stranger.client.post(await world.path(), json=await world.body()), 404)
    problem(
        await stranger.client.put(f"{await world.path()}/by-external-id/s/1", json=await world.body()), 404
    )


@every("create")
async def test_idempotency_keys_are_each_tenants_own(case: Case, world: World, make_world: MakeWorld) -> None:
    stranger, headers = await make_world(), {"Idempotency-Key": "same"}
    mine = await world.client.post(await world.path(), json=await world.body(), headers=headers)
    theirs = await stranger.client.post(await stranger.path(), json=await stranger.body(), headers=headers)
    assert (mine.status_code, theirs.status_code) == (201, 201)
    assert mine.json()["id"] != theirs.json()["id"]
