"""Idempotency keys: one key, one effect, whatever is repeated and whoever meets."""

import asyncio

from shared.idempotency import IdempotencyKey
from tests.conformance.catalogue import Case, every
from tests.conformance.problems import problem
from tests.conformance.world import World

REPLAYED = "idempotency-replayed"


def key(value: str) -> dict[str, str]:
    """The header."""
    return {"Idempotency-Key": value}


@every("create")
async def test_a_repetition_gets_the_first_answer(case: Case, world: World) -> None:
    path, body = await world.path(), await world.body()
    first = await world.client.post(path, json=body, headers=key("k-1"))
    assert first.status_code == 201
    assert REPLAYED not in first.headers
    for spelled in ("k-1", '"k-1"', ' "k-1" '):
        again = await world.client.post(path, json=body, headers=key(spelled))
        assert (again.status_code, again.content) == (201, first.content)
        assert again.headers[REPLAYED] == "true"
        for name in ("location", "etag", "content-type"):
            assert again.headers[name] == first.headers[name]
    other = await world.client.post(path, json=await world.body(), headers=key("k-1"))
    problem(other, 422, "idempotency_key_reused")
    assert (await world.ids()).count(first.json()["id"]) == 1


@every("update")
async def test_a_patch_happens_once(case: Case, world: World) -> None:
    record = await world.create()
    path, name = await world.one_path(record), world.text_member
    first = await world.client.patch(path, json={name: "one"}, headers=key("p"))
    await world.client.patch(path, json={name: "two"})
    again = await world.client.patch(path, json={name: "one"}, headers=key("p"))
    assert again.content == first.content
    assert (await world.get(record["id"]))[name] == "two"
    other = await world.create()
    elsewhere = await world.client.patch(await world.one_path(other), json={name: "one"}, headers=key("p"))
    problem(elsewhere, 422, "idempotency_key_reused")


@every("bulk", "delete", "restore")
async def test_bulk_and_restorations_take_keys_too(case: Case, world: World) -> None:
    path = await world.path()
    items = {"items": [{"action": "create", "body": await world.body()}]}
    first = await world.client.post(f"{path}/bulk", json=items, headers=key("b"))
    again = await world.client.post(f"{path}/bulk", json=items, headers=key("b"))
    assert again.content == first.content
    assert again.headers[REPLAYED] == "true"
    record = first.json()["items"][0]["record"]
    await world.client.delete(f"{path}/{record['id']}")
    restored = await world.client.post(f"{path}/{record['id']}/restorations", headers=key("r"))
    assert restored.status_code == 201, restored.text
    repeated = await world.client.post(f"{path}/{record['id']}/restorations", headers=key("r"))
    assert repeated.content == restored.content


@every("create")
async def test_of_two_at_once_one_has_the_effect(case: Case, world: World) -> None:
    path, body = await world.path(), await world.body()
    answers = await asyncio.gather(
        *(world.client.post(path, json=body, headers=key("race")) for _ in range(5))
    )
    made = {one.json()["id"] for one in answers if one.status_code == 201}
    assert len(made) == 1
    for one in answers:
        if one.status_code != 201:
            problem(one, 409, "request_in_flight")
            assert one.headers["retry-after"]
    assert len([one for one in answers if one.status_code == 201 and REPLAYED not in one.headers]) == 1


@every("create")
async def test_a_key_in_use_sends_others_away(case: Case, world: World) -> None:
    """Holds the lock of the key as a slow request would, so that the meeting is certain."""
    path, body = await world.path(), await world.body()
    await world.client.post(path, json=body, headers=key("held"))
    async with world.database.acquire() as connection, connection.transaction():
        lock = IdempotencyKey(world.tenant_id, "tester", "held", b"").lock_number
        await connection.execute("SELECT pg_advisory_xact_lock($1)", lock)
        problem(await world.client.post(path, json=body, headers=key("held")), 409, "request_in_flight")
    assert (await world.client.post(path, json=body, headers=key("held"))).headers[REPLAYED] == "true"


@every("create")
async def test_a_key_is_free_again_after_a_day(case: Case, world: World) -> None:
    path = await world.path()
    first = await world.client.post(path, json=await world.body(), headers=key("old"))
    await world.database.execute(
        "UPDATE idempotency_keys SET created_at = now() - interval '24 hours 1 second' WHERE tenant_id = $1",
        world.tenant_id,
    )
    second = await world.client.post(path, json=await world.body(), headers=key("old"))
    assert second.status_code == 201
    assert second.json()["id"] != first.json()["id"]


@every("create")
async def test_a_key_belongs_to_its_caller(case: Case, world: World) -> None:
    path, body = await world.path(), await world.body()
    mine = await world.client.post(path, json=body, headers=key("k"))
    async with world.service.client(world.tenant_id, principal="somebody else") as colleague:
        other = await colleague.post(path, json=await world.body(), headers=key("k"))
    assert other.status_code == 201, other.text
    assert other.json()["id"] != mine.json()["id"]


@every("create")
async def test_a_refused_request_leaves_its_key_free(case: Case, world: World) -> None:
    path = await world.path()
    problem(await world.client.post(path, json={"nope": 1}, headers=key("k")), 422)
    assert (await world.client.post(path, json=await world.body(), headers=key("k"))).status_code == 201
    kept = await world.database.fetchval(
        "SELECT count(*) FROM idempotency_keys WHERE tenant_id = $1 AND key = 'k'", world.tenant_id
    )
    assert kept == 1


@every("create")
async def test_effect_and_key_are_stored_together(case: Case, world: World) -> None:
    """Without the key's table the effect must not happen either: they share a transaction."""
    path, before = await world.path(), await world.ids()
    name = f"no_keys_{world.tenant_id.hex}"
    await world.database.execute(
        f"ALTER TABLE idempotency_keys ADD CONSTRAINT {name} CHECK (tenant_id <> '{world.tenant_id}') NOT VALID"
    )
    try:
        body = await world.body(whole=False)
        failed = False
        try:
            await world.client.post(path, json=body, headers=key("k"))
        except Exception as error:  # noqa: BLE001 (the in-process client passes a defect's own exception on)
            failed = name in str(error)
        assert failed
        assert set(await world.ids()) == set(before)
    finally:
        await world.database.execute(f"ALTER TABLE idempotency_keys DROP CONSTRAINT {name}")


@every("create")
async def test_unusable_keys_are_refused(case: Case, world: World) -> None:
    path, body = await world.path(), await world.body()
    for unusable in ("k" * 256, '""', "k\x7f", "é", f'"{"k" * 256}"'):
        headers = {b"Idempotency-Key": unusable.encode("latin-1")}
        problem(await world.client.post(path, json=body, headers=headers), 400, "bad_idempotency_key")
    longest = await world.client.post(path, json=body, headers=key("k" * 255))
    assert longest.status_code == 201
