"""What the route takes and refuses: forms, mappings, keys, and whose job it is."""

import json
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark import ParameterSet

from tests.shared.imports.driving import ENDED, PEOPLE, Form, Importer, people
from tests.shared.imports.reading.factory import PUBLISHED

ONE = people("1,Ada,ada@example.com")


def changed(**members: Any) -> dict[str, Any]:
    return {**PEOPLE, **members}


@pytest.mark.parametrize(
    ("mapping", "pointer"),
    [
        (changed(columns={"nickname": "given"}), "/mapping/columns/nickname"),
        (changed(resource="deals"), "/mapping/resource"),
        (changed(resource="accounts", columns={"city": "given"}), "/mapping/columns"),
        (changed(on_error="explode"), "/mapping/on_error"),
        (changed(zone="Mars/Olympus"), "/mapping/zone"),
        (changed(encoding="klingon"), "/mapping/encoding"),
        (changed(surprise=1), "/mapping/surprise"),
        (changed(key={"source": "test"}), "/mapping/key/column"),
        ("{", "/mapping"),
        ("[]", "/mapping"),
    ],
)
async def test_a_mapping_that_fits_nothing_is_refused(idle: Importer, mapping: Any, pointer: str) -> None:
    response = await idle.post(mapping, ONE)
    assert response.status_code == 422, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert pointer in [error["pointer"] for error in response.json()["errors"]]
    assert await idle.records("customers/imports") == []


async def test_money_needs_its_currency(idle: Importer) -> None:
    columns = {"name": "given", "annual_revenue": "email"}
    response = await idle.post(changed(resource="accounts", columns=columns), ONE)
    pointers = [error["pointer"] for error in response.json()["errors"]]
    assert (response.status_code, pointers) == (422, ["/mapping/columns/annual_revenue/currency"])


async def test_a_form_without_its_parts_is_refused(idle: Importer) -> None:
    mapping: Form = [("mapping", (None, json.dumps(PEOPLE), "application/json"))]
    file: Form = [("file", ("x.csv", ONE, "text/csv"))]
    for parts, status in ((mapping, 400), (file, 422), (file + mapping, 422)):
        assert (await idle.client.post(idle.path, files=parts)).status_code == status
    assert (await idle.client.post(idle.path, files=mapping + file + mapping)).status_code == 400
    assert await idle.fetch("SELECT FROM imports") == await idle.fetch("SELECT FROM import_chunks") == []


async def test_what_is_no_form_is_refused(idle: Importer) -> None:
    response = await idle.client.post(idle.path, json=PEOPLE)
    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")


async def test_the_shorter_path_takes_uploads_too(customers: Importer) -> None:
    customers.path = "/v1/imports"
    assert (await customers.run(PEOPLE, ONE)).counts == (1, 1, 0, 0, 0)


async def test_a_repeated_upload_with_its_key_is_one_import(customers: Importer) -> None:
    key = {"Idempotency-Key": "upload-1"}
    first = await customers.post(PEOPLE, ONE, **key)
    again = await customers.post(PEOPLE, ONE, **key)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.headers["location"] == first.headers["location"]
    assert again.content == first.content
    outcome = await customers.ended(first.headers["location"])
    assert outcome.counts == (1, 1, 0, 0, 0)
    assert len(await customers.records("customers/imports")) == 1
    assert await customers.fetch("SELECT FROM import_chunks") == []


async def test_a_key_does_not_stand_for_another_file(idle: Importer) -> None:
    key = {"Idempotency-Key": "upload-2"}
    await idle.post(PEOPLE, ONE, **key)
    other = await idle.post(PEOPLE, ONE + b"2,Bob,\n", **key)
    assert other.status_code in (409, 422)
    assert len(await idle.records("customers/imports")) == 1


async def test_a_job_is_its_tenants_own(customers: Importer) -> None:
    location = await customers.queue(PEOPLE, people("1,Ada,nobody"))
    await customers.ended(location)
    for path in (location, f"{location}/errors"):
        assert (await customers.client.get(path)).status_code == 200
        assert (await customers.stranger.get(path)).status_code == 404
    assert (await customers.stranger.post(f"{location}/cancellations")).status_code == 404
    assert (await customers.stranger.get(customers.path)).json()["data"] == []


async def test_an_ended_job_cannot_be_cancelled(customers: Importer) -> None:
    location = await customers.queue(PEOPLE, ONE)
    await customers.ended(location)
    response = await customers.client.post(f"{location}/cancellations")
    assert (response.status_code, response.json()["code"]) == (409, "import_ended")


@pytest.mark.parametrize("name", ["nonsense", "01a1fd49-83ee-7553-8646-f6cbd299dd85"])
async def test_there_is_no_other_job(idle: Importer, name: str) -> None:
    assert (await idle.client.get(f"{idle.path}/{name}/errors")).status_code == 404
    assert (await idle.client.post(f"{idle.path}/{name}/cancellations")).status_code == 404


def torture() -> list[ParameterSet]:
    found = sorted((PUBLISHED / "torture" / "csv").rglob("*.csv"))
    absent = pytest.param(None, marks=pytest.mark.skip("the published data is not beside this checkout"))
    return [pytest.param(found, id="all")] if found else [absent]


@pytest.mark.parametrize("files", torture())
async def test_no_known_corner_case_breaks_an_import(customers: Importer, files: list[Path]) -> None:
    for file in files:
        data = file.read_bytes()
        header = data.decode("utf-8", "replace").split("\n", 1)[0].strip().split(",")
        columns = {
            name: {"from": [column]} for name, column in zip(("given_name", "title"), header, strict=False)
        }
        mapping = {
            "resource": "contacts",
            "key": {"source": file.stem, "column": header[0]},
            "columns": columns,
        }
        response = await customers.post(mapping, data)
        assert response.status_code in (202, 422), f"{file.name}: {response.text}"
        if response.status_code == 422:
            assert not header[0], f"{file.name}: {response.text}"  # without a name there is nothing to map
            continue
        outcome = await customers.ended(response.headers["location"])
        assert outcome.status in ENDED[:2], file.name
        assert (outcome.job["failure"] or "").endswith("." if outcome.status == "failed" else ""), file.name
        assert all(error[4] for error in outcome.errors), file.name
