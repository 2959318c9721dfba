"""Deals: where they begin, what their status and end follow from, and whom they may refer to."""

import asyncio
from datetime import UTC, datetime

import httpx2
import pytest

from shared.database.tables import new_id
from shared.testing.services import ServiceUnderTest
from tests.services.sales.conftest import Json, Make, created, error, stage_id, stages


@pytest.fixture
async def pipeline(make: Make) -> Json:
    return await make("pipelines", name="Hardware", stages=stages("New", "Talks", "Won:won", "Lost:lost"))


async def test_the_first_deals_make_one_default_pipeline(sales: ServiceUnderTest) -> None:
    tenant = new_id()
    async with sales.client(tenant) as client:
        deals = await asyncio.gather(*(created(client, "deals", name=f"D{n}") for n in range(20)))
        pipelines = (await client.get("/v1/pipelines")).json()["data"]
    assert len(pipelines) == 1
    (pipeline,) = pipelines
    assert [stage["name"] for stage in pipeline["stages"]] == [
        "New",
        "Qualified",
        "Proposal",
        "Negotiation",
        "Won",
        "Lost",
    ]
    assert {deal["stage_id"] for deal in deals} == {stage_id(pipeline, "New")}
    assert {deal["status"] for deal in deals} == {"open"}


async def test_the_default_is_the_oldest_pipeline(client: httpx2.AsyncClient, make: Make) -> None:
    first = await make("pipelines", name="First", stages=stages("Won:won", "Start"))
    second = await make("pipelines", name="Second", stages=stages("Begin"))
    assert (await make("deals"))["stage_id"] == stage_id(first, "Start")
    assert (await make("deals", pipeline_id=second["id"]))["stage_id"] == stage_id(second, "Begin")
    assert (await make("deals", stage_id=stage_id(second, "Begin")))["pipeline_id"] == second["id"]


async def test_a_stage_belongs_to_its_pipeline(
    client: httpx2.AsyncClient, make: Make, pipeline: Json
) -> None:
    other = await make("pipelines", name="Other", stages=stages("Begin"))
    begin = stage_id(other, "Begin")
    answer = await client.post("/v1/deals", json={"pipeline_id": pipeline["id"], "stage_id": begin})
    assert error(answer) == (422, "/stage_id", "unknown_reference")
    deal = await make("deals", pipeline_id=pipeline["id"])
    path = f"/v1/deals/{deal['id']}"
    answer = await client.patch(path, json={"pipeline_id": other["id"]})
    assert error(answer) == (422, "/stage_id", "unknown_reference")
    answer = await client.patch(path, json={"pipeline_id": other["id"], "stage_id": begin})
    assert answer.json()["pipeline_id"] == other["id"]
    answer = await client.patch(path, json={"stage_id": str(new_id())})
    assert error(answer) == (422, "/stage_id", "unknown_reference")


async def test_status_follows_the_stage(client: httpx2.AsyncClient, make: Make, pipeline: Json) -> None:
    today = {datetime.now(UTC).date().isoformat()}
    deal = await make("deals", pipeline_id=pipeline["id"], engaged_on="2026-01-01")
    path = f"/v1/deals/{deal['id']}"

    async def patched(**fields: object) -> Json:
        answer = await client.patch(path, json=fields)
        assert answer.status_code == 200, answer.text
        document: Json = answer.json()
        return document

    won = await patched(stage_id=stage_id(pipeline, "Won"))
    today.add(datetime.now(UTC).date().isoformat())
    assert won["status"] == "won"
    assert won["closed_on"] in today
    reopened = await patched(stage_id=stage_id(pipeline, "Talks"))
    assert (reopened["status"], reopened["closed_on"]) == ("open", None)
    lost = await patched(stage_id=stage_id(pipeline, "Lost"), closed_on="2026-02-01", loss_reason="price")
    assert (lost["status"], lost["closed_on"], lost["loss_reason"]) == ("lost", "2026-02-01", "price")
    assert (await patched(closed_on=None))["closed_on"] == "2026-02-01"
    won = await patched(stage_id=stage_id(pipeline, "Won"))
    assert (won["closed_on"], won["loss_reason"]) == ("2026-02-01", None)
    answer = await client.patch(path, json={"status": "open"})
    assert error(answer) == (422, "/status", "extra_forbidden")


