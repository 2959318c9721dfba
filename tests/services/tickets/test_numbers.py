"""A ticket's number: one per ticket of a tenant, whoever creates at the same time, and for imports in one go."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import httpx2
import pytest

from services.tickets.tickets.repository import IMPORTED_NUMBER, NUMBER_STAGED
from shared.testing.services import ServiceUnderTest
from tests.services.tickets.conftest import Make, created


@asynccontextmanager
async def connected(tickets: ServiceUnderTest) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(tickets.database_url)
    try:
        yield connection
    finally:
        await connection.close()


async def blocked(tickets: ServiceUnderTest) -> None:
    """Returns once some transaction of this database waits for another."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with connected(tickets) as connection:
        while await connection.fetchval(waiting) == 0:  # noqa: ASYNC110 (only PostgreSQL can tell)
            await asyncio.sleep(0.01)


async def test_fifty_at_once_get_fifty_numbers(client: httpx2.AsyncClient) -> None:
    made = await asyncio.gather(*(created(client, subject=f"Ticket {n}") for n in range(50)))
    assert sorted(ticket["number"] for ticket in made) == list(range(1, 51))


async def test_bulk_and_single_creates_share_one_count(client: httpx2.AsyncClient) -> None:
    items = [{"action": "create", "body": {"subject": f"Bulk {n}"}} for n in range(40)]
    answers = await asyncio.gather(
        *(client.post("/v1/tickets/bulk", json={"items": items}) for _ in range(3)),
        *(client.post("/v1/tickets", json={"subject": "Single"}) for _ in range(20)),
    )
    numbers = [
        record["number"]
        for answer in answers
        for record in (
            [item["record"] for item in answer.json()["items"]]
            if "items" in answer.json()
            else [answer.json()]
        )
    ]
    assert len(numbers) == len(set(numbers)) == 140


async def test_each_tenant_counts_for_itself(tickets: ServiceUnderTest, make: Make) -> None:
    await make()
    async with tickets.client() as stranger:
        assert (await created(stranger))["number"] == 1


async def test_a_number_is_never_given_again(client: httpx2.AsyncClient, make: Make) -> None:
    ticket = await make()
    await client.delete(f"/v1/tickets/{ticket['id']}")
    assert (await make())["number"] == ticket["number"] + 1


async def test_what_fails_leaves_no_ticket_and_others_go_on(client: httpx2.AsyncClient, make: Make) -> None:
    await make(source="desk", external_id="1")
    answers = await asyncio.gather(
        *(
            client.post("/v1/tickets", json={"subject": "x", "source": "desk", "external_id": "1"})
            for _ in range(10)
        ),
        *(client.post("/v1/tickets", json={"subject": "y"}) for _ in range(10)),
    )
    assert [answer.status_code for answer in answers] == [409] * 10 + [201] * 10
    assert len({answer.json()["number"] for answer in answers[10:]}) == 10


async def number(connection: asyncpg.Connection, tenant: UUID, keys: list[str]) -> dict[str, int]:
    """Numbers staged rows as an import does it; several rows may have one key."""
    await connection.execute("CREATE TEMPORARY TABLE IF NOT EXISTS staged (row bigint, key text)")
    await connection.execute("TRUNCATE staged")
    await connection.executemany("INSERT INTO staged VALUES ($1, $2)", list(enumerate(keys)))
    for statement in NUMBER_STAGED:
        parameters = (tenant, "desk") if "$2" in statement else (tenant,) if "$1" in statement else ()
        await connection.execute(statement, *parameters)
    rows = await connection.fetch(f"SELECT DISTINCT s.key, {IMPORTED_NUMBER} AS number FROM staged s")
    return {row["key"]: row["number"] for row in rows}


async def test_an_import_numbers_all_its_new_tickets_at_once(
    tickets: ServiceUnderTest, tenant: UUID, make: Make
) -> None:
    """In the file's order, with the known ones as they are, and with nobody else in between."""
    known = await make(source="desk", external_id="b")
    async with connected(tickets) as connection:
        async with connection.transaction():
            numbers = await number(connection, tenant, ["c", "a", "b", "c", "d"])
            assert numbers == {"c": 2, "a": 3, "b": known["number"], "d": 4}
            waiting = asyncio.ensure_future(make())
            await blocked(tickets)
        assert (await waiting)["number"] == 5


async def test_an_import_of_known_tickets_takes_no_numbers(
    tickets: ServiceUnderTest, tenant: UUID, make: Make
) -> None:
    known = await make(source="desk", external_id="a")
    async with connected(tickets) as connection, connection.transaction():
        assert await number(connection, tenant, ["a"]) == {"a": known["number"]}
    assert (await make())["number"] == known["number"] + 1


@pytest.mark.parametrize("query", ["q=17", "filter[number]=17"])
async def test_a_ticket_is_found_by_its_number(client: httpx2.AsyncClient, query: str) -> None:
    items = [{"action": "create", "body": {"subject": "x"}} for _ in range(20)]
    await client.post("/v1/tickets/bulk", json={"items": items})
    found = (await client.get(f"/v1/tickets?{query}")).json()["data"]
    assert [ticket["number"] for ticket in found] == [17]
