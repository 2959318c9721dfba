"""The history of a ticket: every change exactly once, with exactly what changed, in order, whatever the path."""

import asyncio
from datetime import datetime
from itertools import pairwise
from uuid import UUID

import asyncpg
import httpx2

from shared.testing.services import ServiceUnderTest
from tests.services.tickets.conftest import Json, Make, changed, commented, created, current, history

UNTRACKED = {"id", "version", "created_at", "updated_at"}


def told(before: Json, after: Json) -> Json:
    """What an event of this change must say, by what the API showed before and after."""
    return {
        name: {"from": before[name], "to": after[name]}
        for name in after
        if name not in UNTRACKED and before[name] != after[name]
    }


async def test_a_new_ticket_tells_all_that_it_was_made_with(client: httpx2.AsyncClient, make: Make) -> None:
    ticket = await make(impact="high", urgency="high", tags=["vip"], attributes={"site": 4}, made_sla=False)
    [event] = await history(client, ticket)
    filled = {n: v for n, v in ticket.items() if n not in UNTRACKED and v not in (None, [], {})}
    counts = ("reopen_count", "reassignment_count")
    expected = {n: {"from": None, "to": v} for n, v in filled.items() if n not in counts}
    assert (event["kind"], event["sequence"], event["principal"]) == ("created", 1, "tester")
    assert event["changes"] == expected


async def test_each_change_leaves_one_event_with_what_changed(client: httpx2.AsyncClient, make: Make) -> None:
    ticket = await make(queue="Network", attributes={"site": 4, "floor": None})
    steps: list[tuple[str, Json]] = [
        ("changed", {"subject": "Printer still on fire", "requester_contact_id": ticket["id"]}),
        ("assigned", {"queue": "Servers", "assignee": "ada", "subject": "Fire"}),
        ("status_changed", {"status": "resolved", "assignee": "bob"}),
        ("status_changed", {"status": "open", "tags": ["hot"]}),
        ("changed", {"attributes": {"site": 5, "room": "12"}}),
        ("changed", {"made_sla": True, "opened_at": "2026-01-05T08:00:00Z", "priority": "urgent"}),
        ("status_changed", {"status": "closed"}),
    ]
    before = ticket
    for kind, fields in steps:
        after = await changed(client, ticket, **fields)
        event = (await history(client, ticket))[-1]
        assert (event["kind"], event["changes"]) == (kind, told(before, after))
        before = after
    assert [event["sequence"] for event in await history(client, ticket)] == list(range(1, 9))


async def test_every_path_of_change_is_recorded(client: httpx2.AsyncClient) -> None:
    name = "/v1/tickets/by-external-id/desk/7"
    ticket = (await client.put(name, json={"subject": "a"})).json()
    await client.put(name, json={"subject": "b"})
    await client.put(name, json={"subject": "b"})
    items = [
        {"action": "update", "id": ticket["id"], "body": {"subject": "c"}},
        {"action": "update", "id": ticket["id"], "body": {"subject": "d"}},
        {"action": "upsert", "source": "desk", "external_id": "7", "body": {"subject": "e"}},
        {"action": "delete", "id": ticket["id"]},
    ]
    await client.post("/v1/tickets/bulk", json={"items": items})
    await client.post(f"/v1/tickets/{ticket['id']}/restorations")
    await client.post(f"/v1/tickets/{ticket['id']}/restorations")
    events = await history(client, ticket)
    subjects = [event["changes"]["subject"]["to"] for event in events if "subject" in event["changes"]]
    assert subjects == ["a", "b", "c", "d", "e"]
    assert [event["kind"] for event in events] == ["created", *["changed"] * 4, "deleted", "restored"]
    gone, back = (event["changes"]["deleted_at"] for event in events[-2:])
    assert gone["to"] == back["from"] is not None
    assert gone["from"] is back["to"] is None


async def test_what_is_undone_leaves_no_event(client: httpx2.AsyncClient, make: Make) -> None:
    ticket = await make()
    good = {"action": "update", "id": ticket["id"], "body": {"subject": "c"}}
    bad = {"action": "update", "id": ticket["id"], "body": {"status": "nonsense"}}
    worse = {
        "action": "update",
        "id": ticket["id"],
        "body": {"status": "resolved", "resolved_at": "0001-01-01T00:00:00Z"},
    }
    answer = await client.post("/v1/tickets/bulk", json={"all_or_none": True, "items": [good, bad]})
    assert answer.status_code == 422
    assert len(await history(client, ticket)) == 1
    answer = await client.post("/v1/tickets/bulk", json={"items": [bad, good, worse, good]})
    assert [item["status"] for item in answer.json()["items"]] == [422, 200, 422, 200]
    assert [event["sequence"] for event in await history(client, ticket)] == [1, 2]


