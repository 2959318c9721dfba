"""A real Prometheus asks, a real Alertmanager tells: slow answers become a message, and good ones take it back."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread
from time import monotonic, perf_counter_ns, sleep
from typing import Any

import httpx2
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


def _alertmanager_command(config: Path, address: str, directory: Path) -> tuple[str, ...]:
    assert _ALERTMANAGER
    return (
        _ALERTMANAGER,
        f"--config.file={config}",
        f"--web.listen-address={address}",
        f"--storage.path={directory / 'alertmanager'}",
        "--cluster.listen-address=",
    )


def _eventually(happens: Callable[[], bool]) -> None:
    give_up = monotonic() + _PATIENCE_S
    while not happens():
        assert monotonic() < give_up, "it did not happen"
        sleep(0.05)


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url).is_success
    except httpx2.TransportError:
        return False


def test_what_follows_from_another_alert_is_not_told(tmp_path: Path) -> None:
    address = f"{HOST}:{free_ports(1)[0]}"
    told = {"severity": "page", "burn_rate": "14.4", "http_route": "/v1/deals"}
    follows = {"severity": "ticket", "burn_rate": "1", "http_route": "/v1/deals"}
    alerts = [
        {"alertname": "LatencyBudgetBurn", **told},
        {"alertname": "LatencyBudgetBurn", **follows},
        {"alertname": "LatencyBudgetBurn", **follows, "http_route": "/v1/tickets"},
        {"alertname": "AvailabilityBudgetBurn", **follows},
        {"alertname": "UpstreamDown", "severity": "page", "crm_upstream_name": "sales"},
        {"alertname": "ReplicaDown", "severity": "ticket", "crm_upstream_name": "sales"},
        {"alertname": "CircuitOpen", "severity": "ticket", "crm_upstream_name": "tickets"},
    ]
    command = _alertmanager_command(FOLDER / "alertmanager" / "alertmanager.yaml", address, tmp_path)
    with _running(command, tmp_path):
        api = f"http://{address}/api/v2"
        _eventually(lambda: _answers(f"{api}/status"))
        httpx2.post(f"{api}/alerts", json=[{"labels": labels} for labels in alerts]).raise_for_status()

        def suppressed() -> list[str]:
            found = httpx2.get(f"{api}/alerts", params={"active": "false"}).json()
            return sorted(json.dumps(alert["labels"], sort_keys=True) for alert in found)

        expected = sorted(json.dumps(labels, sort_keys=True) for labels in (alerts[1], alerts[5]))
        # It learns of alerts one after the other.
        _eventually(lambda: suppressed() == expected)
        assert len(httpx2.get(f"{api}/alerts").json()) == len(alerts)


def test_an_alert_reaches_somebody_and_is_taken_back(suite: Suite, tmp_path: Path) -> None:
    assert _PROMETHEUS
    prometheus, alertmanager = (f"{HOST}:{port}" for port in free_ports(2))
    tells = _alertmanager_command(_alertmanager_file(suite, tmp_path), alertmanager, tmp_path)
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
