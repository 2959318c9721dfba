"""The sales service over a database of the test's own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import pytest

from services.sales.app import SERVICE
from shared.database.tables import new_id
from shared.testing.databases import Templates
from shared.testing.services import Keys, ServiceUnderTest, running

Json = dict[str, Any]
Make = Callable[..., Awaitable[Json]]


@pytest.fixture
async def sales(templates: Templates, tmp_path: Path) -> AsyncIterator[ServiceUnderTest]:
    async with running(SERVICE, templates.clone("sales"), Keys.make(tmp_path)) as service:
        yield service


@pytest.fixture
def tenant() -> UUID:
    return new_id()


@pytest.fixture
async def client(sales: ServiceUnderTest, tenant: UUID) -> AsyncIterator[httpx2.AsyncClient]:
    async with sales.client(tenant) as client:
        yield client


@pytest.fixture
async def stranger(sales: ServiceUnderTest) -> AsyncIterator[httpx2.AsyncClient]:
    """A caller of another tenant."""
    async with sales.client() as client:
        yield client


@pytest.fixture
def make(client: httpx2.AsyncClient) -> Make:
    """Creates a record and returns it: `await make("deals", name="x")`."""

    async def create(plural: str, **fields: Any) -> Json:
        return await created(client, plural, **fields)

    return create


async def created(client: httpx2.AsyncClient, plural: str, **fields: Any) -> Json:
    """A new record of this caller."""
    answer = await client.post(f"/v1/{plural}", json=fields)
    assert answer.status_code == 201, answer.text
    record: Json = answer.json()
    return record


def stages(*described: str) -> list[Json]:
    """Stages from `Name:kind` or `Name` (open, 50 %)."""
    made = []
    for text in described:
        name, _, kind = text.partition(":")
        stage = {"name": name, "kind": kind or "open"}
        made.append(stage if kind else stage | {"probability": 50})
    return made


def stage_id(pipeline: Json, name: str) -> str:
    """The id of the pipeline's stage of this name."""
    return str(next(stage["id"] for stage in pipeline["stages"] if stage["name"] == name))


def error(answer: httpx2.Response) -> tuple[int, str, str]:
    """Status, pointer and code of the first fault."""
    first = answer.json()["errors"][0]
    return answer.status_code, first["pointer"], first["code"]
