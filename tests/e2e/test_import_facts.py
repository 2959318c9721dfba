"""The command line imports what others have published, and the gateway then tells the facts that they state.

One suite and one order: deals refer to accounts, products and reps, which come before them.
"""

import csv
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx2
import pytest

from deploy.local.programs import PROJECT
from tests.deploy.suite_process import SuiteProcess

DATA = PROJECT.parent / "shared" / "data"
FILES = {
    "maven-accounts": "crm/maven_accounts.csv",
    "maven-products": "crm/maven_products.csv",
    "maven-reps": "crm/maven_sales_teams.csv",
    "maven-deals": "crm/maven_sales_pipeline_engaged_to_2017-06-30.csv",
    "servicenow-incidents": "incidents/incident_event_log_20pct.csv",
    "nyc311": "nyc311/nyc311_january.csv",
}
pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not DATA.is_dir(), reason="the published data is not beside this checkout"),
]


class Api:
    """The gateway with the demo key, as a partner sees it."""

    def __init__(self, suite: SuiteProcess) -> None:
        self.url = f"http://127.0.0.1:{suite.port}"
        self.key = str(json.loads((suite.data / "secrets" / "demo.json").read_text())["api_key"])
        headers = {"Authorization": f"Bearer {self.key}"}
        self.client = httpx2.Client(base_url=self.url, headers=headers, timeout=30)

    def page(self, path: str, **query: str) -> dict[str, Any]:
        """One page."""
        response = self.client.get(f"/v1/{path}", params=query)
        assert response.status_code == 200, response.text
        return dict(response.json())

    def count(self, resource: str, **filters: str) -> int:
        """An exact count, by `field="value"`."""
        query = {f"filter[{name}]": value for name, value in filters.items()}
        return int(self.page(resource, **query, count="exact", limit="1")["total"])

    def walk(self, resource: str, **query: str) -> Iterator[dict[str, Any]]:
        """Every record, page by page."""
        cursor: dict[str, str] = {}
        while True:
            page = self.page(resource, limit="200", **query, **cursor)
            yield from page["data"]
            if page["next_cursor"] is None:
                return
            cursor = {"cursor": page["next_cursor"]}

    def one(self, resource: str, **filters: str) -> dict[str, Any]:
        """The only record that the filters leave."""
        (record,) = self.walk(resource, **{f"filter[{name}]": value for name, value in filters.items()})
        return record


