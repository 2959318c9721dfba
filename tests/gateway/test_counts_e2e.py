"""A real gateway with two workers counts what its callers count, to the request, and says where to look."""

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest

from shared.telemetry.metrics.exposition import OPEN_METRICS
from tests.gateway.operated import Operated, operated
from tests.shared.telemetry.metrics.counting import Figures, counted, load
from tests.shared.telemetry.metrics.recording import Samples, read, samples_of, value

pytestmark = pytest.mark.process

TWO: dict[str, Any] = {"workers": 2, "rate_limit": {"enabled": False}}
REQUESTS, CALLERS, NONSENSE = 1_500, 16, 5
ATTEMPTS, OUTCOMES = "crm_gateway_attempts_total", "crm_gateway_attempt_outcomes_total"


async def page(house: Operated) -> str:
    url = f"http://127.0.0.1:{house.gateway.admin_port}/metrics"
    return (await house.admin.get(url, headers={"Accept": OPEN_METRICS})).text


async def scrape(house: Operated) -> Samples:
    return samples_of(await page(house), OPEN_METRICS)


async def nonsense(house: Operated, asked: Figures) -> None:
    """Bytes that are no request get an answer as well."""
    reader, writer = await asyncio.open_connection("127.0.0.1", house.gateway.port)
    writer.write(b"NONSENSE\r\n\r\n")
    asked.statuses[(await reader.read()).split()[1].decode()] += 1
    writer.close()


async def test_the_metrics_are_the_callers_own_counts(tmp_path: Path) -> None:
    async with operated(tmp_path, TWO) as house, house.gateway.client() as client:
        await house.workers(2)

        async def ask(number: int) -> httpx2.Response:
            if number % 7 == 0:
                return await client.get("/x", headers={"Authorization": "Bearer nobody"})
            if number % 5 == 0:
                return await client.get("/status/503")
            if number % 3 == 0:
                return await client.get("/x/%2e%2e/y")
            # Some on connections of their own, so that both workers get some.
            return await client.get("/slow?s=0.005", headers={"Connection": "close"} if number % 4 else {})

        before = await scrape(house)
        asked = await load(ask, REQUESTS, CALLERS)
        for _ in range(NONSENSE):
            await nonsense(house, asked)
        after = await scrape(house)

        seen = counted([before], [after], hop="gateway")
        assert seen.statuses == asked.statuses
        assert (seen.error_rate, seen.availability) == (asked.error_rate, asked.availability)
        assert seen.failed > 0
        events = "crm_security_events_total"
        assert value(after, events, event="authentication_failed") == asked.statuses["401"]
        assert value(after, events, event="malformed_request") == asked.statuses["400"]
        assert value(after, "http_server_active_requests") == 0
        assert value(after, "crm_littles_law_ratio", hop="gateway") == pytest.approx(1, rel=0.05)
        # The three terms are the whole.
        component, whole = "crm_response_component_duration_seconds", "http_server_request_duration_seconds"
        assert value(after, f"{component}_count") == 3 * value(after, f"{whole}_count")
        assert value(after, f"{component}_sum") == pytest.approx(value(after, f"{whole}_sum"), abs=1e-6)
        # Every attempt that the ledger has booked was timed, whichever replica it went to and however it ended.
        timed = value(after, "http_client_request_duration_seconds_count")
        assert timed == value(after, OUTCOMES) == value(after, ATTEMPTS)
        assert value(after, "http_client_request_duration_seconds_count", error_type="hedge_loser") == value(
            after, OUTCOMES, outcome="hedge_loser"
        )


async def test_an_exemplar_leads_to_its_trace(tmp_path: Path) -> None:
    async with operated(tmp_path, TWO) as house, house.gateway.client() as client:
        for _ in range(4):
            assert (await client.get("/status/500")).status_code == 500
        exemplars = [
            sample.exemplar.labels
            for family in read(await page(house), OPEN_METRICS)
            if family.name == "http_server_request_duration_seconds"
            for sample in family.samples
            if sample.exemplar
        ]
        assert exemplars
        for labels in exemplars:
            trace = await house.admin.get(f"traces/{labels['trace_id']}")
            assert trace.status_code == 200
            assert labels["span_id"] in trace.text
