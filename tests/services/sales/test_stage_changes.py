"""The history of a deal's stages: complete, in order, and never rewritten."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import pairwise
from uuid import UUID

import asyncpg
import httpx2
import pytest

from shared.database.tables import new_id
from shared.testing.services import ServiceUnderTest
from tests.services.sales.conftest import Json, Make, error, stage_id, stages

FUNNEL = ("New", "Talks", "Offer", "Won:won", "Lost:lost")


@pytest.fixture
async def pipeline(make: Make) -> Json:
    return await make("pipelines", name="Hardware", stages=stages(*FUNNEL))


@pytest.fixture
async def deal(make: Make, pipeline: Json) -> Json:
    return await make("deals", pipeline_id=pipeline["id"])


async def _history(client: httpx2.AsyncClient, deal: Json) -> list[Json]:
    answer = await client.get(f"/v1/deals/{deal['id']}/stage-changes", params={"limit": "200"})
    assert answer.status_code == 200, answer.text
    changes: list[Json] = answer.json()["data"]
    return changes


def _moves(history: list[Json]) -> list[tuple[str | None, str]]:
    return [(change["from_stage_name"], change["to_stage_name"]) for change in history]


async def test_every_way_of_changing_the_stage_is_recorded(
    client: httpx2.AsyncClient, deal: Json, pipeline: Json
) -> None:
    path = f"/v1/deals/{deal['id']}"
    await client.patch(path, json={"stage_id": stage_id(pipeline, "Talks")})
    await client.patch(path, json={"name": "No move"})
    await client.post(f"{path}/stage-changes", json={"stage_id": stage_id(pipeline, "Offer")})
    body = {"stage_id": stage_id(pipeline, "Won")}
    answer = await client.post(
        "/v1/deals/bulk", json={"items": [{"action": "update", "id": deal["id"], "body": body}]}
    )
    assert answer.json()["items"][0]["status"] == 200
    history = await _history(client, deal)
    assert _moves(history) == [(None, "New"), ("New", "Talks"), ("Talks", "Offer"), ("Offer", "Won")]
    assert history[-1]["to_stage_kind"] == "won"
    assert {change["principal"] for change in history} == {"tester"}
    newest = (await client.get(path)).json()["stage_changed_at"]
    assert history[-1]["changed_at"] == newest


async def test_names_and_kinds_stay_as_they_were(
    client: httpx2.AsyncClient, deal: Json, pipeline: Json
) -> None:
    renamed = [stage | {"name": stage["name"] + "!"} for stage in pipeline["stages"]]
    await client.patch(f"/v1/pipelines/{pipeline['id']}", json={"stages": renamed})
    await client.patch(f"/v1/deals/{deal['id']}", json={"stage_id": stage_id(pipeline, "Talks")})
    assert _moves(await _history(client, deal)) == [(None, "New"), ("New!", "Talks!")]


async def test_an_upsert_and_another_pipeline_are_recorded(
    client: httpx2.AsyncClient, make: Make, pipeline: Json
) -> None:
    other = await make("pipelines", name="Other", stages=stages("Begin"))
    path = "/v1/deals/by-external-id/crm/1"
    deal = (await client.put(path, json={"stage_id": stage_id(pipeline, "New")})).json()
    await client.put(path, json={"stage_id": stage_id(other, "Begin")})
    history = await _history(client, deal)
    assert _moves(history) == [(None, "New"), ("New", "Begin")]
    assert history[1]["from_pipeline_id"] == pipeline["id"]
    assert history[1]["to_pipeline_id"] == other["id"]


async def test_the_action_answers_the_change(client: httpx2.AsyncClient, deal: Json, pipeline: Json) -> None:
    path = f"/v1/deals/{deal['id']}/stage-changes"
    lost = {"stage_id": stage_id(pipeline, "Lost"), "closed_on": "2026-02-01", "loss_reason": "price"}
    answer = await client.post(path, json=lost)
    assert answer.status_code == 201
    fetched = await client.get(answer.headers["location"])
    assert fetched.json() == answer.json() == (await _history(client, deal))[-1]
    assert fetched.headers["etag"] == answer.headers["etag"]
    after = (await client.get(f"/v1/deals/{deal['id']}")).json()
    assert (after["status"], after["closed_on"], after["loss_reason"]) == ("lost", "2026-02-01", "price")
    again = await client.post(path, json=lost)
    assert (again.status_code, again.json()["code"]) == (409, "already_in_stage")


async def test_the_action_takes_keys_and_tags(client: httpx2.AsyncClient, deal: Json, pipeline: Json) -> None:
    path = f"/v1/deals/{deal['id']}/stage-changes"
    talks, offer = ({"stage_id": stage_id(pipeline, name)} for name in ("Talks", "Offer"))
    key = {"Idempotency-Key": "click-1"}
    first = await client.post(path, json=talks, headers=key | {"If-Match": '"1"'})
    again = await client.post(path, json=talks, headers=key | {"If-Match": '"1"'})
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == first.json()
    assert (await client.post(path, json=offer, headers=key)).status_code == 422
    assert (await client.post(path, json=offer, headers={"If-Match": '"1"'})).status_code == 412
    assert len(await _history(client, deal)) == 2


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "/stage_id", "missing"),
        ({"stage_id": "x"}, "/stage_id", "uuid_parsing"),
        ({"stage_id": str(new_id())}, "/stage_id", "unknown_reference"),
        ({"stage_id": str(new_id()), "name": "x"}, "/name", "extra_forbidden"),
    ],
)
async def test_the_action_refuses_bad_bodies(
    client: httpx2.AsyncClient, deal: Json, body: Json, pointer: str, code: str
) -> None:
    answer = await client.post(f"/v1/deals/{deal['id']}/stage-changes", json=body)
    assert error(answer) == (422, pointer, code)


async def test_a_deleted_deals_history_is_not_found(
    client: httpx2.AsyncClient, deal: Json, pipeline: Json
) -> None:
    path = f"/v1/deals/{deal['id']}"
    (change,) = await _history(client, deal)
    await client.delete(path)
    body = {"stage_id": stage_id(pipeline, "Talks")}
    answers = [
        await client.get(f"{path}/stage-changes"),
        await client.get(f"{path}/stage-changes/{change['id']}"),
        await client.post(f"{path}/stage-changes", json=body),
        await client.get("/v1/deals/no-id/stage-changes"),
        await client.post("/v1/deals/no-id/stage-changes", json=body),
    ]
    assert {answer.status_code for answer in answers} == {404}
    await client.post(f"{path}/restorations")
    assert await _history(client, deal) == [change]


async def test_history_cannot_be_written(client: httpx2.AsyncClient, deal: Json) -> None:
    (change,) = await _history(client, deal)
    path = f"/v1/deals/{deal['id']}/stage-changes"
    answers = [
        await client.patch(f"{path}/{change['id']}", json={"principal": "me"}),
        await client.delete(f"{path}/{change['id']}"),
        await client.put(path, json={}),
    ]
    assert [answer.status_code for answer in answers] == [405, 405, 405]
    assert answers[0].headers["allow"] == "GET, HEAD"


async def test_history_is_a_chain_under_concurrent_changes(
    client: httpx2.AsyncClient, deal: Json, pipeline: Json
) -> None:
    ids = [stage["id"] for stage in pipeline["stages"]]
    path = f"/v1/deals/{deal['id']}"

    async def change(number: int) -> httpx2.Response:
        body = {"stage_id": ids[number % len(ids)]}
        if number % 2:
            return await client.patch(path, json=body)
        return await client.post(f"{path}/stage-changes", json=body)

    answers = await asyncio.gather(*(change(number) for number in range(40)))
    assert {answer.status_code for answer in answers} <= {200, 201, 409}
    history = await _history(client, deal)
    after = (await client.get(path)).json()
    # Every change of stage is a new version; patches to the stage that it is in are none.
    assert len(history) == after["version"]
    assert all(left["to_stage_id"] == came["from_stage_id"] for left, came in pairwise(history))
    assert all(left["changed_at"] < came["changed_at"] for left, came in pairwise(history))
    assert history[0]["from_stage_id"] is None
    assert history[-1]["to_stage_id"] == after["stage_id"]


async def test_a_move_waits_for_a_change_of_the_stages(
    sales: ServiceUnderTest, client: httpx2.AsyncClient, deal: Json, pipeline: Json
) -> None:
    talks = stage_id(pipeline, "Talks")
    kept = [stage for stage in pipeline["stages"] if stage["id"] != talks]
    async with _transaction(sales) as connection:
        await connection.execute("UPDATE pipelines SET stages = $1::jsonb", json.dumps(kept))
        move = asyncio.create_task(client.patch(f"/v1/deals/{deal['id']}", json={"stage_id": talks}))
        await _until_it_waits(connection, move)
    assert error(await move) == (422, "/stage_id", "unknown_reference")


async def test_a_change_of_the_stages_waits_for_a_move(
    sales: ServiceUnderTest, client: httpx2.AsyncClient, deal: Json, pipeline: Json
) -> None:
    talks = stage_id(pipeline, "Talks")
    kept = [stage for stage in pipeline["stages"] if stage["id"] != talks]
    async with _transaction(sales) as connection:
        await connection.execute("SELECT FROM pipelines FOR SHARE")
        await connection.execute("UPDATE deals SET stage_id = $1", UUID(talks))
        removal = asyncio.create_task(client.patch(f"/v1/pipelines/{pipeline['id']}", json={"stages": kept}))
        await _until_it_waits(connection, removal)
    answer = await removal
    assert answer.status_code == 409
    assert answer.json()["stages"] == [{"id": talks, "name": "Talks", "deals": 1}]


@asynccontextmanager
async def _transaction(sales: ServiceUnderTest) -> AsyncIterator[asyncpg.Connection]:
    """Another process's transaction, committed at the end."""
    connection = await asyncpg.connect(sales.database_url)
    try:
        async with connection.transaction():
            yield connection
    finally:
        await connection.close()


async def _until_it_waits(connection: asyncpg.Connection, task: asyncio.Task[httpx2.Response]) -> None:
    """Returns once the task's statement waits for this transaction; fails if it did not need to."""
    waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid)))"
    while not await connection.fetchval(waiting):
        assert not task.done(), task.result().text


async def test_changes_lie_in_this_months_partition(sales: ServiceUnderTest, deal: Json) -> None:
    async with _transaction(sales) as connection:
        (row,) = await connection.fetch(
            "SELECT tableoid::regclass::text AS place, changed_at FROM deal_stage_changes"
        )
    at: datetime = row["changed_at"].astimezone(UTC)
    assert row["place"] == f"deal_stage_changes_{at:%Y_%m}"
