"""Nasty input through create, patch, search and filters: a faithful round trip or a 4xx that names the field."""

import httpx2

from shared.resources.bulk import MAX_ITEMS
from tests.conformance import generator
from tests.conformance.catalogue import CASES, Case, every
from tests.conformance.problems import pointers, problem
from tests.conformance.torture import email_verdicts, json_files, naughty_strings, needs_torture
from tests.conformance.world import World

pytestmark = needs_torture
USUAL = ("ISEMAIL_VALID_CATEGORY", "ISEMAIL_DNSWARN")


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
    """Each of them in every free text member at once; members of a format are patched one by one below."""
    schema = case.resource.writable.model_json_schema()
    least = await world.body(whole=False)
    takes = {*await world.body(), "source", "external_id"}
    names = [
        name
        for name in text_members(case)
        if name in takes
        and not {"format", "pattern", "enum"} & set(generator.resolved(schema["properties"][name], schema))
    ]
    # A number makes what must be unique differ, where the string itself is not the question.
    unique = {name for fields in case.resource.unique.values() for name in fields}
    bodies = [
        least | {name: f"{nasty}{number}" if nasty and name in unique else nasty for name in names}
        for number, nasty in enumerate(naughty_strings())
    ]
    accepted = 0
    for start in range(0, len(bodies), MAX_ITEMS):
        part = bodies[start : start + MAX_ITEMS]
        items = [{"action": "create", "body": body} for body in part]
        answer = await world.client.post(f"{await world.path()}/bulk", json={"items": items})
        assert answer.status_code == 200, answer.text
        for body, outcome in zip(part, answer.json()["items"], strict=True):
            if outcome["status"] == 201:
                accepted += 1
                assert {name: outcome["record"][name] for name in names} == {
                    name: body[name] for name in names
                }
            else:
                assert outcome["status"] in (409, 422), outcome
                found = outcome["problem"]
                assert outcome["status"] == 409 or pointers(found)[0].rpartition("/")[2] in names, outcome
    assert accepted > len(bodies) / 2


@every("list")
async def test_naughty_strings_as_questions(case: Case, world: World) -> None:
    await world.create()
    path = await world.path()
    texts = [name for name, f in case.resource.filters.items() if f.kind.name in ("text", "key")]
    # Each resource is asked a quarter of them; all are asked by the suite as a whole.
    for number, nasty in enumerate(naughty_strings()[CASES.index(case) % 4 :: 4]):
        name = texts[number % len(texts)]
        operators = case.resource.filters[name].operators
        operator = operators[number // len(texts) % len(operators)]
        params = {f"filter[{name}][{operator}]": nasty}
        _answered(await world.client.get(path, params=params))
        if number % 10 == 0:
            _answered(await world.client.get(path, params={"sort": nasty}))
        if case.resource.search is not None:
            _answered(await world.client.get(path, params={"q": nasty}))


@every("create", "update")
async def test_naughty_strings_as_patches(case: Case, world: World) -> None:
    record = await world.create()
    path = await world.one_path(record)
    names = text_members(case)
    for number, nasty in enumerate(naughty_strings()[CASES.index(case) % 4 :: 4]):
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
    """Addresses as people have them are taken, come back as they were and are found; nothing invalid is taken."""
    if case.name != "customers:contacts":
        return
    for address, category in email_verdicts():
        answer = await world.client.post(await world.path(), json={"emails": [{"address": address}]})
        if answer.status_code != 201:
            assert pointers(problem(answer, 422)) == ["/emails/0/address"], address
            # A domain without a dot is a name of one's own network at best.
            assert category not in USUAL or "." not in address.rpartition("@")[2], address
            continue
        assert category != "ISEMAIL_ERR", address
        assert answer.json()["emails"][0]["address"] == address
        assert answer.json()["id"] in await world.ids(**{"filter[email]": address.upper()}), address
