"""`/metrics` of a real gateway with two workers, of which one is killed and one drained, under load."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from shared.telemetry.metrics.exposition import OPEN_METRICS, PROMETHEUS_TEXT
from shared.testing.otlp import OtlpReceiver
from shared.testing.otlp_metrics import decode_metrics
from tests.gateway.operated import Load, Operated, operated
from tests.gateway.processes import ADMIN_KEY, document, eventually
from tests.shared.telemetry.metrics.recording import Samples, complaints, samples_of, value

pytestmark = pytest.mark.process

TWO: dict[str, Any] = {"workers": 2, "rate_limit": {"enabled": False}}
ATTEMPTS, OUTCOMES = "crm_gateway_attempts_total", "crm_gateway_attempt_outcomes_total"
SERVING = "crm_serving_time_seconds_total"


async def scrape(house: Operated, kind: str = PROMETHEUS_TEXT) -> Samples:
    """As Prometheus does it."""
    url = f"http://127.0.0.1:{house.gateway.admin_port}/metrics"
    answer = await house.admin.get(url, headers={"Accept": kind})
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    return samples_of(answer.text, kind)


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Operated]:
    async with operated(tmp_path_factory.mktemp("metrics"), TWO) as house:
        await house.workers(2)
        yield house


async def test_nothing_without_the_key(house: Operated) -> None:
    url = f"http://127.0.0.1:{house.gateway.admin_port}/metrics"
    for headers in ({}, {"Authorization": f"Bearer {house.gateway.keys[0]}"}):
        async with httpx2.AsyncClient(trust_env=False) as anyone:
            answer = await anyone.get(url, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "bad_admin_key")
    assert ADMIN_KEY not in (await house.admin.get(url)).text


@pytest.mark.parametrize("kind", [PROMETHEUS_TEXT, OPEN_METRICS])
async def test_what_all_workers_know(house: Operated, kind: str) -> None:
    samples = await scrape(house, kind)
    for replica in house.replicas:
        labels = {"server_address": "127.0.0.1", "server_port": str(replica.port)}
        assert value(samples, "crm_gateway_replica_up", crm_upstream_name="echo", **labels) == 1
        assert value(samples, "crm_gateway_replica_weight", **labels) == 1
        assert value(samples, "crm_gateway_replica_circuit_open", **labels) == 0
    assert value(samples, SERVING, hop="gateway") > 0
    assert ("crm_event_loop_lag_seconds", frozenset({("hop", "gateway")})) in samples
    assert value(samples, "crm_security_events_total") == 0


async def test_promtool_accepts_the_page(house: Operated) -> None:
    page = (await house.admin.get(f"http://127.0.0.1:{house.gateway.admin_port}/metrics")).content
    assert await asyncio.to_thread(complaints, page) == ""


async def test_counts_are_exact_also_of_a_worker_that_has_drained(house: Operated) -> None:
    load = Load(house.gateway)
    await load.answered(150)
    await load.stop()
    asked = load.statuses.total()
    assert value(await scrape(house), OUTCOMES, outcome="ok") == asked
    await leave_one(house)
    async with house.gateway.client() as client:
        assert (await client.get("/x")).status_code == 200
    samples = await scrape(house)
    assert value(samples, OUTCOMES, outcome="ok") == asked + 1
    assert value(samples, ATTEMPTS) == value(samples, OUTCOMES) == asked + 1


async def test_no_count_falls_whatever_becomes_of_the_workers(tmp_path: Path) -> None:
    """A killed worker keeps what it has told."""
    async with operated(tmp_path, TWO) as house:
        first, _ = await house.workers(2)
        load = Load(house.gateway, again=True)
        await load.answered(200)
        before = await scrape(house)
        assert value(before, OUTCOMES, outcome="ok") > 100

        os.kill(first, signal.SIGKILL)
        await house.workers(2)
        await load.answered(100)
        after = await scrape(house)
        assert value(after, OUTCOMES, outcome="ok") >= value(before, OUTCOMES, outcome="ok") + 50
        for series, count in before.items():
            # Two workers' figures were in it; a fall would be taken for a restart of both.
            if series[0] in (ATTEMPTS, OUTCOMES, SERVING):
                assert after[series] >= count, series

        await load.stop()


async def test_each_worker_exports_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with OtlpReceiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", f"{receiver.endpoint}/v1/metrics")
        monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "3600000")
        async with operated(tmp_path, TWO) as house:
            await house.workers(2)
            load = Load(house.gateway)
            await load.answered(50)
            await load.stop()
            assert await house.gateway.drain() == 0
        last = [decode_metrics(body) for body in receiver.metrics]
    instances = {metrics["crm.gateway.attempts"].resource["service.instance.id"] for metrics in last}
    assert len(last) == len(instances) == 2
    outcomes = [
        point.value
        for metrics in last
        for point in metrics["crm.gateway.attempt.outcomes"].points
        if point.attributes["outcome"] == "ok"
    ]
    assert sum(outcomes) == load.statuses.total()


async def leave_one(house: Operated) -> None:
    """One worker less: it drains, and tells what it has counted."""
    house.gateway.config_file.write_text(json.dumps(document(house.replicas) | TWO | {"workers": 1}))
    assert (await house.admin.post("reload")).json()["workers"] == 1
    await eventually(lambda: workers_are(house, 1))


async def workers_are(house: Operated, count: int) -> bool:
    return len(house.gateway.workers()) == count
