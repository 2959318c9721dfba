"""Nasty input through create, patch, search and filters: a faithful round trip or a 4xx that names the field."""

from typing import Any

import httpx2

from shared.resources.bulk import MAX_ITEMS
from tests.conformance import generator
from tests.conformance.catalogue import Case, every
from tests.conformance.problems import pointers, problem
from tests.conformance.torture import email_verdicts, json_files, naughty_strings, needs_torture
from tests.conformance.world import World

pytestmark = needs_torture


def text_members(case: Case) -> list[str]:
    """Every writable member that is a text."""
    schema = case.resource.writable.model_json_schema()
    return [
        name
        for name, member in schema["properties"].items()
        if generator.resolved(member, schema).get("type") == "string"
    ]


@every("create", "bulk", "list")
async def test_naughty_strings_make_the_round_trip(case: Case, world: World) -> None:
    """All of them in every text member, two hundred to a call."""
    schema = case.resource.writable.model_json_schema()
    unique = {name for names in case.resource.unique_indexes.values() for name in names}
    items: list[dict[str, Any]] = []
    for number, nasty in enumerate(naughty_strings()):
        for name in text_members(case):
            value = nasty if name not in unique or not nasty else f"{nasty}{number}"
            extra = {"source": f"{number}"} if name == "external_id" else {}
            extra |= {"external_id": f"{number}"} if name == "source" else {}
            body = await world.body(whole=False)
            items.append({"action": "create", "body": body | extra | {name: value}, "member": name})
    accepted = 0
    for start in range(0, len(items), MAX_ITEMS):
        part = items[start : start + MAX_ITEMS]
        sent = [{k: v for k, v in item.items() if k != "member"} for item in part]
        answer = await world.client.post(f"{await world.path()}/bulk", json={"items": sent})
        assert answer.status_code == 200, answer.text
        for item, outcome in zip(part, answer.json()["items"], strict=True):
            name, value = item["member"], item["body"][item["member"]]
            if outcome["status"] == 201:
                accepted += 1
                plain = generator.resolved(schema["properties"][name], schema)
                if plain.get("format") not in ("date-time", "uuid"):
                    assert outcome["record"][name] == value
            else:
                assert 400 <= outcome["status"] < 500, outcome
                named = [e["pointer"] for e in outcome["problem"].get("errors", ())]
                assert any(name in place for place in named) or outcome["problem"].get("fields"), outcome
    assert accepted > len(items) / 4


@every("list")
async def test_naughty_strings_as_questions(case: Case, world: World) -> None:
    await world.create()
    path = await world.path()
    texts = [name for name, f in case.resource.filters.items() if f.kind.name in ("text", "key")]
    for number, nasty in enumerate(naughty_strings()):
        name = texts[number % len(texts)]
        operators = case.resource.filters[name].operators
        operator = operators[number // len(texts) % len(operators)]
        params = {f"filter[{name}][{operator}]": nasty}
        _answered(await world.client.get(path, params=params))
        _answered(await world.client.get(path, params={"sort": nasty}))
        if case.resource.search is not None:
            _answered(await world.client.get(path, params={"q": nasty}))


@every("create", "update")
async def test_naughty_strings_as_patches(case: Case, world: World) -> None:
    record = await world.create()
    path = await world.one_path(record)
    names = text_members(case)
    for number, nasty in enumerate(naughty_strings()):
        name = names[number % len(names)]
        _answered(await world.client.patch(path, json={name: nasty}))
    for nasty in naughty_strings()[::10]:
        document = problem(await world.client.patch(path, json={f"x{nasty}": 1}), 422)
        assert pointers(document) == ["/x" + nasty.replace("~", "~0").replace("/", "~1")]


def _answered(answer: httpx2.Response) -> None:
    if answer.status_code not in (200, 201):
        assert 400 <= answer.status_code < 500, answer.text
        assert pointers(problem(answer, answer.status_code)) or answer.status_code in (404, 409)


@every("create", "update")
async def test_json_documents_as_bodies(case: Case, world: World) -> None:
    record = await world.create()
    targets = [("POST", await world.path()), ("PATCH", await world.one_path(record))]
    for number, file in enumerate(json_files()):
        method, path = targets[number % 2]
        answer = await world.client.request(
            method, path, content=file.read_bytes(), headers={"Content-Type": "application/json"}
        )
        if file.name.startswith("n_"):
            problem(answer, 400, "malformed_body")
        elif file.name.startswith("y_") and answer.status_code != 200:
            problem(answer, 422)
        else:
            assert answer.status_code in (200, 400, 422), file.name


@every("create")
async def test_email_verdicts(case: Case, world: World) -> None:
    """Nothing invalid is taken, and whatever is taken comes back as it was and is found by its filter."""
    if case.name != "customers:contacts":
        return
    accepted: list[str] = []
    for address, category in email_verdicts():
        answer = await world.client.post(await world.path(), json={"emails": [{"address": address}]})
        if answer.status_code != 201:
            assert pointers(problem(answer, 422)) == ["/emails/0/address"], address
            continue
        accepted.append(category)
        assert category != "ISEMAIL_ERR", address
        assert answer.json()["emails"][0]["address"] == address
        assert answer.json()["id"] in await world.ids(**{"filter[email]": address.upper()}), address
    assert len(accepted) > 40
