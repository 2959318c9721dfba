"""What becomes of a file: which rows are kept, which are refused and why, and what importing again does."""

from typing import Any

import pytest

from shared.imports import job as job_module
from tests.shared.imports.driving import PEOPLE, Importer, many_people, people

ABORT = {**PEOPLE, "on_error": "abort"}
BAD = people("1,Ada,ada@example.com", "2,Bob,nobody", '3,"Ci\nd",cid@example.com', "4,Dora,dora@@x")


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches as small as the reader's blocks allow."""
    monkeypatch.setattr(job_module, "MERGED_ROWS", 1)


async def names(importer: Importer) -> list[str]:
    return sorted(str(record["given_name"]) for record in await importer.records("contacts"))


async def test_skip_keeps_the_good_rows_and_names_the_bad(customers: Importer) -> None:
    outcome = await customers.run(PEOPLE, BAD)
    assert (outcome.status, outcome.counts) == ("completed", (4, 2, 0, 0, 2))
    assert [error[:4] + error[5:] for error in outcome.errors] == [
        ["2", "3", "email", "invalid_email", "nobody"],
        ["4", "6", "email", "invalid_email", "dora@@x"],
    ]
    assert all(error[4] for error in outcome.errors)
    assert await names(customers) == ["Ada", "Ci\nd"]


async def test_abort_keeps_nothing(customers: Importer) -> None:
    outcome = await customers.run(ABORT, BAD)
    assert (outcome.status, outcome.counts) == ("failed", (4, 0, 0, 0, 2))
    assert [error[0] for error in outcome.errors] == ["2", "4"]
    assert outcome.job["failure"].endswith(".")
    assert await names(customers) == []


async def test_abort_keeps_nothing_of_earlier_batches(customers: Importer) -> None:
    data = many_people(job_module.MERGED_ROWS + 5_000) + b"late,Zed,nobody\n"
    outcome = await customers.run(ABORT, data)
    assert (outcome.status, outcome.counts) == ("failed", (25_001, 0, 0, 0, 1))
    assert [error[:2] for error in outcome.errors] == [["25001", "25002"]]
    assert await names(customers) == []


async def test_abort_of_a_good_file_keeps_all_of_it(customers: Importer, small_batches: None) -> None:
    outcome = await customers.run(ABORT, many_people(20_000))
    assert (outcome.status, outcome.counts) == ("completed", (20_000, 20_000, 0, 0, 0))


async def test_a_missing_column_is_told_with_those_that_are_there(customers: Importer) -> None:
    outcome = await customers.run(PEOPLE, b"id,given\n1,Ada\n")
    assert outcome.status == "failed"
    assert "no column email" in outcome.job["failure"]
    assert "id, given" in outcome.job["failure"]


async def test_an_empty_file_fails_with_a_sentence(customers: Importer) -> None:
    outcome = await customers.run(PEOPLE, b"")
    assert outcome.status == "failed"
    assert "empty" in outcome.job["failure"]


