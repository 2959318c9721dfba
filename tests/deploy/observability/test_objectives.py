"""The objectives, and that what was written from them still follows from them."""

from dataclasses import replace

import pytest

from deploy.observability.__main__ import FOLDER, generated
from deploy.observability.burn_rules import burn_rules
from deploy.observability.objectives import BURN_RATES, OBJECTIVES

# The bounds that OpenTelemetry's HTTP conventions advise for `http.server.request.duration`.
_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)


def test_the_committed_files_are_what_is_generated() -> None:
    for path, text in generated().items():
        assert (FOLDER / path).read_text("utf-8") == text, f"{path}: run python -m deploy.observability"


def test_nothing_else_lies_among_the_generated_dashboards() -> None:
    committed = {path.name for path in (FOLDER / "grafana" / "dashboards").iterdir()}
    assert {f"grafana/dashboards/{name}" for name in committed} == set(generated()) - {
        "prometheus/rules/objectives.yaml"
    }


def test_latency_is_promised_at_a_bound_of_the_histogram() -> None:
    for objective in OBJECTIVES:
        assert objective.within_s in _BOUNDS
        # Of whole seconds some libraries write 1 and others 1.0, and a label is compared as text.
        assert objective.within_s != int(objective.within_s)


def test_every_route_has_one_objective() -> None:
    assert [objective.name for objective in OBJECTIVES if objective.routes is None] == ["interactive"]
    assert len({objective.name for objective in OBJECTIVES}) == len(OBJECTIVES)


def test_the_burn_rates_are_those_of_the_workbook() -> None:
    assert [(burn.factor, burn.long, burn.short) for burn in BURN_RATES] == [
        (14.4, "1h", "5m"),
        (6, "6h", "30m"),
        (3, "1d", "2h"),
        (1, "3d", "6h"),
    ]


@pytest.mark.parametrize("target", [0.93, 1.0, 0.0])
def test_an_objective_that_cannot_alarm_is_refused(target: float) -> None:
    with pytest.raises(ValueError, match="interactive"):
        burn_rules([replace(OBJECTIVES[0], share_within=target)], BURN_RATES)
