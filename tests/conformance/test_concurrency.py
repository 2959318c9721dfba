"""Entity tags and conditional requests, merge patch, and writers that meet."""

import asyncio

from tests.conformance.catalogue import Case, every
from tests.conformance.problems import pointers, problem
from tests.conformance.world import World


@every("get")
async def test_every_single_record_has_a_strong_tag(case: Case, world: World) -> None:
    record = await world.create()
    path = await world.one_path(record)
    answer = await world.client.get(path)
    tag = answer.headers["etag"]
    assert tag.startswith('"')
    for given in (tag, "*", f"W/{tag}", f'"x", {tag}', f'"x",W/{tag} , "y"'):
        unchanged = await world.client.get(path, headers={"If-None-Match": given})
        assert (unchanged.status_code, unchanged.content) == (304, b""), given
        assert unchanged.headers["etag"] == tag
    for given in ('"x"', tag.strip('"'), f'"{tag}"', ""):
        assert (await world.client.get(path, headers={"If-None-Match": given})).status_code == 200, given


@every("get")
async def test_a_selection_has_a_tag_of_its_own(case: Case, world: World) -> None:
    path = await world.one_path(await world.create())
    tags = {
        (await world.client.get(path, params=params)).headers["etag"]
        for params in (
            {},
            {"fields": "id"},
            {"fields": "id,created_at"} if case.resource.keeps_deleted else {},
        )
    }
    assert len(tags) == 2 + case.resource.keeps_deleted


@every("update")
async def test_if_match_lets_only_the_current_version_through(case: Case, world: World) -> None:
    record = await world.create()
    path, name = await world.one_path(record), world.text_member
    stale = ('"0"', '"2"', f'W/"{record["version"]}"', '"x"', '"1000000"')
    for given in stale:
        answer = await world.client.patch(path, json={name: "no"}, headers={"If-Match": given})
        problem(answer, 412, "precondition_failed")
    for given in ("1", "", "no quotes"):
        answer = await world.client.patch(path, json={name: "no"}, headers={"If-Match": given})
        problem(answer, 400, "bad_if_match")
    selected = (await world.client.get(path, params={"fields": "id"})).headers["etag"]
    version = record["version"]
    for number, given in enumerate(("*", "{}", '"x", {}', "selected")):
        tag = selected if given == "selected" else given.format(f'"{version}"')
        answer = await world.client.patch(path, json={name: f"yes {number}"}, headers={"If-Match": tag})
        assert answer.status_code == 200, answer.text
        version = answer.json()["version"]
        selected = (await world.client.get(path, params={"fields": "id"})).headers["etag"]
        assert answer.headers["etag"] == f'"{version}"'


@every("delete")
async def test_if_match_guards_deletion(case: Case, world: World) -> None:
    path = await world.one_path(await world.create())
    problem(await world.client.delete(path, headers={"If-Match": '"99"'}), 412)
    assert (await world.client.delete(path, headers={"If-Match": '"1"'})).status_code == 204


@every("upsert")
async def test_if_match_guards_replacement(case: Case, world: World) -> None:
    path = f"{await world.path()}/by-external-id/s/1"
    body = await world.body()
    problem(await world.client.put(path, json=body, headers={"If-Match": "*"}), 412)
    assert (await world.client.put(path, json=body)).status_code == 201
    problem(await world.client.put(path, json=body, headers={"If-Match": '"99"'}), 412)
    assert (await world.client.put(path, json=body, headers={"If-Match": '"1"'})).status_code == 200


@every("update")
async def test_of_two_writers_with_the_same_tag_one_wins(case: Case, world: World) -> None:
    path = await world.one_path(await world.create())
    for round_number in range(3):
        tag = (await world.client.get(path)).headers["etag"]
        answers = await asyncio.gather(
            *(
                world.client.patch(
                    path, json={world.text_member: f"writer {round_number}.{n}"}, headers={"If-Match": tag}
                )
                for n in range(6)
            )
        )
        assert sorted(one.status_code for one in answers) == [200, *[412] * 5]
        winner = next(one for one in answers if one.status_code == 200)
        assert (await world.client.get(path)).content == winner.content


@every("update")
async def test_patches_of_different_members_are_both_kept(case: Case, world: World) -> None:
    path = await world.one_path(await world.create())
    patches = ({world.text_member: "one"}, {"source": "s", "external_id": "two"})
    for answer in await asyncio.gather(*(world.client.patch(path, json=patch) for patch in patches)):
        assert answer.status_code == 200, answer.text
    both = (await world.client.get(path)).json()
    assert (both[world.text_member], both["external_id"]) == ("one", "two")


@every("update")
async def test_a_patch_that_changes_nothing_keeps_the_version(case: Case, world: World) -> None:
    record = await world.create()
    path = await world.one_path(record)
    before = await world.client.get(path)
    known = before.json()
    same = {name: known[name] for name in await world.body() if name in known}
    for patch in ({}, same):
        for media_type in ("application/merge-patch+json", "application/json; charset=utf-8"):
            answer = await world.client.patch(path, json=patch, headers={"Content-Type": media_type})
            assert answer.status_code == 200, answer.text
            assert answer.content == before.content


@every("update")
async def test_null_removes_and_what_is_required_cannot_be_removed(case: Case, world: World) -> None:
    schema = case.resource.writable.model_json_schema()
    required = set(schema.get("required", ()))
    for name in sorted(await world.body()):
        record = await world.create()
        answer = await world.client.patch(await world.one_path(record), json={name: None})
        if name in required:
            assert pointers(problem(answer, 422)) == [f"/{name}"]
        else:
            assert answer.status_code == 200, answer.text
            least = schema["properties"][name].get("default")
            assert answer.json()[name] in (least, [], {}, record[name]), name


@every("update")
async def test_a_patch_takes_what_is_writable_only(case: Case, world: World) -> None:
    record = await world.create()
    path = await world.one_path(record)
    for name in ("id", "version", "created_at", "deleted_at", "nope"):
        document = problem(await world.client.patch(path, json={name: record.get(name, 1) or 1}), 422)
        assert pointers(document) == [f"/{name}"]


@every("update")
async def test_a_change_shows_in_version_and_instants(case: Case, world: World) -> None:
    record = await world.create()
    answer = await world.client.patch(await world.one_path(record), json={world.text_member: "changed"})
    changed = answer.json()
    assert changed["version"] == record["version"] + 1
    assert changed["created_at"] == record["created_at"]
    assert changed["updated_at"] > record["updated_at"]