def run_import(api: Api, mapping: str) -> dict[str, int]:
    """`kontor import` as an operator types it; what it says it did."""
    done = subprocess.run(
        [sys.executable, "-m", "cli", "import", str(DATA / FILES[mapping]), "-m", mapping],
        cwd=PROJECT,
        env={**os.environ, "KONTOR_URL": api.url, "KONTOR_API_KEY": api.key, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    counts = re.findall(r"([\d,]+) (rows read|created|updated|unchanged|refused)", done.stderr)
    return {name: int(number.replace(",", "")) for number, name in counts}


@pytest.fixture(scope="module")
def first(suite: SuiteProcess) -> dict[str, dict[str, int]]:
    """What the first import of each file did."""
    api = Api(suite)
    return {mapping: run_import(api, mapping) for mapping in FILES}


@pytest.fixture(scope="module")
def api(suite: SuiteProcess, first: dict[str, dict[str, int]]) -> Iterator[Api]:
    """The suite with everything imported once."""
    with (api := Api(suite)).client:
        yield api


@pytest.mark.parametrize(
    ("mapping", "read", "created"),
    [
        ("maven-accounts", 85, 85),
        ("maven-products", 7, 7),
        ("maven-reps", 35, 35),
        ("maven-deals", 4_365, 4_365),
        ("servicenow-incidents", 28_324, 4_963),
        ("nyc311", 2_038, 2_038),
    ],
)
def test_every_row_is_taken(first: dict[str, dict[str, int]], mapping: str, read: int, created: int) -> None:
    counts = {"rows read": read, "created": created, "updated": 0, "unchanged": read - created, "refused": 0}
    assert first[mapping] == counts


def test_the_resellers_accounts_products_and_reps(api: Api) -> None:
    sizes = {
        name: api.count(name, source="maven") for name in ("accounts", "products", "sales-reps", "deals")
    }
    assert sizes == {"accounts": 85, "products": 7, "sales-reps": 35, "deals": 4_365}
    accounts = list(api.walk("accounts", **{"filter[source]": "maven"}))
    assert "technolgy" not in {account["sector"] for account in accounts}
    ids = {account["id"] for account in accounts}
    children = [account for account in accounts if account["parent_id"] is not None]
    assert children
    assert all(account["parent_id"] in ids for account in children)


def test_the_resellers_deals(api: Api) -> None:
    won = [deal["amount"] for deal in api.walk("deals", fields="amount", **{"filter[status]": "won"})]
    assert {amount["currency"] for amount in won} == {"USD"}
    assert (len(won), sum(Decimal(amount["amount"]) for amount in won)) == (2_394, 5_662_233)
    summary = api.page("deals/summary", **{"filter[source]": "maven"})
    assert (summary["count"], summary["won_count"]) == (4_365, 2_394)
    assert summary["won_amounts"] == [{"amount": "5662233.00", "currency": "USD"}]


def test_deals_refer_to_what_was_imported_before(api: Api) -> None:
    accounts = {record["id"] for record in api.walk("accounts", **{"filter[source]": "maven"})}
    products = {
        record["id"]: record["name"] for record in api.walk("products", **{"filter[source]": "maven"})
    }
    deals = list(
        api.walk("deals", fields="id,status,account_id,product_id,rep_id", **{"filter[source]": "maven"})
    )
    assert all(deal["product_id"] in products and deal["rep_id"] for deal in deals)
    assert "GTX Pro" in {products[deal["product_id"]] for deal in deals}
    without = [deal for deal in deals if deal["account_id"] is None]
    assert {deal["status"] for deal in without} == {"open"}
    assert {deal["account_id"] for deal in deals} <= accounts | {None}


def test_the_service_desk(api: Api) -> None:
    assert api.count("tickets", source="servicenow") == 4_963
    assert api.count("tickets", source="servicenow", made_sla="true") == 3_153
    with (DATA / FILES["servicenow-incidents"]).open(encoding="utf-8-sig", newline="") as file:
        rows = Counter(row[0] for row in csv.reader(file))
    del rows["number"]
    assert (len(rows), rows.total()) == (4_963, 28_324)
    ids = {
        ticket["external_id"]: ticket["id"]
        for ticket in api.walk("tickets", fields="id,external_id", **{"filter[source]": "servicenow"})
    }
    assert ids.keys() == rows.keys()
    # Each ticket's history is a request of its own: the longest few, and some of all the others.
    for number in {*sorted(rows)[::60], *(number for number, _ in rows.most_common(5))}:
        events = list(api.walk(f"tickets/{ids[number]}/events"))
        assert {event["sequence"] for event in events} == set(range(1, rows[number] + 1)), number


def test_a_number_that_the_log_repeats_is_two_events(api: Api) -> None:
    ticket = api.one("tickets", source="servicenow", external_id="0000134")
    steps = [event["source_sequence"] for event in api.walk(f"tickets/{ticket['id']}/events")]
    assert steps.count(2) == 2


def test_a_state_that_nobody_documents_is_kept(api: Api) -> None:
    tickets = api.walk("tickets", fields="status,attributes", **{"filter[source]": "servicenow"})
    states = {(ticket["status"], ticket["attributes"]["source_status"]) for ticket in tickets}
    assert ("closed", "Closed") in states
    assert {status for status, state in states if state == "-100"} <= {"open"}


def test_the_citys_service_requests(api: Api) -> None:
    assert api.count("tickets", source="nyc311") == 2_038
    requests = list(api.walk("tickets", **{"filter[source]": "nyc311"}))
    assert all(request["queue"] for request in requests)
    assert {request["opened_at"][:7] for request in requests} <= {"2024-12", "2025-01", "2025-02"}
    assert all(request["closed_at"] >= request["opened_at"] for request in requests if request["closed_at"])


def test_importing_again_changes_nothing(api: Api, first: dict[str, dict[str, int]]) -> None:
    resources = ("accounts", "products", "sales-reps", "deals", "tickets")
    newest = {name: api.page(name, sort="-updated_at", limit="50")["data"] for name in resources}
    for mapping in FILES:
        read = first[mapping]["rows read"]
        again = {"rows read": read, "created": 0, "updated": 0, "unchanged": read, "refused": 0}
        assert run_import(api, mapping) == again, mapping
    assert {name: api.page(name, sort="-updated_at", limit="50")["data"] for name in resources} == newest
    assert api.count("tickets") == 4_963 + 2_038