async def test_a_repeated_key_leaves_one_event(client: httpx2.AsyncClient, make: Make) -> None:
    ticket = await make()
    for _ in range(3):
        headers = {"Idempotency-Key": "once"}
        await client.patch(f"/v1/tickets/{ticket['id']}", json={"subject": "x"}, headers=headers)
    assert len(await history(client, ticket)) == 2


async def test_comments_are_told_of_without_their_words(client: httpx2.AsyncClient, make: Make) -> None:
    ticket = await make()
    hidden = await commented(client, ticket, "The customer is wrong.", visibility="internal")
    answer = await commented(client, ticket, "We look into it.")
    path = f"/v1/tickets/{ticket['id']}/comments/{hidden['id']}"
    await client.patch(path, json={"body": "The customer is right."})
    await client.delete(path)
    await client.post(f"{path}/restorations")
    events = (await history(client, ticket))[1:]
    ids = {"hidden": hidden["id"], "answer": answer["id"]}
    assert [(event["kind"], event["comment_id"]) for event in events] == [
        ("commented", ids["hidden"]),
        ("commented", ids["answer"]),
        ("comment_changed", ids["hidden"]),
        ("comment_deleted", ids["hidden"]),
        ("comment_restored", ids["hidden"]),
    ]
    responded = (await current(client, ticket))["first_responded_at"]
    first_response = {"first_responded_at": {"from": None, "to": responded}}
    assert [event["changes"] for event in events] == [{}, first_response, {}, {}, {}]


async def test_changes_at_once_keep_their_order(client: httpx2.AsyncClient, make: Make) -> None:
    """Each event goes on from where the one before left the ticket, and its instant is later."""
    ticket = await make()
    await asyncio.gather(
        *(changed(client, ticket, subject=f"Subject {n}") for n in range(25)),
        *(commented(client, ticket, f"{n}", visibility="internal") for n in range(15)),
    )
    events = await history(client, ticket)
    assert [event["sequence"] for event in events] == list(range(1, 42))
    instants = [datetime.fromisoformat(event["occurred_at"]) for event in events]
    assert all(one < other for one, other in pairwise(instants))
    subjects = [event["changes"]["subject"] for event in events if "subject" in event["changes"]]
    assert all(one["to"] == other["from"] for one, other in pairwise(subjects))
    assert subjects[-1]["to"] == (await current(client, ticket))["subject"]


async def test_history_is_only_read(client: httpx2.AsyncClient, make: Make) -> None:
    ticket = await make()
    [event] = await history(client, ticket)
    path = f"/v1/tickets/{ticket['id']}/events"
    for method in ("PATCH", "DELETE", "PUT"):
        answer = await client.request(method, f"{path}/{event['id']}", json={})
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert (await client.post(path, json={})).status_code == 405
    assert (await client.get(f"{path}/{event['id']}")).json() == event


async def test_history_is_another_tenants_404(tickets: ServiceUnderTest, make: Make) -> None:
    ticket = await make()
    async with tickets.client() as stranger:
        own = await created(stranger)
        assert (await stranger.get(f"/v1/tickets/{ticket['id']}/events")).status_code == 404
        assert [event["ticket_id"] for event in await history(stranger, own)] == [own["id"]]


async def test_history_is_filtered_and_paged(client: httpx2.AsyncClient, make: Make) -> None:
    ticket = await make()
    for number in range(5):
        await changed(client, ticket, subject=f"{number}")
    await changed(client, ticket, status="open")
    path = f"/v1/tickets/{ticket['id']}/events"
    kinds = (await client.get(path, params={"filter[kind]": "status_changed"})).json()["data"]
    assert [event["sequence"] for event in kinds] == [7]
    seen, cursor = [], ""
    while cursor is not None:
        page = (await client.get(path, params={"limit": "3"} | ({"cursor": cursor} if cursor else {}))).json()
        seen += [event["sequence"] for event in page["data"]]
        cursor = page["next_cursor"]
    assert seen == list(range(1, 8))


async def test_events_lie_in_the_partition_of_their_month(
    tickets: ServiceUnderTest, make: Make, tenant: UUID
) -> None:
    await make()
    connection = await asyncpg.connect(tickets.database_url)
    try:
        rows = await connection.fetch(
            "SELECT tableoid::regclass::text AS part, to_char(occurred_at AT TIME ZONE 'UTC', 'YYYY_MM') AS month "
            "FROM ticket_events WHERE tenant_id = $1",
            tenant,
        )
    finally:
        await connection.close()
    assert [row["part"] for row in rows] == [f"ticket_events_{row['month']}" for row in rows] != []
