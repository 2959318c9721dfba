"""The tickets service, started once for each file of tests; every test brings a tenant of its own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx2
import pytest

from services.tickets.app import SERVICE
from shared.database.tables import new_id
from shared.testing.databases import Templates
from shared.testing.services import Keys, ServiceUnderTest, running

Json = dict[str, Any]
Make = Callable[..., Awaitable[Json]]


@pytest.fixture(scope="module")
async def tickets(
    templates: Templates, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ServiceUnderTest]:
    keys = Keys.make(tmp_path_factory.mktemp("keys"))
    async with running(SERVICE, templates.clone("tickets"), keys) as service:
        yield service


@pytest.fixture
def tenant() -> UUID:
    return new_id()


@pytest.fixture
async def client(tickets: ServiceUnderTest, tenant: UUID) -> AsyncIterator[httpx2.AsyncClient]:
    async with tickets.client(tenant) as client:
        yield client


@pytest.fixture
def make(client: httpx2.AsyncClient) -> Make:
    """Creates a ticket and returns it: `await make(status="open")`."""

    async def create(**fields: Any) -> Json:
        return await created(client, **fields)

    return create


async def created(client: httpx2.AsyncClient, **fields: Any) -> Json:
    """A new ticket of this caller."""
    answer = await client.post("/v1/tickets", json={"subject": "Printer on fire"} | fields)
    assert answer.status_code == 201, answer.text
    record: Json = answer.json()
    return record


async def changed(client: httpx2.AsyncClient, ticket: Json, **fields: Any) -> Json:
    """The ticket after a patch."""
    answer = await client.patch(f"/v1/tickets/{ticket['id']}", json=fields)
    assert answer.status_code == 200, answer.text
    record: Json = answer.json()
    return record


async def commented(client: httpx2.AsyncClient, ticket: Json, body: str = "Seen.", **fields: Any) -> Json:
    """A new comment on the ticket."""
    answer = await client.post(f"/v1/tickets/{ticket['id']}/comments", json={"body": body} | fields)
    assert answer.status_code == 201, answer.text
    record: Json = answer.json()
    return record


async def current(client: httpx2.AsyncClient, ticket: Json) -> Json:
    """The ticket as it is now."""
    record: Json = (await client.get(f"/v1/tickets/{ticket['id']}")).json()
    return record


async def history(client: httpx2.AsyncClient, ticket: Json) -> list[Json]:
    """The ticket's events, oldest first."""
    answer = await client.get(f"/v1/tickets/{ticket['id']}/events", params={"limit": "200"})
    assert answer.status_code == 200, answer.text
    events: list[Json] = answer.json()["data"]
    return events


def fault(answer: httpx2.Response) -> tuple[int, str, str]:
    """Status, pointer and code of the first fault."""
    first = answer.json()["errors"][0]
    return answer.status_code, first["pointer"], first["code"]
