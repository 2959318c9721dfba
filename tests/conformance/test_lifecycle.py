"""Soft deletion and restoration, external ids, and what a unique key means among them."""

import asyncio
from urllib.parse import quote

from shared.resources.rules import Rules
from tests.conformance.catalogue import Case, every
from tests.conformance.problems import pointers, problem
from tests.conformance.world import World


@every("delete", "restore")
async def test_what_is_deleted_is_gone_but_can_come_back(case: Case, world: World) -> None:
    record = await world.create()
    path, one = await world.path(), await world.one_path(record)
    answer = await world.client.delete(one)
    assert (answer.status_code, answer.content) == (204, b"")
    problem(await world.client.get(one), 404)
    problem(await world.client.patch(one, json={world.text_member: "no"}), 404)
    problem(await world.client.delete(one), 404)
    assert record["id"] not in await world.ids()
    listed = (await world.client.get(path, params={"filter[deleted]": "true"})).json()["data"]
    assert [found["id"] for found in listed] == [record["id"]]
    assert listed[0]["deleted_at"] is not None
    restored = await world.client.post(f"{one}/restorations")
    assert restored.status_code == 201, restored.text
    assert restored.headers["location"] == one
    assert restored.json()["deleted_at"] is None
    assert restored.json()["version"] == record["version"] + 2
    assert (await world.client.get(one)).content == restored.content
    again = await world.client.post(f"{one}/restorations")
    assert again.content == restored.content
    assert (await world.client.get(path, params={"filter[deleted]": "true"})).json()["data"] == []


@every("delete", "restore")
async def test_a_deleted_key_is_free_and_a_taken_one_stops_the_restoration(case: Case, world: World) -> None:
    named = {"source": "crm", "external_id": "7"}
    unique = {field for fields in case.resource.unique.values() for field in fields}
    body = await world.body() | named
    first = await world.create(body)
    duplicate = await world.client.post(await world.path(), json=body)
    document = problem(duplicate, 409, "duplicate_key")
    if case.resource.parent is None:
        assert document["conflicting_id"] == first["id"]
        assert document["link"] == await world.one_path(first)
        assert document["link"] in duplicate.headers["link"]
    await world.client.delete(await world.one_path(first))
    second = await world.create(body)
    assert second["id"] != first["id"]
    conflict = problem(
        await world.client.post(f"{await world.one_path(first)}/restorations"), 409, "duplicate_key"
    )
    assert set(conflict["fields"]) in ({"source", "external_id"}, *({name} for name in unique))
    assert (await world.client.delete(await world.one_path(second))).status_code == 204
    restored = await world.client.post(f"{await world.one_path(first)}/restorations")
    assert restored.status_code == 201, restored.text


@every("create", "update")
async def test_every_unique_index_is_answered_as_a_conflict(case: Case, world: World) -> None:
    for fields in case.resource.unique_indexes.values():
        first = await world.create(await world.body() | {"source": "a", "external_id": str(fields)})
        settable = [name for name in fields if name in case.resource.writable.model_fields]
        if len(settable) < len(fields):
            continue  # the service itself keeps it unique
        second = await world.create()
        patch = {name: first[name] for name in fields}
        conflict = problem(await world.client.patch(await world.one_path(second), json=patch), 409)
        assert conflict["code"] == "duplicate_key"
        assert set(conflict["fields"]) == set(fields)


@every("upsert")
async def test_upsert_creates_then_replaces(case: Case, world: World) -> None:
    path, body = f"{await world.path()}/by-external-id/crm/7", await world.body()
    made = await world.client.put(path, json=body)
    assert made.status_code == 201, made.text
    record = made.json()
    assert (record["source"], record["external_id"]) == ("crm", "7")
    assert made.headers["location"] == await world.one_path(record)
    assert (await world.client.get(path)).content == made.content
    same = await world.client.put(path, json=body)
    assert (same.status_code, same.content) == (200, made.content)
    replaced = await world.client.put(path, json=body | {world.text_member: "replaced"})
    assert replaced.json()[world.text_member] == "replaced"
    assert replaced.json()["version"] == record["version"] + 1
    problem(await world.client.get(path.replace("/7", "/8")), 404)
    for name in ("source", "external_id"):
        answer = await world.client.put(path, json=body | {name: "other"})
        assert pointers(problem(answer, 422)) == [f"/{name}"]


@every("upsert")
async def test_a_replacement_forgets_what_it_does_not_say(case: Case, world: World) -> None:
    path = f"{await world.path()}/by-external-id/crm/7"
    least = await world.body(whole=False)
    fresh = (await world.client.put(f"{path}8", json=least)).json()
    # What must be unique differs between the two in any case.
    own = {"id", "version", "created_at", "updated_at", "external_id", *least}
    own |= {name for names in case.resource.unique.values() for name in names}
    own |= {name for name in fresh if name not in case.resource.writable.model_fields}
    await world.client.put(path, json=await world.body())
    replaced = (await world.client.put(path, json=await world.body(whole=False))).json()
    kept = {name for name in fresh if name not in own and replaced[name] != fresh[name]}
    assert kept <= _settled_by_rules(case), kept


def _settled_by_rules(case: Case) -> set[str]:
    """What a feature's rules keep or fill in where a document leaves it open, as its documentation says."""
    overridden = type(case.resource.rules).complete is not Rules.complete
    return set(case.resource.writable.model_fields) if overridden else set()


@every("upsert")
async def test_fifty_upserts_at_once_make_one_record(case: Case, world: World) -> None:
    path, body = f"{await world.path()}/by-external-id/crm/race", await world.body()
    before = len(await world.ids())
    answers = await asyncio.gather(*(world.client.put(path, json=body) for _ in range(50)))
    assert sorted(one.status_code for one in answers) == [*[200] * 49, 201]
    assert len({one.json()["id"] for one in answers}) == 1
    assert len(await world.ids()) == before + 1


@every("upsert", "delete")
async def test_an_external_id_may_be_any_text(case: Case, world: World) -> None:
    root = f"{await world.path()}/by-external-id"
    for source, external_id in (
        ("a b", "1/2"),
        ("ä", "ключ"),
        ("s", "a?b#c&d=e%"),
        ("s", "+"),
        ("s", "x" * 255),
        ("s", "."),
        ("s", "'; DROP TABLE x; --"),
    ):
        path = f"{root}/{quote(source, safe='')}/{quote(external_id, safe='').replace('.', '%2E')}"
        answer = await world.client.put(path, json=await world.body())
        assert answer.status_code == 201, f"{external_id}: {answer.text}"
        assert (answer.json()["source"], answer.json()["external_id"]) == (source, external_id)
        assert (await world.client.get(path)).json()["id"] == answer.json()["id"]
        found = await world.ids(**{"filter[external_id]": external_id, "filter[source]": source})
        assert found == [answer.json()["id"]]
    problem(await world.client.put(f"{root}/s/{'x' * 256}", json=await world.body()), 422)
    problem(await world.client.put(f"{root}/s/%00", json=await world.body()), 404)


@every("upsert", "delete")
async def test_an_upsert_after_deletion_makes_a_new_record(case: Case, world: World) -> None:
    path = f"{await world.path()}/by-external-id/crm/7"
    first = (await world.client.put(path, json=await world.body())).json()
    await world.client.delete(await world.one_path(first))
    problem(await world.client.get(path), 404)
    second = await world.client.put(path, json=await world.body())
    assert second.status_code == 201
    assert second.json()["id"] != first["id"]
