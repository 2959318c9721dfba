"""The dashboards: Grafana can read them, Prometheus can read what they ask, and what they ask for exists."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.observability.__main__ import FOLDER
from deploy.observability.panels import Dashboard, Panel, Query, Row, Variable, read, render
from tests.deploy.observability.metrics import HISTOGRAMS, LABELS, METRICS, OF_PROMETHEUS
from tests.deploy.observability.promql import family, metrics_in, selectors_in
from tests.deploy.observability.promtool import RULES, needs_promtool

DASHBOARDS = sorted((FOLDER / "grafana" / "dashboards").glob("*.json"))
each_dashboard = pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
_PROVISIONING = FOLDER / "grafana" / "provisioning"


def _panels(path: Path) -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["panels"]
    return panels


def _expressions(path: Path) -> Iterator[str]:
    for panel in _panels(path):
        for target in panel.get("targets", ()):
            yield target["expr"]


def _rules() -> Iterator[dict[str, Any]]:
    for path in RULES.glob("*.yaml"):
        for group in yaml.safe_load(path.read_text("utf-8"))["groups"]:
            yield from group["rules"]


def _recorded() -> set[str]:
    return {rule["record"] for rule in _rules() if "record" in rule}


def test_what_the_suite_is_asked_for_is_all_there() -> None:
    assert {path.stem for path in DASHBOARDS} == {
        "overview",
        "response-time",
        "gateway",
        "saturation",
        "security",
        "capacity",
    }


@each_dashboard
def test_it_is_a_dashboard(path: Path) -> None:
    content = json.loads(path.read_text("utf-8"))
    assert content["uid"] == f"kontor-{path.stem}"
    assert content["title"].startswith("Kontor: ")
    numbers = [panel["id"] for panel in content["panels"]]
    assert len(set(numbers)) == len(numbers)
    for panel in content["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        assert panel["type"] == "row" or (panel["title"] and panel["description"] and panel["targets"])


@each_dashboard
def test_no_panel_covers_another(path: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in _panels(path):
        at = panel["gridPos"]
        cells = {(at["x"] + right, at["y"] + down) for right in range(at["w"]) for down in range(at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


@each_dashboard
def test_it_names_only_metrics_that_exist(path: Path) -> None:
    known = METRICS | OF_PROMETHEUS | _recorded()
    content = json.loads(path.read_text("utf-8"))
    choices = [variable["query"]["query"] for variable in content["templating"]["list"]]
    matches = [re.fullmatch(r"label_values\((.+), \w+\)", choice) for choice in choices]
    assert all(matches)
    asked = [match[1] for match in matches if match]
    for expression in (*_expressions(path), *asked):
        names = metrics_in(expression)
        assert names, expression
        assert {family(name, HISTOGRAMS) for name in names} <= known, expression


@each_dashboard
def test_it_offers_every_choice_that_it_uses(path: Path) -> None:
    text = path.read_text("utf-8")
    offered = {variable["name"] for variable in json.loads(text)["templating"]["list"]}
    used = {name for expression in _expressions(path) for name in re.findall(r"\$(\w+)", expression)}
    assert used - {"__rate_interval"} == offered


@needs_promtool
def test_every_expression_is_promql(tmp_path: Path) -> None:
    expressions = [expression for path in DASHBOARDS for expression in _expressions(path)]
    rules = [
        {"record": f"expression:{number}", "expr": expression.replace("$__rate_interval", "5m")}
        for number, expression in enumerate(expressions)
    ]
    file = tmp_path / "rules.json"
    file.write_text(json.dumps({"groups": [{"name": "dashboards", "rules": rules}]}))
    answer = subprocess.run(
        ["promtool", "check", "rules", str(file)], capture_output=True, text=True, check=False, timeout=60
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert f"{len(expressions)} rules found" in answer.stdout


def test_rules_name_only_metrics_that_exist() -> None:
    known = METRICS | OF_PROMETHEUS | _recorded()
    for rule in _rules():
        names = {family(name, HISTOGRAMS) for name in metrics_in(rule["expr"])}
        assert names <= known, rule


def test_series_are_chosen_by_labels_that_they_have() -> None:
    expressions = [expression for path in DASHBOARDS for expression in _expressions(path)]
    expressions += [rule["expr"] for rule in _rules()]
    asked = [(family(name, HISTOGRAMS), labels) for one in expressions for name, labels in selectors_in(one)]
    assert len(asked) > 100
    for name, labels in asked:
        assert name not in LABELS or labels <= LABELS[name] | {"le"}, name


def test_every_metric_is_shown_or_alarms() -> None:
    expressions = [expression for path in DASHBOARDS for expression in _expressions(path)]
    expressions += [rule["expr"] for rule in _rules()]
    named = {family(name, HISTOGRAMS) for expression in expressions for name in metrics_in(expression)}
    assert named >= METRICS


def test_names_are_found_in_an_expression() -> None:
    expression = (
        'sum by (le, hop) (rate(a_total{job="b",x=~"c|d"}[5m])) / on (hop) group_left () e:f:rate5m > bool 0 '
        "or topk by (hop) (1, g_seconds) unless vector(1)"
    )
    assert metrics_in(expression) == {"a_total", "e:f:rate5m", "g_seconds"}
    assert list(selectors_in(expression)) == [("a_total", {"job", "x"})]


def test_the_sources_are_those_that_are_provisioned() -> None:
    provided = yaml.safe_load((_PROVISIONING / "datasources" / "kontor.yaml").read_text("utf-8"))[
        "datasources"
    ]
    assert {source["uid"] for source in provided} == {"prometheus", "alertmanager"}
    for path in DASHBOARDS:
        asked = {panel["datasource"]["uid"] for panel in _panels(path) if "datasource" in panel}
        assert asked == {"prometheus"}


def test_panels_are_laid_out_in_rows() -> None:
    def panel(width: int) -> Panel:
        return Panel("A panel", "Shows something.", (Query("up"),), width=width)

    rows = (Row("First", (panel(12), panel(12), panel(12))), Row("Second", (panel(24),)))
    content = render(Dashboard("a", "A", "Of a test.", rows, (Variable("job", "up", "job"),)))
    places = [(one["gridPos"]["x"], one["gridPos"]["y"]) for one in content["panels"]]
    assert places == [(0, 0), (0, 1), (12, 1), (0, 9), (0, 17), (0, 18)]


def test_a_description_that_says_too_much_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("{title: A, description: B, colour: red, variables: [], rows: []}")
    with pytest.raises(TypeError, match="colour"):
        read(file)
