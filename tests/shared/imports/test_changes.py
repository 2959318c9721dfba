"""What an import changes is in the event log: whatever reads otherwise afterwards has a tag of one of its events."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from shared.events.log import end_of_log, read_log
from tests.conformance.readings import Readings, own_targets, read_all, untold
from tests.shared.events.logs import connected
from tests.shared.imports.driving import PEOPLE, Importer, people

TICKETS = {
    "resource": "tickets",
    "key": {"source": "test", "column": "id"},
    "columns": {"subject": "subject", "opened_at": "opened", "status": "status"},
}
DEALS = {
    "resource": "deals",
    "key": {"source": "test", "column": "id"},
    "columns": {"name": "name", "stage": "stage"},
}


async def readings(importer: Importer, *resources: str) -> Readings:
    """Every list, and every record in it with its parts."""
    targets = [f"/v1/{resource}" for resource in resources] + [importer.path]
    for resource in resources:
        for record in await importer.records(resource):
            one = f"/v1/{resource}/{record['id']}"
            targets += [one, *(f"{one}/{part}" for part in _PARTS.get(resource, ()))]
    return await read_all(importer.client, [*targets, *own_targets(_OWN.get(importer.service.name, ()))])


_PARTS = {"deals": ("stage-changes",), "tickets": ("events", "comments")}
_OWN = {"sales": ("/v1/deals/summary",)}


async def assert_told(
    importer: Importer, mapping: Mapping[str, Any], data: bytes, *resources: str
) -> list[str]:
    """Imports, and holds the events against what has become of the answers. Returns the types of the events."""
    before = await readings(importer, *resources)
    async with connected(importer.database_url) as connection:
        at = await end_of_log(connection)
        outcome = await importer.run(mapping, data)
        assert outcome.status == "completed"
        events = (await read_log(connection, at)).events
    after = await read_all(importer.client, before)
    assert untold(before, after, frozenset(tag for event in events for tag in event.change.tags)) == []
    assert {event.principal for event in events} == {"tester", "system"}
    return _imported(importer, (event.type for event in events))


def _imported(importer: Importer, types: Iterable[str]) -> list[str]:
    """Without those of the job itself."""
    return [one for one in types if not one.startswith(f"{importer.service.name}/imports.")]


async def test_contacts(customers: Importer) -> None:
    first = await assert_told(customers, PEOPLE, people("1,Ada,a@b.org", "2,Bob,b@b.org"), "contacts")
    assert first == ["contacts.created"]
    again = await assert_told(customers, PEOPLE, people("1,Eve,a@b.org", "2,Bob,b@b.org"), "contacts")
    assert again == ["contacts.updated"]
    assert await assert_told(customers, PEOPLE, people("1,Eve,a@b.org"), "contacts") == []


async def test_a_deal_brings_its_pipeline_and_its_history(sales: Importer) -> None:
    reads = ("deals", "pipelines", "products", "sales-reps")
    first = await assert_told(sales, DEALS, b"id,name,stage\n1,Big,New\n2,Small,New\n", *reads)
    assert set(first) == {"pipelines.created", "deals.created", "deals/stage-changes.created"}
    again = await assert_told(sales, DEALS, b"id,name,stage\n1,Big,Won\n2,Small,New\n", *reads)
    assert set(again) == {"deals.updated", "deals/stage-changes.created"}


@pytest.mark.parametrize("rows", [1, 60])
async def test_tickets_bring_their_history(tickets: Importer, rows: int) -> None:
    header = "id,subject,opened,status\n"
    made = "".join(f"{n},Help,2026-01-01T10:00:00Z,new\n" for n in range(rows))
    first = await assert_told(tickets, TICKETS, (header + made).encode(), "tickets")
    assert set(first) == {"tickets.created", "tickets/events.created"}
    changed = made.replace("new", "open")
    again = await assert_told(tickets, TICKETS, (header + changed).encode(), "tickets")
    assert set(again) == {"tickets.updated", "tickets/events.created"}
