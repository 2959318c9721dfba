"""Comments: who said it, who sees it, and the first response."""

import asyncio
from uuid import UUID

import httpx2
import pytest

from shared.testing.services import ServiceUnderTest
from tests.services.tickets.conftest import Make, changed, commented, current, history


async def test_the_author_is_whoever_writes(client: httpx2.AsyncClient, make: Make) -> None:
    ticket = await make()
    comment = await commented(client, ticket)
    assert (comment["author"], comment["author_kind"], comment["visibility"]) == ("tester", "agent", "public")
    named = await commented(client, ticket, author="Grace", author_kind="requester")
    assert (named["author"], named["author_kind"]) == ("Grace", "requester")


async def test_a_patch_by_another_does_not_change_the_author(
    tickets: ServiceUnderTest, client: httpx2.AsyncClient, make: Make, tenant: UUID
) -> None:
    ticket = await make()
    comment = await commented(client, ticket)
    async with tickets.client(tenant, principal="editor") as editor:
        path = f"/v1/tickets/{ticket['id']}/comments/{comment['id']}"
        edited = (await editor.patch(path, json={"body": "Better.", "author": None})).json()
    assert (edited["author"], edited["body"]) == ("tester", "Better.")


async def test_comments_are_listed_in_order_and_by_visibility(client: httpx2.AsyncClient, make: Make) -> None:
    ticket = await make()
    for number in range(6):
        await commented(client, ticket, f"{number}", visibility="internal" if number % 2 else "public")
    path = f"/v1/tickets/{ticket['id']}/comments"
    bodies = [comment["body"] for comment in (await client.get(path)).json()["data"]]
    assert bodies == ["0", "1", "2", "3", "4", "5"]
    public = (await client.get(path, params={"filter[visibility]": "public"})).json()["data"]
    assert [comment["body"] for comment in public] == ["0", "2", "4"]


@pytest.mark.parametrize(
    "fields",
    [
        {"visibility": "internal"},
        {"author_kind": "requester"},
        {"visibility": "internal", "author_kind": "requester"},
    ],
)
async def test_what_is_no_response_leaves_the_ticket_as_it_is(
    client: httpx2.AsyncClient, make: Make, fields: dict[str, str]
) -> None:
    ticket = await make()
    before = await client.get(f"/v1/tickets/{ticket['id']}")
    await commented(client, ticket, **fields)
    after = await client.get(f"/v1/tickets/{ticket['id']}")
    assert (after.json(), after.headers["etag"]) == (before.json(), before.headers["etag"])


async def test_the_first_response_is_noted_once(client: httpx2.AsyncClient, make: Make) -> None:
    ticket = await make()
    await commented(client, ticket, visibility="internal")
    answer = await commented(client, ticket)
    responded = await current(client, ticket)
    assert responded["first_responded_at"] == answer["created_at"]
    assert responded["version"] == ticket["version"] + 1
    await commented(client, ticket)
    assert await current(client, ticket) == responded


async def test_a_given_first_response_stays(client: httpx2.AsyncClient, make: Make) -> None:
    ticket = await make(opened_at="2026-01-05T08:00:00Z", first_responded_at="2026-01-05T09:00:00Z")
    await commented(client, ticket)
    assert await current(client, ticket) == ticket


async def test_publishing_an_internal_comment_is_a_response(client: httpx2.AsyncClient, make: Make) -> None:
    ticket = await make()
    comment = await commented(client, ticket, visibility="internal")
    path = f"/v1/tickets/{ticket['id']}/comments/{comment['id']}"
    assert (await client.patch(path, json={"visibility": "public"})).status_code == 200
    assert (await current(client, ticket))["first_responded_at"] is not None


async def test_many_responses_at_once_make_one_first(client: httpx2.AsyncClient, make: Make) -> None:
    ticket = await make()
    await asyncio.gather(*(commented(client, ticket, f"{n}") for n in range(20)))
    assert (await current(client, ticket))["version"] == 2
    events = await history(client, ticket)
    assert sum("first_responded_at" in event["changes"] for event in events) == 1


async def test_comments_of_a_deleted_ticket_are_gone_until_it_is_back(
    client: httpx2.AsyncClient, make: Make
) -> None:
    ticket = await make()
    await commented(client, ticket)
    path = f"/v1/tickets/{ticket['id']}"
    await client.delete(path)
    assert (await client.get(f"{path}/comments")).status_code == 404
    assert (await client.post(f"{path}/comments", json={"body": "x"})).status_code == 404
    await client.post(f"{path}/restorations")
    assert len((await client.get(f"{path}/comments")).json()["data"]) == 1
    await changed(client, ticket, subject="Still works")


async def test_an_external_id_that_is_taken_is_a_conflict(client: httpx2.AsyncClient, make: Make) -> None:
    """Also when a patch takes it, and nothing of the attempt is left in the history."""
    ticket = await make()
    await commented(client, ticket, source="desk", external_id="1")
    other = await commented(client, ticket)
    before = await history(client, ticket)
    path = f"/v1/tickets/{ticket['id']}/comments"
    taken = {"source": "desk", "external_id": "1"}
    for method, where in (("PATCH", f"{path}/{other['id']}"), ("POST", path)):
        answer = await client.request(method, where, json={"body": "x"} | taken)
        assert (answer.status_code, answer.json()["code"]) == (409, "duplicate_key")
    assert await history(client, ticket) == before
