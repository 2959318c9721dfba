"""Two replicas in processes of their own: what they count is what their callers count, to the request.

What is held here of the services holds of the gateway as well once its data path tells `GatewayMetrics` of every
request: `counting` needs only the address of its `/metrics`.
"""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from uuid import UUID

import httpx2
import pytest

from deploy.local.ports import free_port
from shared.database.tables import new_id
from shared.identity import IDENTITY_HEADER, Identity
from shared.identity.signer import IdentitySigner
from shared.testing.databases import Templates
from shared.testing.otlp import OtlpReceiver
from shared.testing.otlp_metrics import ReceivedMetric, decode_metrics
from shared.testing.services import Keys
from tests.shared.telemetry.metrics.counting import counted, load, scrape
from tests.shared.telemetry.metrics.recording import value
from tests.shared.telemetry.test_process import await_listening

ROOT = Path(__file__).parents[3]
REQUESTS, CALLERS = 1_500, 8
pytestmark = pytest.mark.process


@dataclass
class Replicas:
    """The processes, by their addresses, and who collects what they export."""

    urls: list[str]
    processes: list[subprocess.Popen[bytes]]
    token: str
    receiver: OtlpReceiver

    @property
    def pages(self) -> list[str]:
        return [f"{url}/metrics" for url in self.urls]

    def exported(self) -> list[dict[str, ReceivedMetric]]:
        """What each replica exported last, once they have ended."""
        last = {}
        for body in self.receiver.metrics:
            metrics = decode_metrics(body)
            last[metrics["crm.serving.time"].resource["service.instance.id"]] = metrics
        return list(last.values())


@contextmanager
def replica(
    folder: Path, number: int, environment: dict[str, str]
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    port, log = free_port(), folder / f"{number}.log"
    clean = {name: text for name, text in os.environ.items() if not name.startswith("OTEL_")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.sales"],
            cwd=ROOT,
            env={
                **clean,
                **environment,
                "PYTHONPATH": str(ROOT),
                "SALES_PORT": str(port),
                "SALES_INSTANCE": f"sales-{number}",
            },
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        await_listening(process, port, log)
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def replicas(templates: Templates, tmp_path: Path) -> Iterator[Replicas]:
    keys = Keys.make(tmp_path)
    identity = Identity(new_id(), "tester", frozenset({"*"}))
    with OtlpReceiver() as receiver, ExitStack() as stack:
        environment = {
            "SALES_DATABASE_URL": templates.clone("sales"),
            "SALES_IDENTITY_PUBLIC_KEY_FILE": str(keys.public_file),
            "SALES_CURSOR_KEY_FILE": str(keys.cursor_file),
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{receiver.endpoint}/v1/metrics",
            "OTEL_METRIC_EXPORT_INTERVAL": "500",
        }
        started = [stack.enter_context(replica(tmp_path, number, environment)) for number in (1, 2)]
        urls, processes = zip(*started, strict=True)
        token = IdentitySigner(keys.private_pem).sign(identity, "sales")
        yield Replicas(list(urls), list(processes), token, receiver)


@pytest.fixture
async def client(replicas: Replicas) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(
        headers={IDENTITY_HEADER: replicas.token}, trust_env=False, timeout=60
    ) as client:
        yield client


async def test_the_metrics_are_the_callers_own_counts(replicas: Replicas, client: httpx2.AsyncClient) -> None:
    paths = ("/v1/deals", f"/v1/deals/{UUID(int=7)}", "/v1/products?limit=3", "/nowhere", "/v1/deals?sort=x")

    async def ask(number: int) -> httpx2.Response:
        url = replicas.urls[number % 2] + paths[number % len(paths)]
        if number % 11 == 0:
            return await client.get(url, headers={IDENTITY_HEADER: "forged"})
        if number % 13 == 0:
            # Every other one has less time than a write takes: an error of ours.
            headers = {"X-Kontor-Timeout-Ms": "1"} if number % 26 else {}
            products = f"{replicas.urls[number % 2]}/v1/products"
            return await client.post(products, json={"name": "GTX Pro"}, headers=headers)
        return await client.get(url)

    for url in replicas.urls:
        assert (await client.get(f"{url}/readyz")).status_code == 200
    scraping = perf_counter()
    before, began = await scrape(client, replicas.pages), perf_counter()
    asked = await load(ask, REQUESTS, CALLERS)
    seconds = perf_counter() - began
    after, scraped = await scrape(client, replicas.pages), perf_counter()

    seen = counted(before, after, hop="sales")
    assert seen.statuses == asked.statuses
    assert seen.statuses.total() == REQUESTS
    assert seen.failed > 0
    assert len(seen.statuses) >= 6  # 200, 201, 400, 401, 404, 504: no easy run
    assert seen.throughput(seconds) == asked.throughput(seconds)
    assert (seen.error_rate, seen.availability) == (asked.error_rate, asked.availability)
    events = [value(samples, "crm_security_events_total", event="authentication_failed") for samples in after]
    assert sum(events) == asked.statuses["401"]

    for old, new in zip(before, after, strict=True):
        # Each by itself: half of the requests, served without a pause, and Little agrees.
        assert value(new, "http_server_request_duration_seconds_count") == REQUESTS / 2
        served = value(new, "crm_serving_time_seconds_total") - value(old, "crm_serving_time_seconds_total")
        assert seconds <= served <= scraped - scraping
        assert value(new, "crm_littles_law_ratio") == pytest.approx(1, rel=0.05)
        assert value(new, "http_server_active_requests") == 0

    for process in replicas.processes:
        process.send_signal(signal.SIGTERM)
    for process in replicas.processes:
        process.wait(timeout=30)
    exported = replicas.exported()
    assert [metrics["http.server.request.duration"].count for metrics in exported] == [REQUESTS / 2] * 2
    assert {
        point.attributes["hop"] for metrics in exported for point in metrics["crm.serving.time"].points
    } == {"sales"}