@pytest.mark.parametrize(
    ("stage", "fields", "pointer", "code"),
    [
        ("Won", {"engaged_on": "2026-02-01", "closed_on": "2026-01-31"}, "/closed_on", "before_engagement"),
        ("Won", {"engaged_on": "9999-02-01"}, "/closed_on", "before_engagement"),
        ("New", {"closed_on": "2026-01-31"}, "/closed_on", "deal_is_open"),
        ("Won", {"loss_reason": "price"}, "/loss_reason", "deal_is_not_lost"),
        ("New", {"contact_ids": [str(new_id())] * 2}, "/contact_ids", "repeated"),
    ],
)
async def test_refuses_what_does_not_fit_together(
    client: httpx2.AsyncClient, pipeline: Json, stage: str, fields: Json, pointer: str, code: str
) -> None:
    answer = await client.post("/v1/deals", json={"stage_id": stage_id(pipeline, stage), **fields})
    assert error(answer) == (422, pointer, code)


async def test_the_same_document_again_changes_nothing(client: httpx2.AsyncClient, pipeline: Json) -> None:
    path = "/v1/deals/by-external-id/crm/1C1I7A6R"
    document = {"stage_id": stage_id(pipeline, "Won"), "amount": {"amount": "1054", "currency": "USD"}}
    first = (await client.put(path, json=document)).json()
    assert (await client.put(path, json=document)).json() == first
    bare = await client.put(path, json={"name": "Named"})
    assert bare.json()["stage_id"] == document["stage_id"]
    assert bare.json()["closed_on"] == first["closed_on"]


async def test_another_tenants_records_are_unknown(
    client: httpx2.AsyncClient, stranger: httpx2.AsyncClient, pipeline: Json
) -> None:
    product = await created(stranger, "products", name="GTX")
    rep = await created(stranger, "sales-reps", name="Anna")
    theirs = await created(stranger, "pipelines", name="Theirs", stages=stages("Begin"))
    wanted = {
        "product_id": product["id"],
        "rep_id": rep["id"],
        "pipeline_id": theirs["id"],
        "stage_id": theirs["stages"][0]["id"],
    }
    mine = await created(client, "deals")
    for field, value in wanted.items():
        for answer in (
            await client.post("/v1/deals", json={field: value}),
            await client.patch(f"/v1/deals/{mine['id']}", json={field: value}),
        ):
            assert error(answer) == (422, f"/{field}", "unknown_reference")
    answer = await stranger.post(
        f"/v1/deals/{mine['id']}/stage-changes", json={"stage_id": theirs["stages"][0]["id"]}
    )
    assert answer.status_code == 404
    assert (await stranger.get(f"/v1/deals/{mine['id']}/stage-changes")).status_code == 404


async def test_lists_are_filtered_and_include(client: httpx2.AsyncClient, make: Make, pipeline: Json) -> None:
    product, rep = await make("products", name="GTX"), await make("sales-reps", name="Anna")
    contact, account = str(new_id()), str(new_id())
    wanted = await make(
        "deals",
        name="Big",
        account_id=account,
        contact_ids=[str(new_id()), contact],
        product_id=product["id"],
        rep_id=rep["id"],
        stage_id=stage_id(pipeline, "Won"),
        amount={"amount": "5000.00", "currency": "USD"},
        engaged_on="2026-01-01",
        closed_on="2026-02-01",
    )
    await make("deals", name="Small", amount={"amount": "10", "currency": "EUR"}, contact_ids=[str(new_id())])
    for filters in (
        {"status": "won"},
        {"stage_id": wanted["stage_id"]},
        {"account_id": account},
        {"contact_id": contact},
        {"contact_id][in": f"{new_id()},{contact}"},
        {"product_id": product["id"]},
        {"rep_id": rep["id"]},
        {"amount][gte": "5000"},
        {"currency": "USD"},
        {"engaged_on][lte": "2026-01-01"},
        {"closed_on][is_null": "false"},
        {"name": "big"},
    ):
        params = {f"filter[{name}]": value for name, value in filters.items()}
        data = (await client.get("/v1/deals", params=params)).json()["data"]
        assert [deal["id"] for deal in data] == [wanted["id"]], filters
    for sort in ("amount", "closed_on", "engaged_on", "name"):
        page = (
            await client.get("/v1/deals", params={"sort": sort, "include": "product,rep,pipeline"})
        ).json()
        assert len(page["data"]) == 2
    (deal,) = [deal for deal in page["data"] if deal["id"] == wanted["id"]]
    assert deal["pipeline"]["stages"] == pipeline["stages"]
    assert (deal["product"]["name"], deal["rep"]["name"]) == ("GTX", "Anna")
