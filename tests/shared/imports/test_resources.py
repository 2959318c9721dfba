"""What the imports of sales and tickets do beyond the merge: names, stages, and logs of several rows per ticket."""

from typing import Any

import pytest

from shared.imports import job as job_module
from tests.shared.imports.driving import Importer

PRODUCTS: dict[str, Any] = {
    "resource": "products",
    "key": {"source": "test", "column": "id"},
    "columns": {"name": "name"},
}
DEALS: dict[str, Any] = {
    "resource": "deals",
    "key": {"source": "test", "column": "id"},
    "columns": {
        "name": "id",
        "stage": "stage",
        "amount": {"from": "amount", "currency": "EUR"},
        "closed_on": "closed",
    },
}
LOG: dict[str, Any] = {
    "resource": "tickets",
    "key": {"source": "desk", "column": "number"},
    "columns": {
        "subject": "subject",
        "status": "state",
        "queue": "queue",
        "made_sla": "sla",
        "opened_at": "opened",
        "resolved_at": "resolved",
        "source_sequence": "step",
        "event_at": "at",
        "event_by": "by",
    },
}
LOG_HEADER = "number,step,at,by,subject,state,queue,sla,opened,resolved\n"


async def test_a_product_name_is_taken_once(sales: Importer) -> None:
    outcome = await sales.run(PRODUCTS, b"id,name\n1,Anvil\n2,anvil\n3,Rope\n")
    assert outcome.counts == (3, 2, 0, 0, 1)
    assert [error[:1] + error[2:4] for error in outcome.errors] == [["2", "name", "duplicate_key"]]
    again = await sales.run(PRODUCTS, b"id,name\n1,Anvil\n9,ROPE\n")
    assert again.counts == (2, 0, 0, 1, 1)


async def test_deals_come_into_stages_by_name(sales: Importer) -> None:
    data = b"id,stage,amount,closed\n1,Won,10.50,2020-01-02\n2,Nowhere,1,\n3,New,,\n4,New,5,2020-01-02\n5,Won,x,\n"
    outcome = await sales.run(DEALS, data)
    assert outcome.counts == (5, 2, 0, 0, 3)
    assert {(error[0], error[2], error[3]) for error in outcome.errors} == {
        ("2", "stage", "unknown_reference"),
        ("4", "closed", "deal_is_open"),
        ("5", "amount", "invalid_money"),
    }
    deals = {record["external_id"]: record for record in await sales.records("deals")}
    assert {key: deal["status"] for key, deal in deals.items()} == {"1": "won", "3": "open"}
    assert deals["1"]["amount"] == {"amount": "10.50", "currency": "EUR"}
    again = await sales.run(DEALS, data)
    assert again.counts == (5, 0, 0, 2, 3)
    assert {record["external_id"]: record for record in await sales.records("deals")} == deals


def step(
    number: str, place: int, state: str, queue: str = "", *, at: int | None = None, sla: str = ""
) -> str:
    moment = f"2020-03-01T10:{place if at is None else at:02}:00Z"
    resolved = "2020-03-02T09:00:00Z" if state == "resolved" else ""
    opened = "2020-03-01T09:00:00Z"
    return f"{number},{place},{moment},eve,Broken,{state},{queue},{sla},{opened},{resolved}\n"


async def events(tickets: Importer, key: str) -> list[tuple[int, str, Any]]:
    (ticket,) = await tickets.records("tickets", **{"filter[external_id]": key})
    found = await tickets.records(f"tickets/{ticket['id']}/events")
    return sorted((event["sequence"], event["kind"], event["changes"]) for event in found)


async def test_a_log_is_one_ticket_and_its_history(
    tickets: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_module, "MERGED_ROWS", 1)
    # A ticket's rows lie far apart, in several batches, and not in their order.
    others = "".join(step(f"o{n}", 0, "new") for n in range(6_000))
    data = LOG_HEADER + step("a", 2, "resolved", "net", sla="false") + step("a", 0, "new", sla="true")
    data += others + step("a", 1, "new", "net", sla="true")
    outcome = await tickets.run(LOG, data.encode())
    assert (outcome.status, outcome.counts) == ("completed", (6_003, 6_001, 0, 2, 0))
    (ticket,) = await tickets.records("tickets", **{"filter[external_id]": "a"})
    assert (ticket["status"], ticket["queue"], ticket["made_sla"]) == ("resolved", "net", False)
    first, second, third = await events(tickets, "a")
    assert first[:2] == (1, "created")
    assert first[2]["opened_at"] == {"from": None, "to": "2020-03-01T09:00:00Z"}
    assert second == (2, "assigned", {"queue": {"from": None, "to": "net"}})
    assert third == (
        3,
        "status_changed",
        {
            "status": {"from": "new", "to": "resolved"},
            "made_sla": {"from": True, "to": False},
            "resolved_at": {"from": None, "to": "2020-03-02T09:00:00Z"},
        },
    )


async def test_a_log_that_has_grown_adds_only_what_is_new(tickets: Importer) -> None:
    start = LOG_HEADER + step("a", 0, "new") + step("a", 1, "open")
    await tickets.run(LOG, start.encode())
    before = await tickets.records("tickets")
    assert (await tickets.run(LOG, start.encode())).counts == (2, 0, 0, 2, 0)
    assert await tickets.records("tickets") == before
    assert len(await events(tickets, "a")) == 2
    # A number that is repeated at another time is another event.
    grown = start + step("a", 1, "open", at=30) + step("a", 2, "resolved")
    assert (await tickets.run(LOG, grown.encode())).counts[2] == 1
    assert [event[:2] for event in await events(tickets, "a")] == [
        (1, "created"),
        (2, "status_changed"),
        (3, "changed"),
        (4, "status_changed"),
    ]


async def test_a_log_of_later_rows_goes_on_from_the_ticket(tickets: Importer) -> None:
    await tickets.run(LOG, (LOG_HEADER + step("a", 0, "new") + step("a", 1, "open", "net")).encode())
    (ticket,) = await tickets.records("tickets")
    patched = await tickets.client.patch(
        f"/v1/tickets/{ticket['id']}",
        json={"queue": "desk", "description": "It is not in the log."},
        headers={"content-type": "application/merge-patch+json", "if-match": f'"{ticket["version"]}"'},
    )
    assert patched.status_code == 200, patched.text
    later = LOG_HEADER + step("a", 2, "resolved", "desk") + step("a", 3, "closed", "net")
    assert (await tickets.run(LOG, later.encode())).counts[2] == 1
    *_, resolved, closed = await events(tickets, "a")
    assert resolved == (
        4,
        "status_changed",
        {
            "status": {"from": "open", "to": "resolved"},
            "resolved_at": {"from": None, "to": "2020-03-02T09:00:00Z"},
        },
    )
    assert (closed[1], set(closed[2])) == ("status_changed", {"status", "queue", "resolved_at"})


async def test_an_older_log_does_not_turn_a_ticket_back(tickets: Importer) -> None:
    await tickets.run(LOG, (LOG_HEADER + step("a", 5, "resolved")).encode())
    outcome = await tickets.run(LOG, (LOG_HEADER + step("a", 1, "new")).encode())
    assert outcome.counts[2] == 0
    (ticket,) = await tickets.records("tickets")
    assert ticket["status"] == "resolved"
