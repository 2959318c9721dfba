"""What callers say of tickets and find them by."""

import httpx2
import pytest

from tests.services.tickets.conftest import Json, Make, changed, fault

RANKED = ("urgent", "high", "normal", "low")


async def numbers(client: httpx2.AsyncClient, query: str) -> list[int]:
    """The numbers of the tickets that a list shows, in its order."""
    answer = await client.get(f"/v1/tickets?{query}")
    assert answer.status_code == 200, answer.text
    return [ticket["number"] for ticket in answer.json()["data"]]


async def test_priority_is_sorted_by_its_rank_through_all_pages(
    client: httpx2.AsyncClient, make: Make
) -> None:
    for number in range(12):
        await make(priority=RANKED[number % 4])
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        suffix = f"&cursor={cursor}" if cursor else ""
        page = (await client.get(f"/v1/tickets?sort=-priority&limit=5{suffix}")).json()
        seen += [ticket["priority"] for ticket in page["data"]]
        cursor = page["next_cursor"]
    assert seen == [priority for priority in RANKED for _ in range(3)]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("filter[status]=open", [1]),
        ("filter[status][nin]=open,closed", [2]),
        ("filter[queue]=NETWORK", [1]),
        ("filter[assignee][is_null]=true", [2, 3]),
        ("filter[impact]=high", [1]),
        ("filter[urgency][is_null]=true", [2, 3]),
        ("filter[channel][in]=phone,email", [1, 2]),
        ("filter[category]=hardware", [1]),
        ("filter[subcategory]=printer", [1]),
        ("filter[made_sla]=false", [3]),
        ("filter[made_sla][is_null]=true", [1, 2]),
        ("filter[opened_at][lt]=2026-01-06T00:00:00Z", [1]),
        ("filter[resolved_at][gte]=2026-02-01T00:00:00Z", [3]),
        ("filter[closed_at][is_null]=false", [3]),
        ("filter[tag]=vip", [1, 2]),
        ("filter[tag]=VIP", []),
        ("filter[tag][in]=hot,none", [1]),
        ("filter[requester_contact_id]=0191b1a0-0000-7000-8000-000000000001", [2]),
        ("q=print", [1]),
        ("q=smoke toner", [1]),
        ("q=nothing", []),
        ("sort=-number&filter[number][gte]=2", [3, 2]),
        ("sort=opened_at", [1, 2, 3]),
    ],
)
async def test_tickets_are_found(client: httpx2.AsyncClient, query: str, found: list[int]) -> None:
    bodies: list[Json] = [
        {
            "subject": "Printer on fire",
            "description": "Black toner, white smoke.",
            "status": "open",
            "queue": "Network",
            "assignee": "ada",
            "impact": "high",
            "urgency": "low",
            "channel": "phone",
            "category": "Hardware",
            "subcategory": "Printer",
            "tags": ["vip", "hot"],
            "opened_at": "2026-01-05T08:00:00Z",
        },
        {
            "subject": "No mail",
            "channel": "email",
            "tags": ["vip"],
            "opened_at": "2026-01-06T08:00:00Z",
            "requester_contact_id": "0191b1a0-0000-7000-8000-000000000001",
        },
        {"subject": "Lost key", "status": "closed", "made_sla": False, "opened_at": "2026-01-07T08:00:00Z"},
    ]
    items = [{"action": "create", "body": body} for body in bodies]
    made = (await client.post("/v1/tickets/bulk", json={"items": items})).json()["items"]
    assert [item["status"] for item in made] == [201, 201, 201]
    order = "" if "sort=" in query else "&sort=number"
    assert await numbers(client, query + order) == found


async def test_attributes_come_back_as_they_were_sent(client: httpx2.AsyncClient, make: Make) -> None:
    sent: Json = {"text": "ä\n\u2028 'x'", "whole": 2**53 - 1, "half": -0.5, "yes": True, "no": False}
    sent |= {"nothing": None, "~/name.with parts": "ok", "long": "x" * 2000}
    ticket = await make(attributes=sent)
    assert ticket["attributes"] == sent
    patched = await changed(client, ticket, attributes={"text": None, "half": 1.25, "new": ""})
    assert patched["attributes"] == {n: v for n, v in sent.items() if n != "text"} | {"half": 1.25, "new": ""}
    assert (await changed(client, ticket, attributes=None))["attributes"] == {}


@pytest.mark.parametrize(
    ("attributes", "pointer"),
    [
        ({"list": []}, "/attributes/list"),
        ({"object": {}}, "/attributes/object"),
        ({"big": 2**53}, "/attributes/big"),
        ({"long": "x" * 2001}, "/attributes/long"),
        ({"nul": "a\x00"}, "/attributes/nul"),
        ({"": 1}, "/attributes"),
        ({"x" * 101: 1}, "/attributes"),
        ({f"{n}": n for n in range(51)}, "/attributes"),
        ("text", "/attributes"),
    ],
)
async def test_attributes_are_plain_and_bounded(
    client: httpx2.AsyncClient, attributes: object, pointer: str
) -> None:
    answer = await client.post("/v1/tickets", json={"subject": "x", "attributes": attributes})
    assert fault(answer)[:2] == (422, pointer)


async def test_the_longest_description_is_kept_and_its_first_pages_are_searched(
    client: httpx2.AsyncClient, make: Make
) -> None:
    """100,000 characters of four bytes each, all words different, must not break the index."""
    words = " ".join(chr(0x20000 + n % 0xA000) + chr(0x20000 + n // 7) for n in range(33_333))
    ticket = await make(description=words)
    assert ticket["description"] == words
    text = "begin " + "x " * 49_000 + "finish"
    await make(description=text)
    assert len(await numbers(client, "q=begin")) == 1
    assert await numbers(client, "q=finish") == []


async def test_priority_follows_from_impact_and_urgency_only_at_first(
    client: httpx2.AsyncClient, make: Make
) -> None:
    ticket = await make(impact="high", urgency="high")
    assert ticket["priority"] == "urgent"
    lowered = await changed(client, ticket, impact="low", urgency="low")
    assert lowered["priority"] == "urgent"
    assert (await changed(client, ticket, priority=None)) == lowered


async def test_true_and_one_are_different_values(client: httpx2.AsyncClient, make: Make) -> None:
    ticket = await make(attributes={"vip": True})
    patched = await client.patch(f"/v1/tickets/{ticket['id']}", json={"attributes": {"vip": 1}})
    assert patched.status_code == 200, patched.text
    again = (await client.get(f"/v1/tickets/{ticket['id']}")).json()
    assert again["attributes"]["vip"] is not True
    assert (again["attributes"]["vip"], again["version"]) == (1, 2)