async def test_a_file_of_a_header_only_has_no_rows(customers: Importer) -> None:
    outcome = await customers.run(PEOPLE, people())
    assert (outcome.status, outcome.counts) == ("completed", (0, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("tail", "code"),
    [('2,"Bob,bob@example.com\n', "unclosed_quote"), ("2,Bo", "truncated_record")],
)
async def test_what_ends_too_early_is_an_error_of_its_row(customers: Importer, tail: str, code: str) -> None:
    outcome = await customers.run(PEOPLE, people("1,Ada,ada@example.com") + tail.encode())
    assert (outcome.status, outcome.counts) == ("completed", (2, 1, 0, 0, 1))
    assert [(error[0], error[1], error[3]) for error in outcome.errors] == [("2", "3", code)]


async def test_bytes_that_are_not_of_the_encoding_are_errors_of_their_row(customers: Importer) -> None:
    latin = people("1,Ada,ada@example.com") + "2,Zoë,zoe@example.com\n".encode("latin-1")
    outcome = await customers.run({**PEOPLE, "encoding": "utf-8"}, latin)
    assert (outcome.status, outcome.counts) == ("completed", (2, 1, 0, 0, 1))
    assert [error[0] for error in outcome.errors] == ["2"]
    assert (await customers.run({**PEOPLE, "encoding": "latin-1"}, latin)).counts == (2, 1, 0, 1, 0)
    assert await names(customers) == ["Ada", "Zoë"]


async def test_of_rows_with_one_key_the_last_counts(customers: Importer) -> None:
    outcome = await customers.run(PEOPLE, people("1,Old,", "2,Other,", "1,New,"))
    assert outcome.counts == (3, 2, 0, 1, 0)
    assert await names(customers) == ["New", "Other"]


async def test_the_last_counts_across_batches(customers: Importer, small_batches: None) -> None:
    data = many_people(12_000) + many_people(12_000).replace(b"Given", b"Changed").removeprefix(people())
    outcome = await customers.run(PEOPLE, data)
    assert outcome.counts[0] == 24_000
    assert sum(outcome.counts[1:]) == 24_000
    assert outcome.counts[1] == 12_000
    (unchanged,) = await customers.fetch("SELECT count(*) FROM contacts WHERE given_name NOT LIKE 'Changed%'")
    assert unchanged[0] == 0


async def test_importing_again_changes_nothing(customers: Importer) -> None:
    data = many_people(300)
    await customers.run(PEOPLE, data)
    before = await customers.records("contacts")
    outcome = await customers.run(PEOPLE, data)
    assert outcome.counts == (300, 0, 0, 300, 0)
    assert await customers.records("contacts") == before


async def test_a_changed_row_changes_what_is_mapped_and_nothing_else(customers: Importer) -> None:
    await customers.run(PEOPLE, people("1,Ada,ada@example.com", "2,Bob,bob@example.com"))
    before = {record["external_id"]: record for record in await customers.records("contacts")}
    titled = await customers.client.patch(
        f"/v1/contacts/{before['1']['id']}",
        json={"title": "Countess"},
        headers={"content-type": "application/merge-patch+json", "if-match": '"1"'},
    )
    assert titled.status_code == 200, titled.text
    only_name = {**PEOPLE, "columns": {"given_name": "given"}}
    outcome = await customers.run(only_name, people("1,Augusta,", "2,Bob,"))
    assert outcome.counts == (2, 0, 1, 1, 0)
    after = {record["external_id"]: record for record in await customers.records("contacts")}
    assert after["2"] == before["2"]
    moved = {"given_name", "version", "updated_at"}
    kept = {name: value for name, value in titled.json().items() if name not in moved}
    assert {name: value for name, value in after["1"].items() if name not in moved} == kept
    assert (after["1"]["given_name"], after["1"]["version"]) == ("Augusta", 3)


async def test_the_error_file_runs_no_formula(customers: Importer) -> None:
    outcome = await customers.run(PEOPLE, people("1,Ada,=cmd|'/c calc'!A1", "2,Bob,@SUM(1)", "3,Cid,-2+3"))
    assert [error[5][:2] for error in outcome.errors] == ["'=", "'@", "'-"]


async def test_contacts_find_their_accounts(customers: Importer) -> None:
    firms = {"resource": "accounts", "key": {"source": "test", "column": "id"}, "columns": {"name": "name"}}
    await customers.run(firms, b"id,name\nacme,Acme\n")
    with_account: dict[str, Any] = {**PEOPLE, "columns": {**PEOPLE["columns"], "account": "firm"}}
    data = b"id,given,email,firm\n1,Ada,,acme\n2,Bob,,nobody\n3,Cid,,\n4,,,acme\n"
    outcome = await customers.run(with_account, data)
    assert outcome.counts == (4, 2, 0, 0, 2)
    assert {(error[0], error[2], error[3]) for error in outcome.errors} == {
        ("2", "firm", "unknown_reference"),
        ("4", "key", "nameless"),
    }
    (acme,) = await customers.records("accounts")
    assert {r["external_id"]: r["account_id"] for r in await customers.records("contacts")} == {
        "1": acme["id"],
        "3": None,
    }
