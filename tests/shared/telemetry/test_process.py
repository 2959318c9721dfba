"""A real uvicorn process, a real exporter and a real collector."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from deploy.local.ports import free_port
from shared.testing.otlp import OtlpReceiver

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.process


@contextmanager
def traced_app(log: Path, **environment: str) -> Iterator[tuple[subprocess.Popen[bytes], httpx2.Client]]:
    port = free_port()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.shared.telemetry.traced_app", str(port)],
            cwd=ROOT,
            env={**clean, "PYTHONPATH": str(ROOT), **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            await_listening(process, port, log)
            yield process, client
    finally:
        process.kill()
        process.wait()


def await_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    while process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError(log.read_text())


def terminate(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=20)


def records(log: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_no_span_is_lost_on_sigterm(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with OtlpReceiver() as receiver:
        # No batch is due before the process ends: what arrives was flushed.
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
            "OTEL_BSP_SCHEDULE_DELAY": "600000",
        }
        with traced_app(log, **environment) as (process, client):
            for number in range(100):
                assert client.get(f"/things/{number}").status_code == 200
            assert receiver.spans == []
            terminate(process)
        spans = receiver.wait_for(lambda spans: len(spans) >= 100)
    assert len(spans) == 100
    assert len({span.trace_id for span in spans}) == 100
    assert {(span.name, span.kind) for span in spans} == {("GET /things/{thing_id}", "SERVER")}
    resource = spans[0].resource
    assert resource["service.name"] == "things"
    assert resource["service.version"] == "1.2.3"
    assert resource["service.instance.id"] == "things-1"
    assert resource["host.id"]
    logged = {record["trace_id"] for record in records(log) if record["logger"] == "kontor.access"}
    assert logged == {span.trace_id for span in spans}


@pytest.mark.parametrize("collector", ["down", "failing", "silent"])
def test_a_broken_collector_costs_no_request_and_few_lines(collector: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with OtlpReceiver() as receiver, socket.create_server(("127.0.0.1", 0)) as silent:
        receiver.answer = 503
        endpoint = {
            "down": f"http://127.0.0.1:{free_port()}",
            "failing": receiver.endpoint,
            "silent": f"http://127.0.0.1:{silent.getsockname()[1]}",  # accepts and never answers
        }[collector]
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "20",
            "OTEL_BSP_MAX_QUEUE_SIZE": "50",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "10",
        }
        with traced_app(log, **environment) as (process, client):
            statuses = [client.get(f"/things/{number}").status_code for number in range(300)]
            terminate(process)
    assert statuses == [200] * 300
    complaints = [record for record in records(log) if str(record["logger"]).startswith("opentelemetry")]
    assert len(complaints) <= 1


def test_without_an_endpoint_the_sdk_is_never_loaded(tmp_path: Path) -> None:
    with traced_app(tmp_path / "log") as (process, client):
        assert client.get("/modules").json() == []
        terminate(process)
