"""The configuration of Prometheus, Alertmanager and the collector, by their own checks where those are installed."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from deploy.observability.__main__ import FOLDER
from tests.deploy.observability.promtool import RULES, needs_promtool

_ALERTMANAGER = FOLDER / "alertmanager" / "alertmanager.yaml"
_PROMETHEUS = FOLDER / "prometheus" / "prometheus.yaml"
needs_amtool = pytest.mark.skipif(shutil.which("amtool") is None, reason="amtool is not installed")


def _output(*command: str) -> str:
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


@needs_promtool
def test_prometheus_accepts_its_configuration() -> None:
    # Only the form: the key of the gateway's admin API is not made yet.
    _output("promtool", "check", "config", "--syntax-only", str(_PROMETHEUS))


@needs_promtool
@pytest.mark.parametrize("path", sorted(RULES.glob("*.yaml")), ids=lambda path: path.stem)
def test_prometheus_accepts_the_rules(path: Path) -> None:
    _output("promtool", "check", "rules", "--lint=all", "--lint-fatal", str(path))


def test_prometheus_reads_all_rules() -> None:
    patterns = yaml.safe_load(_PROMETHEUS.read_text("utf-8"))["rule_files"]
    found = {path for pattern in patterns for path in _PROMETHEUS.parent.glob(pattern)}
    assert found == {path for path in RULES.iterdir() if path.is_file()}


@needs_amtool
def test_alertmanager_accepts_its_configuration() -> None:
    assert "2 receivers" in _output("amtool", "check-config", str(_ALERTMANAGER))


@needs_amtool
@pytest.mark.parametrize("severity", ["page", "ticket"])
def test_severity_decides_whom_an_alert_reaches(severity: str) -> None:
    options = (f"--config.file={_ALERTMANAGER}", f"--verify.receivers={severity}")
    _output("amtool", "config", "routes", "test", *options, f"severity={severity}", "alertname=Any")


def test_alerts_have_a_severity_that_is_routed() -> None:
    receivers = {
        receiver["name"] for receiver in yaml.safe_load(_ALERTMANAGER.read_text("utf-8"))["receivers"]
    }
    for path in RULES.glob("*.yaml"):
        for group in yaml.safe_load(path.read_text("utf-8"))["groups"]:
            for rule in group["rules"]:
                assert "record" in rule or rule["labels"]["severity"] in receivers


def test_the_collectors_pipeline_is_whole() -> None:
    content = yaml.safe_load((FOLDER / "collector" / "collector.yaml").read_text("utf-8"))
    (pipeline,) = content["service"]["pipelines"].values()
    for kind in ("receivers", "processors", "exporters"):
        assert list(content[kind]) == pipeline[kind]
