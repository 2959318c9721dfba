"""The demo's rows obey the rules that the services hold their callers to."""

from itertools import pairwise
from typing import Any

import pytest
from pydantic_core import from_json

from services.sales.deals.rules import Ending, ending_faults
from services.tickets.tickets.rules import TRANSITIONS, Course, course_faults, implied_priority
from services.tickets.tickets.schemas import TicketIn
from shared.fields import format_instant
from tests.deploy.demo.workspaces import SMALL, TABLES, TENANT, Databases, Row

COURSE = ("status", "opened_at", "first_responded_at", "resolved_at", "closed_at")


def _by(rows: list[Row], key: str) -> dict[Any, list[Row]]:
    grouped: dict[Any, list[Row]] = {}
    for row in rows:
        grouped.setdefault(row[key], []).append(row)
    return grouped


async def test_there_are_as_many_as_ordered(demo: Databases) -> None:
    for service, table, number in (
        ("customers", "accounts", SMALL.accounts),
        ("customers", "contacts", SMALL.contacts),
        ("sales", "deals", SMALL.deals),
        ("tickets", "tickets", SMALL.tickets),
    ):
        assert await demo.count(service, f"SELECT count(*) FROM {table}") == number


@pytest.mark.parametrize(("service", "table"), [(s, t) for s, tables in TABLES.items() for t in tables])
async def test_every_row_is_the_tenants(demo: Databases, service: str, table: str) -> None:
    tenants = await demo.rows(service, f"SELECT DISTINCT tenant_id FROM {table}")
    assert [row["tenant_id"] for row in tenants] == [TENANT]


@pytest.mark.parametrize(
    ("service", "table"),
    [
        (s, t)
        for s, tables in TABLES.items()
        for t in tables
        if not t.endswith(("changes", "events", "counters"))
    ],
)
async def test_ids_tell_when_a_record_was_made(demo: Databases, service: str, table: str) -> None:
    for row in await demo.rows(service, f"SELECT * FROM {table}"):
        assert row["id"].version == 7
        assert row["id"].int >> 80 == int(row["created_at"].timestamp() * 1000 + 0.0005)
        assert row["updated_at"] >= row["created_at"]
        assert (row["source"], row["external_id"], row["deleted_at"]) == (None, None, None)


async def test_references_between_services_are_real_and_older(demo: Databases) -> None:
    accounts = {row["id"]: row for row in await demo.rows("customers", "SELECT * FROM accounts")}
    contacts = {row["id"]: row for row in await demo.rows("customers", "SELECT * FROM contacts")}
    for deal in await demo.rows("sales", "SELECT * FROM deals"):
        if deal["account_id"] is not None:
            assert accounts[deal["account_id"]]["created_at"] <= deal["created_at"]
        for contact_id in deal["contact_ids"]:
            assert contacts[contact_id]["account_id"] == deal["account_id"]
            assert contacts[contact_id]["created_at"] <= deal["created_at"]
    for ticket in await demo.rows("tickets", "SELECT * FROM tickets WHERE requester_contact_id IS NOT NULL"):
        assert contacts[ticket["requester_contact_id"]]["created_at"] <= ticket["created_at"]


async def test_some_accounts_have_parents_and_some_contacts_no_account(demo: Databases) -> None:
    assert await demo.count("customers", "SELECT count(*) FROM accounts WHERE parent_id IS NOT NULL") > 0
    assert await demo.count("customers", "SELECT count(*) FROM contacts WHERE account_id IS NULL") > 0
    circles = "SELECT count(*) FROM accounts c JOIN accounts p ON p.id = c.parent_id WHERE p.id >= c.id"
    assert await demo.count("customers", circles) == 0


async def test_addresses_are_unique_and_lead_nowhere(demo: Databases) -> None:
    contacts = await demo.rows("customers", "SELECT emails FROM contacts")
    primary = [e["address"] for row in contacts for e in from_json(row["emails"]) if e["primary"]]
    assert len(set(primary)) == len(primary) == SMALL.contacts
    assert all(address.endswith(".example") for address in primary)


async def test_deals_end_as_their_stage_says(demo: Databases) -> None:
    statuses = set()
    for deal in await demo.rows("sales", "SELECT * FROM deals"):
        ending = Ending(deal["status"], deal["closed_on"], deal["loss_reason"])
        assert ending_faults(ending, deal["engaged_on"]) == []
        assert (deal["closed_on"] is None) == (deal["status"] == "open")
        statuses.add(deal["status"])
    assert statuses == {"open", "won", "lost"}


async def test_stage_changes_lead_to_the_deals_stage(demo: Databases) -> None:
    stages = {
        stage["id"]: stage
        for row in await demo.rows("sales", "SELECT stages FROM pipelines")
        for stage in from_json(row["stages"])
    }
    changes = _by(await demo.rows("sales", "SELECT * FROM deal_stage_changes ORDER BY changed_at"), "deal_id")
    for deal in await demo.rows("sales", "SELECT * FROM deals"):
        way = changes.pop(deal["id"])
        assert way[0]["from_stage_id"] is None
        assert way[0]["changed_at"] == deal["created_at"]
        assert all(a["to_stage_id"] == b["from_stage_id"] for a, b in pairwise(way))
        assert all(a["changed_at"] < b["changed_at"] for a, b in pairwise(way))
        last = way[-1]
        assert (last["to_stage_id"], last["changed_at"]) == (deal["stage_id"], deal["stage_changed_at"])
        stage = stages[str(deal["stage_id"])]
        assert (stage["name"], stage["kind"]) == (last["to_stage_name"], last["to_stage_kind"])
        assert (stage["kind"], len(way)) == (deal["status"], deal["version"])
    assert changes == {}


