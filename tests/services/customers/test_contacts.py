"""What is particular about contacts; what they share with every resource is tested in `tests/conformance`."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from services.customers.app import SERVICE
from shared.testing.databases import Templates
from shared.testing.services import Keys, running


@pytest.fixture
async def client(templates: Templates, tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    """A tenant of the customers service."""
    async with (
        running(SERVICE, templates.clone("customers"), Keys.make(tmp_path)) as service,
        service.client() as made,
    ):
        yield made


async def create(client: httpx2.AsyncClient, **body: Any) -> dict[str, Any]:
    """A contact."""
    answer = await client.post("/v1/contacts", json=body)
    assert answer.status_code == 201, answer.text
    record: dict[str, Any] = answer.json()
    return record


async def fault(client: httpx2.AsyncClient, **body: Any) -> tuple[str, str]:
    """The pointer and code of the refusal."""
    answer = await client.post("/v1/contacts", json=body)
    assert answer.status_code == 422, answer.text
    error = answer.json()["errors"][0]
    return error["pointer"], error["code"]


async def found(client: httpx2.AsyncClient, **params: str) -> list[str]:
    """The family names of a list."""
    answer = await client.get("/v1/contacts", params=params)
    assert answer.status_code == 200, answer.text
    return [one["family_name"] for one in answer.json()["data"]]


async def test_some_name_or_address_is_needed(client: httpx2.AsyncClient) -> None:
    assert await fault(client) == ("", "nameless")
    assert await fault(client, title="Dr.", phones=[{"number": "1"}]) == ("", "nameless")
    assert await fault(client, given_name=" ") == ("/given_name", "blank")
    await create(client, given_name="Cher")
    await create(client, family_name="Lovelace")
    await create(client, emails=[{"address": "info@example.com"}])


async def test_the_first_is_primary_unless_another_is_marked(client: httpx2.AsyncClient) -> None:
    emails = [{"address": "a@x.org"}, {"address": "b@x.org", "kind": "home"}]
    made = (await create(client, emails=emails))["emails"]
    assert made == [
        {"address": "a@x.org", "kind": "work", "primary": True},
        {"address": "b@x.org", "kind": "home", "primary": False},
    ]
    phones = [{"number": "1"}, {"number": "2", "kind": "mobile", "primary": True}]
    made = (await create(client, given_name="A", phones=phones))["phones"]
    assert [one["primary"] for one in made] == [False, True]


async def test_there_is_one_primary_at_most(client: httpx2.AsyncClient) -> None:
    emails = [{"address": "a@x.org", "primary": True}, {"address": "b@x.org", "primary": True}]
    assert await fault(client, emails=emails) == ("/emails", "several_primary")
    phones = [{"number": "1", "primary": True}, {"number": "2", "primary": True}]
    assert await fault(client, given_name="A", phones=phones) == ("/phones", "several_primary")


async def test_no_address_stands_twice(client: httpx2.AsyncClient) -> None:
    emails = [{"address": "Ada@x.org"}, {"address": "ada@X.org", "kind": "home"}]
    assert await fault(client, emails=emails) == ("/emails", "duplicate_entry")


async def test_twenty_and_no_more(client: httpx2.AsyncClient) -> None:
    emails = [{"address": f"a{n}@x.org"} for n in range(21)]
    assert await fault(client, emails=emails) == ("/emails", "too_long")
    assert len((await create(client, emails=emails[:20]))["emails"]) == 20


async def test_an_address_finds_its_contact_whatever_its_case(client: httpx2.AsyncClient) -> None:
    emails = [{"address": "Ada.Lovelace+crm@Example.com"}, {"address": "grüße@exämple.de"}]
    await create(client, family_name="Lovelace", emails=emails)
    await create(client, family_name="Other", emails=[{"address": "lovelace@example.com"}])
    for address in ("ada.lovelace+CRM@example.COM", "GRÜSSE@x.de", "GRÜßE@EXÄMPLE.DE"):
        expected = [] if address.startswith("GRÜSSE") else ["Lovelace"]
        assert await found(client, **{"filter[email]": address}) == expected, address
    assert await found(client, **{"filter[email]": "ada.lovelace@example.com"}) == []
    assert await found(client, q="ada lovelace@exam") == ["Lovelace"]


async def test_a_number_is_found_by_its_groups_and_by_its_digits(client: httpx2.AsyncClient) -> None:
    await create(client, family_name="Lovelace", phones=[{"number": "+49 (30) 123-456"}])
    await create(client, family_name="Other", phones=[{"number": "+49 (30) 999-456"}])
    assert await found(client, q="+4930123") == ["Lovelace"]
    assert await found(client, q="123-4") == ["Lovelace"]
    assert await found(client, **{"filter[phone]": "+49 (30) 123-456"}) == ["Lovelace"]


async def test_a_patch_of_one_member_leaves_the_lists_alone(client: httpx2.AsyncClient) -> None:
    made = await create(client, given_name="Ada", emails=[{"address": "a@x.org"}])
    path = f"/v1/contacts/{made['id']}"
    patched = (await client.patch(path, json={"title": "Countess"})).json()
    assert (patched["emails"], patched["title"]) == (made["emails"], "Countess")
    removed = (await client.patch(path, json={"emails": None})).json()
    assert removed["emails"] == []
    assert (await client.patch(path, json={"given_name": None})).status_code == 422


async def test_the_account_is_included(client: httpx2.AsyncClient) -> None:
    account = (await client.post("/v1/accounts", json={"name": "Acme"})).json()
    made = await create(client, family_name="Lovelace", account_id=account["id"])
    await create(client, family_name="Other")
    answer = await client.get(f"/v1/contacts/{made['id']}", params={"include": "account"})
    assert answer.json()["account"] == account
    assert await found(client, **{"filter[account_id]": account["id"]}) == ["Lovelace"]


@pytest.mark.parametrize(
    ("member", "good", "bad"),
    [("locale", "pt-BR", "pt_BR"), ("time_zone", "America/Sao_Paulo", "Brasilia")],
)
async def test_locales_and_zones(client: httpx2.AsyncClient, member: str, good: str, bad: str) -> None:
    await create(client, given_name="A", **{member: good})
    assert (await fault(client, given_name="A", **{member: bad}))[0] == f"/{member}"
