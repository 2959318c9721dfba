"""Grafana's dashboards from short descriptions: rows of panels that ask Prometheus, laid out from left to right.

Rates are over `$__rate_interval`, Grafana's own, which is never shorter than four scrapes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

DATASOURCE = {"type": "prometheus", "uid": "prometheus"}
"""As deploy/observability/grafana/provisioning names it."""

_COLUMNS = 24
Kind = Literal["timeseries", "stat", "table", "state-timeline"]


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression; `legend` may hold labels as `{{label}}`."""

    expr: str
    legend: str = ""
    exemplars: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture. `unit` is Grafana's name of it, `width` is in 24ths of the page, `height` in rows of some 30 px."""

    title: str
    description: str
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: Kind = "timeseries"
    stacked: bool = False
    width: int = 12
    height: int = 8


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice at the top of the page: the values that a label of a metric has, all of them unless told."""

    name: str
    metric: str
    label: str


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A page of Grafana. `uid` names it in addresses: `kontor-` and its file's name."""

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...] = ()


def read(path: Path) -> Dashboard:
    """The description in a YAML file.

    Raises TypeError or KeyError where it says too much or too little.
    """
    content = yaml.safe_load(path.read_text("utf-8"))
    rows = tuple(
        Row(row["title"], tuple(_described(panel) for panel in row["panels"])) for row in content.pop("rows")
    )
    variables = tuple(Variable(**variable) for variable in content.pop("variables"))
    return Dashboard(uid=f"kontor-{path.stem}", rows=rows, variables=variables, **content)


def _described(panel: Mapping[str, Any]) -> Panel:
    return Panel(**{**panel, "queries": tuple(Query(**query) for query in panel["queries"])})


def render(dashboard: Dashboard) -> dict[str, Any]:
    """The dashboard as Grafana reads it from a file."""
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": ["kontor"],
        "schemaVersion": 41,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "links": [
            {
                "type": "dashboards",
                "tags": ["kontor"],
                "title": "Kontor",
                "asDropdown": True,
                "keepTime": True,
            }
        ],
        "templating": {"list": [_variable(variable) for variable in dashboard.variables]},
        "panels": _laid_out(dashboard.rows),
    }


def _laid_out(rows: Sequence[Row]) -> list[dict[str, Any]]:
    placed: list[dict[str, Any]] = []
    top = 0
    for row in rows:
        placed.append(_heading(row.title, len(placed) + 1, top))
        top += 1
        left = height = 0
        for panel in row.panels:
            if left + panel.width > _COLUMNS:
                top, left, height = top + height, 0, 0
            at = {"x": left, "y": top, "w": panel.width, "h": panel.height}
            placed.append(_panel(panel, len(placed) + 1, at))
            left, height = left + panel.width, max(height, panel.height)
        top += height
    return placed


def _heading(title: str, number: int, top: int) -> dict[str, Any]:
    at = {"x": 0, "y": top, "w": _COLUMNS, "h": 1}
    return {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": at, "panels": []}


def _panel(panel: Panel, number: int, at: Mapping[str, int]) -> dict[str, Any]:
    custom: dict[str, Any] = {}
    if panel.kind == "timeseries":
        custom = {"fillOpacity": 30 if panel.stacked else 5, "showPoints": "never"}
        if panel.stacked:
            custom["stacking"] = {"mode": "normal", "group": "A"}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "gridPos": dict(at),
        "fieldConfig": {"defaults": {"unit": panel.unit, "custom": custom}, "overrides": []},
        "options": _options(panel),
        "targets": [
            _target(panel, query, chr(ord("A") + place)) for place, query in enumerate(panel.queries)
        ],
    }


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "timeseries":
        return {
            "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["mean", "max"]},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    if panel.kind == "stat":
        return {"reduceOptions": {"calcs": ["lastNotNull"]}, "graphMode": "area"}
    return {}


def _target(panel: Panel, query: Query, letter: str) -> dict[str, Any]:
    return {
        "refId": letter,
        "datasource": DATASOURCE,
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
        "exemplar": query.exemplars,
        "instant": panel.kind == "table",
        "range": panel.kind != "table",
        "format": "table" if panel.kind == "table" else "time_series",
    }


def _variable(variable: Variable) -> dict[str, Any]:
    return {
        "type": "query",
        "name": variable.name,
        "label": variable.name,
        "datasource": DATASOURCE,
        "query": {"query": f"label_values({variable.metric}, {variable.label})", "refId": variable.name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }
