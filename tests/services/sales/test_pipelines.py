"""Pipelines: their stages' ids, and what may not happen to a stage with deals in it."""

import httpx2
import pytest

from tests.services.sales.conftest import Json, Make, error, stage_id, stages

FUNNEL = stages("New", "Talks", "Won:won", "Lost:lost")


@pytest.fixture
async def pipeline(make: Make) -> Json:
    return await make("pipelines", name="Hardware", stages=FUNNEL)


async def test_stages_get_ids_and_fixed_probabilities(pipeline: Json) -> None:
    assert [stage["probability"] for stage in pipeline["stages"]] == [50, 50, 100, 0]
    assert len({stage["id"] for stage in pipeline["stages"]}) == 4


@pytest.mark.parametrize(
    ("sent", "pointer", "code"),
    [
        (stages("Won:won"), "/stages", "no_open_stage"),
        ([], "/stages", "too_short"),
        (stages(*(f"S{n}" for n in range(51))), "/stages", "too_long"),
        (stages("New", "NEW"), "/stages/1/name", "repeated"),
        ([{"name": "New", "kind": "open"}], "/stages/0/probability", "missing"),
        (
            [*FUNNEL, {"name": "W", "kind": "won", "probability": 99}],
            "/stages/4/probability",
            "fixed_probability",
        ),
        ([{"name": "New", "kind": "open", "probability": 101}], "/stages/0/probability", "less_than_equal"),
        ([{"name": "New", "kind": "paused", "probability": 1}], "/stages/0/kind", "literal_error"),
        ([FUNNEL[0] | {"id": "01890000-0000-7000-8000-000000000000"}], "/stages/0/id", "unknown_stage"),
        ([FUNNEL[0] | {"colour": "red"}], "/stages/0/colour", "extra_forbidden"),
    ],
)
async def test_refuses_lists_that_make_no_sense(
    client: httpx2.AsyncClient, sent: list[Json], pointer: str, code: str
) -> None:
    answer = await client.post("/v1/pipelines", json={"name": "P", "stages": sent})
    assert error(answer) == (422, pointer, code)


async def test_the_same_list_again_changes_nothing(client: httpx2.AsyncClient) -> None:
    path, document = "/v1/pipelines/by-external-id/erp/1", {"name": "P", "stages": FUNNEL}
    first = (await client.put(path, json=document)).json()
    assert (await client.put(path, json=document)).json() == first


async def test_a_patch_replaces_the_list_and_keeps_known_ids(
    client: httpx2.AsyncClient, pipeline: Json
) -> None:
    new, talks, *_ = pipeline["stages"]
    sent = [talks | {"name": "Negotiation"}, *stages("New", "Proposal")]
    answer = await client.patch(f"/v1/pipelines/{pipeline['id']}", json={"stages": sent})
    got = answer.json()["stages"]
    assert [stage["name"] for stage in got] == ["Negotiation", "New", "Proposal"]
    assert [stage["id"] for stage in got[:2]] == [talks["id"], new["id"]]
    assert got[2]["id"] not in {stage["id"] for stage in pipeline["stages"]}


async def test_names_are_unique_whatever_their_case(client: httpx2.AsyncClient, pipeline: Json) -> None:
    answer = await client.post("/v1/pipelines", json={"name": "HARDWARE", "stages": FUNNEL})
    assert answer.status_code == 409
    assert answer.json()["conflicting_id"] == pipeline["id"]
    assert answer.json()["link"] == f"/v1/pipelines/{pipeline['id']}"


async def test_a_stage_with_live_deals_stays(client: httpx2.AsyncClient, make: Make, pipeline: Json) -> None:
    talks = stage_id(pipeline, "Talks")
    deals = [await make("deals", stage_id=talks) for _ in range(3)]
    path, kept = f"/v1/pipelines/{pipeline['id']}", [s for s in pipeline["stages"] if s["name"] != "Talks"]
    answer = await client.patch(path, json={"stages": kept})
    assert answer.status_code == 409
    assert answer.json()["code"] == "stage_in_use"
    assert answer.json()["stages"] == [{"id": talks, "name": "Talks", "deals": 3}]
    changed = [
        s | ({"kind": "won", "probability": 100} if s["id"] == talks else {}) for s in pipeline["stages"]
    ]
    assert (await client.patch(path, json={"stages": changed})).status_code == 409
    assert (await client.delete(path)).status_code == 409
    for deal in deals:
        await client.delete(f"/v1/deals/{deal['id']}")
    assert (await client.patch(path, json={"stages": kept})).status_code == 200
    restored = await client.post(f"/v1/deals/{deals[0]['id']}/restorations")
    assert (restored.status_code, restored.json()["code"]) == (409, "stage_gone")


async def test_a_used_stage_may_be_renamed_and_moved(
    client: httpx2.AsyncClient, make: Make, pipeline: Json
) -> None:
    talks = stage_id(pipeline, "Talks")
    await make("deals", stage_id=talks)
    turned = [s | ({"name": "Meetings"} if s["id"] == talks else {}) for s in reversed(pipeline["stages"])]
    answer = await client.patch(f"/v1/pipelines/{pipeline['id']}", json={"stages": turned})
    assert answer.status_code == 200
    assert stage_id(answer.json(), "Meetings") == talks
