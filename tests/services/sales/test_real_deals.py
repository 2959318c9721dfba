"""A reseller's real deals through the API: what was won must come out to the unit."""

import csv
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import httpx2
import pytest

from tests.services.sales.conftest import Json, Make, stage_id, stages

FOLDER = Path(__file__).parents[3].parent / "shared" / "data" / "crm"
DEALS = FOLDER / "maven_sales_pipeline_engaged_to_2017-06-30.csv"
STAGES = stages("Prospecting", "Engaging", "Won:won", "Lost:lost")
BULK = 200
OTHERS = 200

pytestmark = pytest.mark.skipif(not DEALS.exists(), reason=f"{DEALS.name} is not on this machine")


def _document(row: dict[str, str], pipeline: Json) -> Json:
    document: Json = {
        "source": "reseller",
        "external_id": row["opportunity_id"],
        "stage_id": stage_id(pipeline, row["deal_stage"]),
        "engaged_on": row["engage_date"],
    }
    if row["close_date"]:
        document["closed_on"] = row["close_date"]
    if row["close_value"]:
        document["amount"] = {"amount": row["close_value"], "currency": "USD"}
    return document


async def test_what_was_won(client: httpx2.AsyncClient, make: Make, tenant: UUID) -> None:
    pipeline = await make("pipelines", name="Reseller", stages=STAGES)
    with DEALS.open(newline="") as file:
        rows = list(csv.DictReader(file))
    # All that was won, and enough of the rest that filtering means something.
    others = [row for row in rows if row["deal_stage"] != "Won"][:OTHERS]
    documents = [
        _document(row, pipeline) for row in [*others, *(row for row in rows if row["deal_stage"] == "Won")]
    ]
    for start in range(0, len(documents), BULK):
        items = [{"action": "create", "body": body} for body in documents[start : start + BULK]]
        answer = await client.post("/v1/deals/bulk", json={"items": items, "all_or_none": True})
        assert answer.status_code == 200, answer.text
    asked = {"filter[status]": "won", "sort": "closed_on", "limit": "200", "fields": "amount"}
    answer = await client.get("/v1/deals", params=asked | {"count": "exact"})
    assert answer.status_code == 200, answer.text
    first = answer.json()
    assert first["total"] == 2394
    worth, page = Decimal(0), first
    while True:
        worth += sum(Decimal(deal["amount"]["amount"]) for deal in page["data"])
        if not page["has_more"]:
            break
        page = (await client.get("/v1/deals", params=asked | {"cursor": page["next_cursor"]})).json()
    assert worth == 5_662_233
