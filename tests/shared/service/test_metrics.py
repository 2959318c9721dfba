"""`/metrics` of a service over a real database."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import httpx2
import pytest

from services.sales.app import SERVICE
from shared.database.tables import new_id
from shared.telemetry.metrics.exposition import OPEN_METRICS, PROMETHEUS_TEXT
from shared.testing.databases import Templates
from shared.testing.services import Keys, ServiceUnderTest, running
from tests.shared.telemetry.metrics.recording import Samples, complaints, samples_of, value

DURATION = "http_server_request_duration_seconds_count"
COMPONENT = "crm_response_component_duration_seconds"


@pytest.fixture
async def sales(templates: Templates, tmp_path: Path) -> AsyncIterator[ServiceUnderTest]:
    async with running(SERVICE, templates.clone("sales"), Keys.make(tmp_path)) as service:
        yield service


@pytest.fixture
async def client(sales: ServiceUnderTest) -> AsyncIterator[httpx2.AsyncClient]:
    async with sales.client() as client:
        yield client


async def scrape(client: httpx2.AsyncClient, kind: str = PROMETHEUS_TEXT) -> Samples:
    # As Prometheus does, without anybody's identity.
    answer = await client.get("/metrics", headers={"Accept": kind, "X-Kontor-Identity": ""})
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    return samples_of(answer.text, kind)


@pytest.mark.parametrize("kind", [PROMETHEUS_TEXT, OPEN_METRICS])
async def test_rates_errors_and_durations_by_route(client: httpx2.AsyncClient, kind: str) -> None:
    created = await client.post("/v1/products", json={"name": "GTX Pro"})
    assert created.status_code == 201, created.text
    product = created.json()["id"]
    for _ in range(3):
        assert (await client.get(f"/v1/products/{product}")).status_code == 200
    assert (await client.get(f"/v1/products/{UUID(int=7)}")).status_code == 404
    assert (await client.request("BREW", "/v1/products")).status_code == 405
    assert (await client.get("/nowhere/7")).status_code == 404
    samples = await scrape(client, kind)
    record = "/v1/products/{id}"
    assert value(samples, DURATION, http_route=record, http_response_status_code="200") == 3
    assert value(samples, DURATION, http_route=record, http_response_status_code="404") == 1
    assert value(samples, DURATION, http_request_method="_OTHER") == 1
    assert value(samples, DURATION, hop="sales") == 7
    for component in ("processing", "network", "system"):
        assert value(samples, f"{COMPONENT}_count", component=component, hop="sales", http_route=record) == 4
    # The three terms are the whole, also in the sums.
    assert value(samples, f"{COMPONENT}_sum") == pytest.approx(
        value(samples, "http_server_request_duration_seconds_sum"), abs=1e-8
    )
    assert value(samples, "http_server_active_requests", hop="sales") == 0
    assert value(samples, "crm_littles_law_ratio", hop="sales") == pytest.approx(1, rel=0.05)


async def test_health_checks_and_scrapes_are_no_requests_but_tell_whether_it_serves(
    client: httpx2.AsyncClient,
) -> None:
    assert value(await scrape(client), "crm_serving_time_seconds_total") == 0
    assert (await client.get("/readyz")).status_code == 200
    assert (await client.get("/livez")).status_code == 200
    first, second = await scrape(client), await scrape(client)
    assert (
        0
        < value(first, "crm_serving_time_seconds_total", hop="sales")
        < value(second, "crm_serving_time_seconds_total", hop="sales")
    )
    assert value(second, DURATION) == 0


async def test_security_events(sales: ServiceUnderTest, client: httpx2.AsyncClient) -> None:
    for _ in range(2):
        assert (await client.get("/v1/deals", headers={"X-Kontor-Identity": "forged"})).status_code == 401
    samples = await scrape(client)
    assert value(samples, "crm_security_events_total", event="authentication_failed", hop="sales") == 2
    assert value(samples, "crm_security_events_total") == 2


async def test_the_pools_of_connections(client: httpx2.AsyncClient) -> None:
    before = await scrape(client)
    assert value(before, "db_client_connection_wait_time_seconds_count") == 0
    assert (await client.get("/v1/deals")).status_code == 200
    assert (await client.get("/nowhere")).status_code == 404  # without the database
    samples = await scrape(client)
    count, most = "db_client_connection_count", "db_client_connection_max"
    assert value(samples, count, state="used") == 0
    assert value(samples, count, state="idle", db_client_connection_pool_name="reads") == 1
    assert value(samples, most, db_client_connection_pool_name="reads") == 8
    assert value(samples, most, db_client_connection_pool_name="writes") == 8
    assert value(samples, "db_client_connection_wait_time_seconds_count") == 1


async def test_promtool_accepts_the_page(client: httpx2.AsyncClient) -> None:
    await client.get("/v1/deals")
    page = (await client.get("/metrics")).content
    assert await asyncio.to_thread(complaints, page) == ""


async def test_two_replicas_count_by_themselves(
    templates: Templates, tmp_path: Path, client: httpx2.AsyncClient
) -> None:
    async with (
        running(SERVICE, templates.clone("sales"), Keys.make(tmp_path)) as other,
        other.client(new_id()) as asking,
    ):
        await asking.get("/v1/deals")
        assert value(await scrape(asking), DURATION) == 1
    assert value(await scrape(client), DURATION) == 0
