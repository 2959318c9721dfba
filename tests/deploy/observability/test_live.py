"""A real Prometheus asks, a real Alertmanager tells: slow answers become a message, and good ones take it back."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread
from time import perf_counter_ns
from typing import Any

import pytest
import yaml

from deploy.local.ports import HOST, free_ports
from deploy.observability.__main__ import FOLDER, rule_file
from deploy.observability.burn_rules import burn_rules
from deploy.observability.objectives import OBJECTIVES, BurnRate
from shared.telemetry.metrics.exposition import content_type, expose
from shared.telemetry.metrics.requests import RequestMetrics

_PROMETHEUS = shutil.which("prometheus")
# Debian's name for it, and its own.
_ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
_PATIENCE_S = 60

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(
        _PROMETHEUS is None or _ALERTMANAGER is None, reason="Prometheus and Alertmanager are not installed"
    ),
]


class Suite(ThreadingHTTPServer):
    """Stands for a gateway whose every scrape finds a hundred requests more, and for those whom alerts reach."""

    def __init__(self) -> None:
        super().__init__((HOST, 0), _Handler)
        self.slow = True
        self._requests = RequestMetrics("gateway", error_type=lambda *_: "", security_event=lambda *_: None)
        self.told: Queue[dict[str, Any]] = Queue()

    @property
    def address(self) -> str:
        return f"{HOST}:{self.server_address[1]}"

    def metrics(self, accept: str) -> tuple[bytes, str]:
        """A hundred requests more, as the suite exposes them, and in which format."""
        processing, network, system = (
            (100_000_000, 10_000_000, 400_000_000) if self.slow else (900_000, 10_000, 0)
        )
        now = perf_counter_ns()
        for _ in range(100):
            self._requests.active.began(now - processing - network - system)
        one = (b"GET", "/v1/deals", 200, "", processing, network, system, now, 1, 1)
        self._requests.observe([one] * 100)
        kind = content_type(accept)
        return expose(self._requests.families(), kind), kind

    def wait_for(self, status: str) -> dict[str, Any]:
        """The next alert of that status, with the receiver's name. Raises queue.Empty when none comes."""
        while True:
            message = self.told.get(timeout=_PATIENCE_S)
            for alert in message["alerts"]:
                if alert["status"] == status:
                    return {**alert, "receiver": message["path"]}


class _Handler(BaseHTTPRequestHandler):
    server: Suite

    def do_GET(self) -> None:
        self._answer(*self.server.metrics(self.headers["Accept"]))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.told.put({"path": self.path, **body})
        self._answer(b"", "text/plain")

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def suite() -> Iterator[Suite]:
    with Suite() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@contextmanager
def _running(command: Sequence[str], directory: Path) -> Iterator[None]:
    log = directory / f"{Path(command[0]).name}.log"
    with (
        log.open("w") as output,
        subprocess.Popen(command, stdout=output, stderr=output, cwd=directory) as process,
    ):
        try:
            yield
            assert process.poll() is None, log.read_text()
        finally:
            process.terminate()


def _alertmanager_file(suite: Suite, directory: Path) -> Path:
    """The committed configuration, with receivers who hear, and without its patience."""
    content = yaml.safe_load((FOLDER / "alertmanager" / "alertmanager.yaml").read_text("utf-8"))
    for receiver in content["receivers"]:
        url = f"http://{suite.address}/{receiver['name']}"
        receiver["webhook_configs"] = [{"url": url, "send_resolved": True}]
    for route in (content["route"], *content["route"]["routes"]):
        route.update(group_wait="0s", group_interval="1s")
    file = directory / "alertmanager.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def _prometheus_file(suite: Suite, alertmanager: str, directory: Path) -> Path:
    """The rules of the suite, with windows of seconds."""
    rules = burn_rules(OBJECTIVES, [BurnRate(14.4, "12s", "6s", "page")])
    for group in rules["groups"]:
        group["interval"] = "1s"
    (directory / "rules.yaml").write_text(rule_file(rules))
    content = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": [{"job_name": "gateway", "static_configs": [{"targets": [suite.address]}]}],
    }
    file = directory / "prometheus.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def test_an_alert_reaches_somebody_and_is_taken_back(suite: Suite, tmp_path: Path) -> None:
    assert _PROMETHEUS
    assert _ALERTMANAGER
    prometheus, alertmanager = (f"{HOST}:{port}" for port in free_ports(2))
    tells = (
        _ALERTMANAGER,
        f"--config.file={_alertmanager_file(suite, tmp_path)}",
        f"--web.listen-address={alertmanager}",
        f"--storage.path={tmp_path / 'alertmanager'}",
        "--cluster.listen-address=",
    )
    asks = (
        _PROMETHEUS,
        f"--config.file={_prometheus_file(suite, alertmanager, tmp_path)}",
        f"--web.listen-address={prometheus}",
        f"--storage.tsdb.path={tmp_path / 'prometheus'}",
    )
    with _running(tells, tmp_path), _running(asks, tmp_path):
        fired = suite.wait_for("firing")
        assert fired["labels"] == {
            "alertname": "LatencyBudgetBurn",
            "burn_rate": "14.4",
            "dominant": "system",
            "http_route": "/v1/deals",
            "objective": "interactive",
            "severity": "page",
            "slo": "latency",
            "window": "12s",
        }
        assert fired["receiver"] == "/page"
        assert fired["annotations"]["runbook"] == "docs/runbooks/latency-budget-burn.md"
        suite.slow = False
        ended = suite.wait_for("resolved")
        assert ended["labels"] == fired["labels"]
