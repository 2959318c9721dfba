"""Bodies: what a record may be made of, and how what it may not be is refused."""

import json
from typing import Any

import pytest

from shared.resources.bodies import MAX_BODY_BYTES
from tests.conformance.catalogue import Case, every
from tests.conformance.problems import pointers, problem
from tests.conformance.world import World


@every("create")
async def test_the_least_and_everything_can_be_created(case: Case, world: World) -> None:
    for whole in (False, True):
        body = await world.body(whole=whole)
        answer = await world.client.post(await world.path(), json=body)
        assert answer.status_code == 201, answer.text
        record = answer.json()
        assert answer.headers["location"] == await world.one_path(record)
        assert answer.headers["etag"] == '"1"'
        assert (await world.client.get(answer.headers["location"])).content == answer.content
        for name, value in body.items():
            assert _covers(record[name], value), name


def _covers(answered: Any, sent: Any) -> bool:
    """Whether the answer says what was sent; the service may add members, such as a stage's id."""
    if isinstance(sent, dict):
        return all(_covers(answered.get(name), value) for name, value in sent.items())
    if isinstance(sent, list):
        return len(answered) == len(sent) and all(map(_covers, answered, sent))
    return bool(answered == sent)


@every("list", "get")
async def test_answers_are_what_the_readable_document_says(case: Case, world: World) -> None:
    record = await world.create()
    answers = [await world.client.get(await world.one_path(record))]
    texts = [answer.text for answer in answers]
    page = (await world.client.get(await world.path())).json()
    texts += [json.dumps(one) for one in page["data"]]
    for text in texts:
        case.resource.readable.model_validate_json(text)
        assert list(json.loads(text)) == list(case.resource.fields)


@every("create")
async def test_an_unknown_member_is_refused_by_name(case: Case, world: World) -> None:
    body = await world.body() | {"sur/name~": 1, "version": 7}
    document = problem(await world.client.post(await world.path(), json=body), 422, "invalid_fields")
    assert pointers(document) == ["/sur~1name~0", "/version"]


@every("create")
async def test_a_missing_member_is_named(case: Case, world: World) -> None:
    for name in case.resource.writable.model_json_schema().get("required", ()):
        body = await world.body()
        del body[name]
        document = problem(await world.client.post(await world.path(), json=body), 422)
        assert pointers(document) == [f"/{name}"]


@every("create")
async def test_a_member_of_the_wrong_type_is_named(case: Case, world: World) -> None:
    for name in await world.body():
        wrongs: tuple[Any, ...] = ({"x": []}, [[[]]], 1.5)
        for wrong in wrongs:
            body = await world.body() | {name: wrong}
            if name == "attributes" and isinstance(wrong, dict):
                continue  # free-form members are judged one by one
            document = problem(await world.client.post(await world.path(), json=body), 422)
            assert any(place.startswith(f"/{name}") for place in pointers(document)), (name, wrong)


@every("create")
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"a": NaN}', b'{"a": 1,}', b'{"a": "\\ud800"}', b'\xff\xfe{"a": 1}', b'{"a": "\xff"}'],
)
async def test_what_is_no_json_is_malformed(case: Case, world: World, body: bytes) -> None:
    answer = await world.client.post(
        await world.path(), content=body, headers={"Content-Type": "application/json"}
    )
    problem(answer, 400, "malformed_body")


@every("create", "update", "upsert", "bulk")
async def test_what_is_no_object_is_refused(case: Case, world: World) -> None:
    record, path = await world.create(), await world.path()
    values: tuple[Any, ...] = (None, 1, "x", [], True)
    for value in values:
        for method, target in (
            ("POST", path),
            ("POST", f"{path}/bulk"),
            ("PATCH", f"{path}/{record['id']}"),
            ("PUT", f"{path}/by-external-id/s/1"),
        ):
            answer = await world.client.request(
                method, target, content=json.dumps(value), headers={"Content-Type": "application/json"}
            )
            problem(answer, 422)


@every("create", "update")
async def test_another_media_type_is_refused(case: Case, world: World) -> None:
    record = await world.create()
    for method, path, header in (
        ("POST", await world.path(), "accept-post"),
        ("PATCH", await world.one_path(record), "accept-patch"),
    ):
        for media_type in ("text/plain", "application/jsonx", ""):
            answer = await world.client.request(
                method, path, content=b"{}", headers={"Content-Type": media_type} if media_type else {}
            )
            problem(answer, 415, "unsupported_media_type")
            assert "application/json" in answer.headers[header]


@every("create")
async def test_a_body_without_end_is_cut_off(case: Case, world: World) -> None:
    body = b'{"name": "' + b"x" * MAX_BODY_BYTES + b'"}'
    answer = await world.client.post(
        await world.path(), content=body, headers={"Content-Type": "application/json"}
    )
    problem(answer, 413, "body_too_large")


@every("create")
async def test_the_nul_character_is_refused_with_its_field(case: Case, world: World) -> None:
    body = await world.body() | {world.text_member: "a\x00b"}
    document = problem(await world.client.post(await world.path(), json=body), 422)
    assert pointers(document) == [f"/{world.text_member}"]


@every("create", "update")
async def test_references_must_lead_to_a_live_record(case: Case, world: World) -> None:
    record = await world.create()
    for reference in case.resource.references:
        if reference.field not in case.resource.writable.model_fields:
            continue
        target = await world.of(reference.target).create()
        deleted = await world.client.delete(await world.of(reference.target).one_path(target))
        if deleted.status_code != 204:
            continue  # what is in use may not be deletable
        for unknown in (target["id"], "0191b1a0-0000-7000-8000-000000000001"):
            value = [unknown] if reference.many else unknown
            answer = await world.client.post(
                await world.path(), json=await world.body() | {reference.field: value}
            )
            place = f"/{reference.field}" + ("/0" if reference.many else "")
            assert pointers(problem(answer, 422)) == [place]
            patched = await world.client.patch(await world.one_path(record), json={reference.field: value})
            assert pointers(problem(patched, 422)) == [place]
