"""Tickets through the API: what follows from a status, and what a closed ticket still takes."""

from datetime import datetime

import httpx2
import pytest

from tests.services.tickets.conftest import Make, changed, commented, current, fault, history

LONG_AGO = "2026-01-05T08:00:00Z"


async def test_a_ticket_begins_new_and_opened_now(make: Make) -> None:
    ticket = await make()
    assert (ticket["status"], ticket["priority"], ticket["channel"]) == ("new", "normal", "api")
    assert ticket["opened_at"] == ticket["created_at"]
    assert ticket["first_responded_at"] is ticket["resolved_at"] is ticket["closed_at"] is None
    assert ticket["reopen_count"] == ticket["reassignment_count"] == 0


async def test_resolving_reopening_and_closing(client: httpx2.AsyncClient, make: Make) -> None:
    ticket = await make(opened_at=LONG_AGO)
    resolved = await changed(client, ticket, status="resolved")
    assert resolved["resolved_at"] == resolved["updated_at"]
    reopened = await changed(client, ticket, status="pending")
    assert (reopened["resolved_at"], reopened["reopen_count"]) == (None, 1)
    closed = await changed(client, ticket, status="closed", closed_at="2026-01-06T08:00:00Z")
    assert closed["resolved_at"] == closed["closed_at"] == "2026-01-06T08:00:00Z"
    assert closed["reopen_count"] == 1


async def test_a_transition_that_is_not_allowed_names_the_status(
    client: httpx2.AsyncClient, make: Make
) -> None:
    ticket = await make(status="open")
    answer = await client.patch(f"/v1/tickets/{ticket['id']}", json={"status": "new"})
    assert fault(answer) == (422, "/status", "transition_not_allowed")
    assert await current(client, ticket) == ticket


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"status": "resolved", "resolved_at": "2026-01-05T07:59:59Z"}, "/resolved_at"),
        ({"status": "closed", "closed_at": "2026-01-05T07:59:59Z"}, "/closed_at"),
        ({"first_responded_at": "2026-01-05T07:59:59Z"}, "/first_responded_at"),
        ({"resolved_at": "2026-01-05T09:00:00Z"}, "/resolved_at"),
    ],
)
async def test_instants_out_of_order_are_refused(
    client: httpx2.AsyncClient, make: Make, fields: dict[str, str], pointer: str
) -> None:
    body = {"subject": "x", "opened_at": LONG_AGO} | fields
    answer = await client.post("/v1/tickets", json=body)
    assert fault(answer)[:2] == (422, pointer)
    ticket = await make(opened_at=LONG_AGO)
    answer = await client.patch(f"/v1/tickets/{ticket['id']}", json=fields)
    assert fault(answer)[:2] == (422, pointer)
    bulk = await client.post("/v1/tickets/bulk", json={"items": [{"action": "create", "body": body}]})
    assert bulk.json()["items"][0]["problem"]["errors"][0]["pointer"] == f"/items/0/body{pointer}"


@pytest.mark.parametrize("fields", [{"subject": "Other"}, {"status": "open"}, {"closed_at": LONG_AGO}])
async def test_a_closed_ticket_takes_no_change(
    client: httpx2.AsyncClient, make: Make, fields: dict[str, str]
) -> None:
    ticket = await make(status="closed")
    answer = await client.patch(f"/v1/tickets/{ticket['id']}", json=fields)
    assert (answer.status_code, answer.json()["code"]) == (409, "ticket_closed")
    answer = await client.post(f"/v1/tickets/{ticket['id']}/comments", json={"body": "Too late."})
    assert (answer.status_code, answer.json()["code"]) == (409, "ticket_closed")
    assert await current(client, ticket) == ticket
    assert len(await history(client, ticket)) == 1


async def test_a_closed_ticket_takes_what_it_is_and_can_be_deleted_and_restored(
    client: httpx2.AsyncClient, make: Make
) -> None:
    ticket = await make(status="closed", impact="high", urgency="high")
    same = await changed(
        client, ticket, status="closed", subject=ticket["subject"], closed_at=None, priority=None
    )
    assert same == ticket
    assert (await client.delete(f"/v1/tickets/{ticket['id']}")).status_code == 204
    assert (await client.post(f"/v1/tickets/{ticket['id']}/restorations")).status_code == 201
    assert (await current(client, ticket))["status"] == "closed"


async def test_what_was_said_on_a_closed_ticket_can_only_be_taken_back(
    client: httpx2.AsyncClient, make: Make
) -> None:
    ticket = await make()
    comment = await commented(client, ticket)
    await changed(client, ticket, status="closed")
    path = f"/v1/tickets/{ticket['id']}/comments/{comment['id']}"
    assert (await client.patch(path, json={"body": "Changed."})).status_code == 409
    assert (await client.delete(path)).status_code == 204


@pytest.mark.parametrize("status", ["new", "open", "resolved", "closed"])
async def test_a_repeated_document_makes_no_new_version(client: httpx2.AsyncClient, status: str) -> None:
    """What the service filled in the first time is not filled in anew."""
    document = {"subject": "x", "status": status, "impact": "low", "urgency": "high"}
    first = await client.put("/v1/tickets/by-external-id/desk/1", json=document)
    again = await client.put("/v1/tickets/by-external-id/desk/1", json=document)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert len(await history(client, first.json())) == 1


async def test_a_reassignment_counts_once(client: httpx2.AsyncClient, make: Make) -> None:
    ticket = await make(queue="Network")
    assert (await changed(client, ticket, assignee="ada"))["reassignment_count"] == 0
    assert (await changed(client, ticket, queue="Servers", assignee="bob"))["reassignment_count"] == 1


@pytest.mark.parametrize("name", ["number", "reopen_count", "reassignment_count", "event_count", "version"])
async def test_what_the_service_counts_is_not_written(
    client: httpx2.AsyncClient, make: Make, name: str
) -> None:
    ticket = await make()
    answer = await client.patch(f"/v1/tickets/{ticket['id']}", json={name: 7})
    assert fault(answer)[:2] == (422, f"/{name}")


async def test_a_ticket_may_be_opened_in_the_future_and_its_instants_still_follow(
    client: httpx2.AsyncClient, make: Make
) -> None:
    ticket = await make(opened_at="2999-01-01T00:00:00Z")
    await commented(client, ticket)
    closed = await changed(client, ticket, status="closed")
    names = ("opened_at", "first_responded_at", "resolved_at", "closed_at")
    instants = [datetime.fromisoformat(closed[name]) for name in names]
    assert instants == sorted(instants)