async def test_ticket_numbers_count_from_one(demo: Databases) -> None:
    numbers = [
        row["number"] for row in await demo.rows("tickets", "SELECT number FROM tickets ORDER BY opened_at")
    ]
    assert numbers == list(range(1, SMALL.tickets + 1))
    assert await demo.count("tickets", "SELECT last_number FROM ticket_counters") == SMALL.tickets


async def test_tickets_have_a_possible_course(demo: Databases) -> None:
    statuses = set()
    for ticket in await demo.rows("tickets", "SELECT * FROM tickets"):
        assert course_faults(Course(**{name: ticket[name] for name in COURSE}), None) == []
        assert (ticket["resolved_at"] is not None) == (ticket["status"] in ("resolved", "closed"))
        assert (ticket["closed_at"] is not None) == (ticket["status"] == "closed")
        assert ticket["priority"] == implied_priority(ticket["impact"], ticket["urgency"])
        statuses.add(ticket["status"])
    assert {"open", "resolved", "closed"} <= statuses


async def test_history_replayed_gives_the_ticket(demo: Databases) -> None:
    events = _by(await demo.rows("tickets", "SELECT * FROM ticket_events ORDER BY occurred_at"), "ticket_id")
    comments = {row["id"]: row for row in await demo.rows("tickets", "SELECT * FROM ticket_comments")}
    for ticket in await demo.rows("tickets", "SELECT * FROM tickets"):
        history = events.pop(ticket["id"])
        assert [event["sequence"] for event in history] == list(range(1, ticket["event_count"] + 1))
        assert all(a["occurred_at"] < b["occurred_at"] for a, b in pairwise(history))
        assert history[-1]["occurred_at"] == ticket["last_event_at"]
        state = _replayed(history, comments)
        kept = ("number", *TicketIn.model_fields)
        expected = {name: _json(ticket[name]) for name in kept if name != "attributes" and ticket[name]}
        assert {name: value for name, value in state.items() if value} == expected
    assert (events, comments) == ({}, {})


def _replayed(history: list[Row], comments: dict[Any, Row]) -> dict[str, Any]:
    """The ticket as its events tell it; takes away the comments that they tell of."""
    state: dict[str, Any] = {}
    for event in history:
        changes = from_json(event["changes"])
        if event["comment_id"] is not None:
            comment = comments.pop(event["comment_id"])
            assert comment["created_at"] == event["occurred_at"]
            for name in ("body", "visibility", "author", "author_kind"):
                assert changes.pop(name) == {"from": None, "to": comment[name]}
        for name, change in changes.items():
            assert change["from"] == state.get(name)
            assert change["from"] != change["to"]
            if name == "status" and change["from"] is not None:
                assert change["to"] in TRANSITIONS[change["from"]]
            state[name] = change["to"]
    return state


def _json(value: Any) -> Any:
    if hasattr(value, "isoformat"):
        return format_instant(value)
    return str(value) if hasattr(value, "bytes") else value


async def test_counts_agree_with_the_history(demo: Databases) -> None:
    reopened = """
        SELECT count(*) FROM tickets t WHERE reopen_count <> (
            SELECT count(*) FROM ticket_events e WHERE e.ticket_id = t.id
              AND e.changes #>> '{status,from}' = 'resolved' AND e.changes #>> '{status,to}' = 'open')
    """
    reassigned = """
        SELECT count(*) FROM tickets t WHERE reassignment_count <> (
            SELECT count(*) FROM ticket_events e WHERE e.ticket_id = t.id AND e.kind <> 'created'
              AND (e.changes #>> '{assignee,from}' IS NOT NULL OR e.changes #>> '{queue,from}' IS NOT NULL))
    """
    assert await demo.count("tickets", reopened) == 0
    assert await demo.count("tickets", reassigned) == 0
    assert await demo.count("tickets", "SELECT sum(reopen_count) FROM tickets") > 0
    assert await demo.count("tickets", "SELECT sum(reassignment_count) FROM tickets") > 0


async def test_nothing_lies_in_the_future_or_before_the_year(demo: Databases) -> None:
    for service, table, column in (
        ("customers", "accounts", "created_at"),
        ("customers", "contacts", "created_at"),
        ("sales", "deal_stage_changes", "changed_at"),
        ("tickets", "ticket_events", "occurred_at"),
    ):
        outside = f"""
            SELECT count(*) FROM {table} WHERE {column} NOT BETWEEN
            timestamptz '2026-11-18 15:30+00' - interval '365 days' AND '2026-11-18 15:30+00'
        """
        assert await demo.count(service, outside) == 0
