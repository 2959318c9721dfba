"""What was written behind the services' backs is as good as what came through their API."""

from pathlib import Path

import pytest
from pydantic_core import to_json

from services.customers.app import SERVICE as CUSTOMERS
from services.sales.app import SERVICE as SALES
from services.tickets.app import SERVICE as TICKETS
from shared.service.definition import Service
from shared.testing.databases import Templates
from shared.testing.services import Keys, running
from tests.deploy.demo.workspaces import TENANT, Databases

_CASES = (
    (CUSTOMERS, "accounts", {"description": "Seen."}),
    (CUSTOMERS, "contacts", {"title": "Seen"}),
    (SALES, "products", {"series": "Seen"}),
    (SALES, "sales-reps", {"team": "Seen"}),
    (SALES, "pipelines", {"name": "Seen"}),
    (SALES, "deals", {"name": "Seen"}),
    (TICKETS, "tickets?filter[status][ne]=closed", {"subject": "Seen"}),
)


@pytest.mark.parametrize(("service", "path", "patch"), _CASES, ids=[case[1] for case in _CASES])
async def test_records_are_valid_documents_and_can_be_patched(
    templates: Templates, tmp_path: Path, service: Service, path: str, patch: dict[str, str]
) -> None:
    databases = Databases.make(templates)
    await databases.fill()
    resource = next(r for r in service.resources if r.name == path.partition("?")[0])
    async with (
        running(service, databases.urls[service.name], Keys.make(tmp_path)) as under_test,
        under_test.client(TENANT) as client,
    ):
        listed = await client.get(f"/v1/{path}", params={"limit": 60} if "?" not in path else None)
        records = listed.json()["data"]
        assert records
        for record in records:
            resource.readable.model_validate_json(to_json(record))
            answer = await client.patch(f"/v1/{resource.name}/{record['id']}", json=patch)
            assert answer.status_code == 200, answer.text
            assert answer.json()["version"] == record["version"] + 1


async def test_closed_tickets_take_the_same_document_again(templates: Templates, tmp_path: Path) -> None:
    databases = Databases.make(templates)
    await databases.fill()
    async with (
        running(TICKETS, databases.urls["tickets"], Keys.make(tmp_path)) as under_test,
        under_test.client(TENANT) as client,
    ):
        closed = (await client.get("/v1/tickets?filter[status]=closed&limit=20")).json()["data"]
        for ticket in closed:
            answer = await client.patch(f"/v1/tickets/{ticket['id']}", json={"subject": ticket["subject"]})
            assert (answer.status_code, answer.json()) == (200, ticket)


async def test_work_goes_on_where_the_history_ends(templates: Templates, tmp_path: Path) -> None:
    databases = Databases.make(templates)
    await databases.fill()
    keys = Keys.make(tmp_path)
    async with running(TICKETS, databases.urls["tickets"], keys) as tickets, tickets.client(TENANT) as client:
        new = await client.post("/v1/tickets", json={"subject": "One more"})
        last = await databases.count("tickets", "SELECT max(number) FROM tickets WHERE subject <> 'One more'")
        assert new.json()["number"] == last + 1
        at_work = (await client.get("/v1/tickets?filter[status]=open&limit=1")).json()["data"][0]
        answer = await client.patch(f"/v1/tickets/{at_work['id']}", json={"status": "resolved"})
        assert answer.json()["status"] == "resolved", answer.text
    async with running(SALES, databases.urls["sales"], keys) as sales, sales.client(TENANT) as client:
        deal = (await client.get("/v1/deals?filter[status]=open&limit=1")).json()["data"][0]
        pipeline = (await client.get(f"/v1/pipelines/{deal['pipeline_id']}")).json()
        won = next(stage["id"] for stage in pipeline["stages"] if stage["kind"] == "won")
        change = await client.post(f"/v1/deals/{deal['id']}/stage-changes", json={"stage_id": won})
        assert change.status_code == 201, change.text
        assert change.json()["from_stage_id"] == deal["stage_id"]
