"""Prometheus' own tests of rules: series go in, the alerts that they fire come out."""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploy.observability.__main__ import FOLDER

RULES = FOLDER / "prometheus" / "rules"
Labels = Mapping[str, str]

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")


@dataclass(frozen=True, slots=True)
class Check:
    """What fires at a time (minutes from the first sample): the labels of each alert, but for its name."""

    minute: float
    firing: Sequence[Labels] = ()


def series_of(name: str, *labels: Labels) -> str:
    """A series as PromQL writes it."""
    inside = ",".join(f"{label}={json.dumps(value)}" for some in labels for label, value in some.items())
    return f"{name}{{{inside}}}"


def counter(*stretches: tuple[int, float]) -> str:
    """A counter's samples: for so many steps it grows by so much each; it begins at 0."""
    value = 0.0
    samples = ["0"]
    for steps, growth in stretches:
        samples.append(f"{value + growth:g}+{growth:g}x{steps - 1}")
        value += growth * steps
    return " ".join(samples)


def gauge(*stretches: tuple[int, float]) -> str:
    """A gauge's samples: for so many steps it has that value."""
    return " ".join(f"{value:g}+0x{steps - 1}" for steps, value in stretches)


def check_alerts(
    rules: Path,
    alert: str,
    series: Mapping[str, str],
    checks: Sequence[Check],
    *,
    step_minutes: int = 1,
    only: Labels | None = None,
    directory: Path,
) -> None:
    """Feed the series to the rule file and compare the alerts of that name, and those labels, that fire."""
    chosen = {"alertname": alert, "alertstate": "firing", **(only or {})}
    tests = [
        {
            "expr": series_of("ALERTS", chosen),
            "eval_time": f"{check.minute:g}m",
            "exp_samples": [
                {"labels": series_of("ALERTS", {**chosen, **labels}), "value": 1} for labels in check.firing
            ],
        }
        for check in checks
    ]
    _run(rules, series, step_minutes, {"promql_expr_test": tests}, directory)


def check_values(
    rules: Path,
    expression: str,
    series: Mapping[str, str],
    minute: float,
    expected: Mapping[str, float],
    *,
    directory: Path,
) -> None:
    """Feed the series to the rule file and compare what an expression gives, to 6 places: values by labels."""
    samples = [{"labels": labels, "value": value} for labels, value in expected.items()]
    test = {"expr": f"round({expression}, 1e-6)", "eval_time": f"{minute:g}m", "exp_samples": samples}
    _run(rules, series, 1, {"promql_expr_test": [test]}, directory)


def check_annotations(
    rules: Path,
    alert: str,
    series: Mapping[str, str],
    minute: float,
    expected: Mapping[str, Any],
    *,
    directory: Path,
) -> None:
    """Feed the series to the rule file and compare labels and annotations of the one alert that fires."""
    test = {"alertname": alert, "eval_time": f"{minute:g}m", "exp_alerts": [expected]}
    _run(rules, series, 1, {"alert_rule_test": [test]}, directory)


def _run(
    rules: Path, series: Mapping[str, str], step_minutes: int, tests: Mapping[str, Any], directory: Path
) -> None:
    document = {
        "rule_files": [str(rules)],
        "evaluation_interval": f"{step_minutes}m",
        "tests": [
            {
                "interval": f"{step_minutes}m",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                **tests,
            }
        ],
    }
    file = directory / "test.json"
    file.write_text(json.dumps(document))
    answer = subprocess.run(
        ["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False, timeout=120
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
