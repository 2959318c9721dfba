"""What a file says of accounts and their parents, wherever in it the parents are."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.customers.app import SERVICE
from shared.imports import job as job_module
from shared.testing.databases import Templates
from tests.shared.imports.driving import Importer, Outcome, importing

FIRMS: dict[str, Any] = {
    "resource": "accounts",
    "key": {"source": "test", "column": "id"},
    "columns": {"name": "name", "parent": "parent"},
}
ABORT = {**FIRMS, "on_error": "abort"}
FAR = 6_000
"""Rows that fill more than one of the reader's blocks."""


@pytest.fixture
async def customers(
    templates: Templates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Importer]:
    """The service and its worker, which copies batches as small as the reader's blocks allow."""
    monkeypatch.setattr(job_module, "MERGED_ROWS", 1)
    async with importing(SERVICE, templates.clone("customers"), tmp_path) as importer, importer.worker():
        yield importer


def firms(*rows: str) -> bytes:
    """A file of `key,parent` rows; a firm is named like its key."""
    named = (f"{key},Firm {key},{parent}\n" for key, _, parent in (row.partition(",") for row in rows))
    return ("id,name,parent\n" + "".join(named)).encode()


def far(*rows: str) -> tuple[str, ...]:
    """The rows with enough others between each two of them that no two are read at once."""
    apart = []
    for place, row in enumerate(rows):
        apart += [row, *(f"other{place}-{n}" for n in range(FAR))]
    return tuple(apart[:-FAR])


async def parents(importer: Importer) -> dict[str, str | None]:
    """The parent of each account that is not one of the others."""
    rows = await importer.fetch(
        "SELECT a.external_id, p.external_id FROM accounts a LEFT JOIN accounts p ON p.id = a.parent_id "
        "WHERE a.external_id NOT LIKE 'other%'"
    )
    return {row[0]: row[1] for row in rows}


async def versions(importer: Importer) -> list[Any]:
    return await importer.fetch("SELECT id, version, updated_at FROM accounts ORDER BY id")


def errors(outcome: Outcome) -> set[tuple[str, str, str, str]]:
    """Row, column, code and value of each."""
    return {(error[0], error[2], error[3], error[5]) for error in outcome.errors}


async def test_parents_are_found_wherever_in_the_file_they_are(customers: Importer) -> None:
    data = firms(*far("shop,city", "near,beside", "beside", "city,country", "country", "late,shop"))
    rows = 6 + 5 * FAR
    outcome = await customers.run(FIRMS, data)
    assert (outcome.status, outcome.counts) == ("completed", (rows, rows, 0, 0, 0))
    linked = {"shop": "city", "city": "country", "near": "beside", "late": "shop"}
    assert await parents(customers) == {"beside": None, "country": None, **linked}
    before = await versions(customers)
    assert {version for _, version, _ in before} == {1}
    again = await customers.run(FIRMS, data)
    assert again.counts == (rows, 0, 0, rows, 0)
    assert await versions(customers) == before


async def test_a_row_with_an_unknown_parent_is_refused(customers: Importer) -> None:
    await customers.run(FIRMS, firms("known"))
    data = firms("lost,nowhere", "under,lost", "deep,under", "known,nowhere", "kept,known", "good")
    outcome = await customers.run(FIRMS, data)
    assert outcome.counts == (6, 2, 0, 0, 4)
    assert errors(outcome) == {
        ("1", "parent", "unknown_reference", "nowhere"),
        ("2", "parent", "unknown_reference", "lost"),
        ("3", "parent", "unknown_reference", "under"),
        ("4", "parent", "unknown_reference", "nowhere"),
    }
    assert await parents(customers) == {"known": None, "kept": "known", "good": None}


async def test_a_parent_whose_own_row_is_bad_is_unknown(customers: Importer) -> None:
    outcome = await customers.run(FIRMS, firms(*far("child,parent", "grown,child")) + b"parent,,\n")
    assert errors(outcome) == {
        (str(FAR + 3), "name", "required", ""),
        ("1", "parent", "unknown_reference", "parent"),
        (str(FAR + 2), "parent", "unknown_reference", "child"),
    }
    assert await parents(customers) == {}


async def test_abort_keeps_nothing_of_a_file_with_an_unknown_parent(customers: Importer) -> None:
    outcome = await customers.run(ABORT, firms(*far("good", "lost,nowhere")))
    assert (outcome.status, outcome.counts) == ("failed", (FAR + 2, 0, 0, 0, 1))
    assert errors(outcome) == {(str(FAR + 2), "parent", "unknown_reference", "nowhere")}
    assert await versions(customers) == []


async def test_parents_of_another_source_or_tenant_are_unknown(customers: Importer) -> None:
    await customers.run({**FIRMS, "key": {"source": "else", "column": "id"}}, firms("firm"))
    outcome = await customers.run(FIRMS, firms("child,firm"))
    assert errors(outcome) == {("1", "parent", "unknown_reference", "firm")}


async def test_no_account_becomes_its_own_ancestor(customers: Importer) -> None:
    outcome = await customers.run(FIRMS, firms("a,b", "b,c", "c,a", "below,a", "self,self", "good"))
    assert outcome.counts == (6, 1, 0, 0, 5)
    assert {error[2:4] for error in map(tuple, outcome.errors)} == {("parent", "circular")}
    assert await parents(customers) == {"good": None}


async def test_accounts_that_the_file_leaves_alone_close_no_circle(customers: Importer) -> None:
    await customers.run(FIRMS, firms("top", "middle,top", "bottom,middle", "aside"))
    outcome = await customers.run(FIRMS, firms("top,bottom", "aside,bottom"))
    assert outcome.counts == (2, 0, 0, 0, 2)
    assert {error[0]: error[3] for error in outcome.errors} == {"1": "circular", "2": "circular"}
    # A refused row leaves its account where it was: whoever relied on its move would close the circle.
    swapped = await customers.run(FIRMS, firms("top,middle", "middle,nowhere"))
    assert {error[0]: error[3] for error in swapped.errors} == {"1": "circular", "2": "unknown_reference"}
    turned = await customers.run(FIRMS, firms("top,middle", "middle,", "aside,bottom"))
    assert turned.counts == (3, 0, 3, 0, 0)
    assert await parents(customers) == {
        "top": "middle",
        "middle": None,
        "bottom": "middle",
        "aside": "bottom",
    }


async def test_another_parent_is_a_change_like_any(customers: Importer) -> None:
    await customers.run(FIRMS, firms("a", "b", "child,a", "same,a"))
    outcome = await customers.run(FIRMS, firms("child,b", "same,a"))
    assert outcome.counts == (2, 0, 1, 1, 0)
    accounts = {account["external_id"]: account for account in await customers.records("accounts")}
    assert accounts["child"]["parent_id"] == accounts["b"]["id"]
    assert {key: account["version"] for key, account in accounts.items()} == {
        "a": 1,
        "b": 1,
        "child": 2,
        "same": 1,
    }
    only_names = {**FIRMS, "columns": {"name": "name"}}
    assert (await customers.run(only_names, firms("child"))).counts == (1, 0, 0, 1, 0)
    assert (await customers.run(FIRMS, firms("child,"))).counts == (1, 0, 1, 0, 0)
    assert (await parents(customers))["child"] is None
