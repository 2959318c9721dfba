"""The alerts on error budgets: when they fire, when they do not, when they end, and which term they name."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from deploy.observability.__main__ import rule_file
from deploy.observability.burn_rules import burn_rules
from deploy.observability.objectives import BURN_RATES, OBJECTIVES, BurnRate
from tests.deploy.observability.promtool import (
    RULES,
    Check,
    check_alerts,
    check_annotations,
    check_values,
    counter,
    needs_promtool,
    series_of,
)

pytestmark = needs_promtool

_RULES = RULES / "objectives.yaml"
_ROUTE = "/v1/deals"
_PER_MINUTE = 6000
_MINUTES = {"m": 1, "h": 60, "d": 24 * 60}
_STEPS = {"1h": 1, "6h": 6, "1d": 24, "3d": 60}
"""Minutes between the samples: the fewer the faster, but some must be within each short window."""


def _minutes(duration: str) -> int:
    match = re.fullmatch(r"(\d+)([mhd])", duration)
    assert match
    return int(match[1]) * _MINUTES[match[2]]


def _requests(route: str = _ROUTE, **labels: str) -> str:
    return _series("count", hop="gateway", http_route=route, **labels)


def _within(route: str = _ROUTE, le: str = "0.25") -> str:
    return _series("bucket", hop="gateway", http_route=route, http_response_status_code="200", le=le)


def _series(kind: str, **labels: str) -> str:
    return series_of(f"http_server_request_duration_seconds_{kind}", labels)


def _terms(**per_step: float) -> dict[str, str]:
    """Seconds that requests spend in each term, per step."""
    return {
        series_of(
            "crm_response_component_duration_seconds_sum",
            {"hop": "gateway", "http_route": _ROUTE, "component": name},
        ): counter((3000, growth))
        for name, growth in per_step.items()
    }


def _story(burn: BurnRate, well: float, ill: float) -> str:
    """A counter that grows by that share of all requests: well for `long`, ill for half of it, then well again."""
    step = _STEPS[burn.long]
    long = _minutes(burn.long) // step
    every = _PER_MINUTE * step
    return counter((long, every * well), (long // 2, every * ill), (long, every * well))


def _rules_of(burn: BurnRate, directory: Path) -> Path:
    """The committed rules, but of one burn rate only: the others would be evaluated as well, at length."""
    file = directory / "rules.yaml"
    file.write_text(rule_file(burn_rules(OBJECTIVES, [burn])))
    return file


def _checks(burn: BurnRate, labels: dict[str, str]) -> Sequence[Check]:
    """Four times the alarming share: a quarter of `long` until it fires, `short` and a bit until it ends."""
    long, short = _minutes(burn.long), _minutes(burn.short)
    firing = {
        "http_route": _ROUTE,
        "objective": "interactive",
        "severity": burn.severity,
        "window": burn.long,
        **labels,
    }
    step = _STEPS[burn.long]

    def at(minute: float) -> float:
        return round(minute / step) * step

    return (
        Check(at(long)),
        Check(at(1.2 * long)),
        Check(at(1.4 * long), (firing,)),
        Check(at(1.5 * long), (firing,)),
        Check(at(1.5 * long + 1.1 * short + step)),
    )


@pytest.mark.parametrize("burn", BURN_RATES, ids=lambda burn: burn.long)
def test_failures_burn_the_budget_of_availability(burn: BurnRate, tmp_path: Path) -> None:
    failed_share = 4 * burn.factor * 0.001
    check_alerts(
        _rules_of(burn, tmp_path),
        "AvailabilityBudgetBurn",
        {
            _requests(http_response_status_code="200"): _story(burn, 1, 1 - failed_share),
            _requests(http_response_status_code="503", error_type="unavailable"): _story(
                burn, 0, failed_share
            ),
        },
        _checks(burn, {"slo": "availability"}),
        step_minutes=_STEPS[burn.long],
        only={"burn_rate": f"{burn.factor:g}"},
        directory=tmp_path,
    )


@pytest.mark.parametrize("burn", BURN_RATES, ids=lambda burn: burn.long)
def test_slowness_burns_the_budget_of_latency(burn: BurnRate, tmp_path: Path) -> None:
    slow_share = 4 * burn.factor * 0.01
    check_alerts(
        _rules_of(burn, tmp_path),
        "LatencyBudgetBurn",
        {
            _requests(http_response_status_code="200"): _story(burn, 1, 1),
            _within(): _story(burn, 1, 1 - slow_share),
            **_terms(processing=10, network=1, system=30),
        },
        _checks(burn, {"slo": "latency", "dominant": "system"}),
        step_minutes=_STEPS[burn.long],
        only={"burn_rate": f"{burn.factor:g}"},
        directory=tmp_path,
    )


def _steady(burn: BurnRate, slo: str, bad: float) -> dict[str, str]:
    """The same share of bad requests all the time, for one long window."""
    steps = _minutes(burn.long) // _STEPS[burn.long]
    every = _PER_MINUTE * _STEPS[burn.long]
    good = counter((steps, every * (1 - bad)))
    if slo == "availability":
        failed = counter((steps, every * bad))
        return {
            _requests(http_response_status_code="200"): good,
            _requests(http_response_status_code="500"): failed,
        }
    return {_requests(http_response_status_code="200"): counter((steps, every)), _within(): good}


@pytest.mark.parametrize("burn", BURN_RATES, ids=lambda burn: burn.long)
@pytest.mark.parametrize("factor", [0.99, 1.01])
@pytest.mark.parametrize(
    ("slo", "alert", "budget", "more"),
    [
        ("availability", "AvailabilityBudgetBurn", 0.001, {}),
        ("latency", "LatencyBudgetBurn", 0.01, {"dominant": "unknown"}),
    ],
    ids=["availability", "latency"],
)
def test_it_takes_exactly_the_burn_rate(
    slo: str, alert: str, budget: float, more: dict[str, str], factor: float, burn: BurnRate, tmp_path: Path
) -> None:
    firing = {
        "http_route": _ROUTE,
        "objective": "interactive",
        "severity": burn.severity,
        "slo": slo,
        "window": burn.long,
        **more,
    }
    check_alerts(
        _rules_of(burn, tmp_path),
        alert,
        _steady(burn, slo, budget * burn.factor * factor),
        (Check(_minutes(burn.long), (firing,) if factor > 1 else ()),),
        step_minutes=_STEPS[burn.long],
        only={"burn_rate": f"{burn.factor:g}"},
        directory=tmp_path,
    )


def test_a_short_outburst_alarms_nobody(tmp_path: Path) -> None:
    # All requests of 40 s fail: 1.1 % of the hour, within the first burn rate's 1.44 %.
    every, failed = counter((120, _PER_MINUTE)), counter((60, 0), (1, _PER_MINUTE * 2 / 3), (59, 0))
    series = {
        _requests(http_response_status_code="200"): every,
        _requests(http_response_status_code="500"): failed,
    }
    check_alerts(
        _rules_of(BURN_RATES[0], tmp_path),
        "AvailabilityBudgetBurn",
        series,
        (Check(61), Check(63), Check(90)),
        only={"burn_rate": "14.4"},
        directory=tmp_path,
    )


def test_what_is_not_the_services_doing_does_not_count(tmp_path: Path) -> None:
    flood = counter((120, 1000))
    series = {
        _requests(http_response_status_code="200"): counter((120, 10)),
        _requests(http_response_status_code="404"): flood,
        _requests(http_response_status_code="429", error_type="rate_limited"): flood,
        _requests(error_type="client_left"): flood,
        _requests("", http_response_status_code="500"): flood,
        _requests("/readyz", http_response_status_code="503"): flood,
        _series("count", hop="sales", http_route=_ROUTE, http_response_status_code="500"): flood,
    }
    check_alerts(
        _rules_of(BURN_RATES[0], tmp_path),
        "AvailabilityBudgetBurn",
        series,
        (Check(60), Check(120)),
        directory=tmp_path,
    )


def test_an_answer_that_was_cut_short_counts(tmp_path: Path) -> None:
    series = {
        _requests(http_response_status_code="200"): counter((60, 900)),
        _requests(http_response_status_code="200", error_type="cut_short"): counter((60, 100)),
    }
    expected = {f'{{http_route="{_ROUTE}",objective="interactive",slo="availability"}}': 100}
    check_values(
        _RULES, 'route:error_budget_burn:rate5m{slo="availability"}', series, 30, expected, directory=tmp_path
    )


def test_requests_without_a_failure_burn_nothing(tmp_path: Path) -> None:
    series = {_requests(http_response_status_code="200"): counter((60, 900)), _within(): counter((60, 900))}
    expected = {
        f'{{http_route="{_ROUTE}",objective="interactive",slo="{slo}"}}': 0.0
        for slo in ("availability", "latency")
    }
    check_values(
        _rules_of(BURN_RATES[0], tmp_path),
        "route:error_budget_burn:rate5m",
        series,
        30,
        expected,
        directory=tmp_path,
    )


def test_a_few_failures_of_a_lonely_route_alarm_nobody(tmp_path: Path) -> None:
    lonely, busier = counter((60, 0.1)), counter((60, 0.3))
    series = {
        _requests("/v1/products", http_response_status_code="500"): lonely,
        _requests(http_response_status_code="500"): busier,
    }
    firing = {
        "http_route": _ROUTE,
        "objective": "interactive",
        "severity": "page",
        "slo": "availability",
        "window": "1h",
    }
    check_alerts(
        _rules_of(BURN_RATES[0], tmp_path),
        "AvailabilityBudgetBurn",
        series,
        (Check(30), Check(60, (firing,))),
        only={"burn_rate": "14.4"},
        directory=tmp_path,
    )


def test_imports_may_take_longer(tmp_path: Path) -> None:
    route = "/v1/sales/imports"
    series = {
        _requests(route, http_response_status_code="202"): counter((60, 100)),
        _within(route).replace('"200"', '"202"'): counter((60, 0)),
        _within(route, "2.5").replace('"200"', '"202"'): counter((60, 95)),
    }
    labels = f'{{http_route="{route}",objective="imports",slo="latency"}}'
    check_values(
        _rules_of(BURN_RATES[0], tmp_path),
        'route:error_budget_burn:rate1h{slo="latency"}',
        series,
        30,
        {labels: 1.0},
        directory=tmp_path,
    )


@pytest.mark.parametrize("dominant", ["processing", "network", "system"])
def test_the_dominant_term_is_named(dominant: str, tmp_path: Path) -> None:
    terms = {"processing": 5.0, "network": 5.5, "system": 6.0, dominant: 6.5}
    expected = {f'{{dominant="{dominant}",http_route="{_ROUTE}"}}': 1.0}
    series = {_requests(http_response_status_code="200"): counter((60, 100)), **_terms(**terms)}
    check_values(
        _rules_of(BURN_RATES[0], tmp_path),
        "route:dominant_term:rate5m",
        series,
        30,
        expected,
        directory=tmp_path,
    )


def test_the_dominant_term_is_that_of_now(tmp_path: Path) -> None:
    name = 'crm_response_component_duration_seconds_sum{{hop="gateway",http_route="{}",component="{}"}}'
    series = {
        _requests(http_response_status_code="200"): counter((60, 100)),
        name.format(_ROUTE, "system"): counter((30, 100), (30, 1)),
        name.format(_ROUTE, "network"): counter((60, 5)),
    }
    expected = {f'{{dominant="network",http_route="{_ROUTE}"}}': 1.0}
    check_values(
        _rules_of(BURN_RATES[0], tmp_path),
        "route:dominant_term:rate5m",
        series,
        40,
        expected,
        directory=tmp_path,
    )


def test_without_terms_the_alert_is_not_lost(tmp_path: Path) -> None:
    series = {_requests(http_response_status_code="200"): counter((60, 100)), _within(): counter((60, 10))}
    firing = {
        "dominant": "unknown",
        "http_route": _ROUTE,
        "objective": "interactive",
        "severity": "page",
        "slo": "latency",
        "window": "1h",
    }
    check_alerts(
        _rules_of(BURN_RATES[0], tmp_path),
        "LatencyBudgetBurn",
        series,
        (Check(30, (firing,)),),
        only={"burn_rate": "14.4"},
        directory=tmp_path,
    )


def test_what_the_alerts_say(tmp_path: Path) -> None:
    series = {
        _requests(http_response_status_code="200"): counter((60, 780)),
        _requests(http_response_status_code="503"): counter((60, 220)),
        _within(): counter((60, 585)),
        **_terms(processing=10, network=1, system=30),
    }
    common = {"severity": "page", "burn_rate": "14.4", "window": "1h"}
    rules = _rules_of(BURN_RATES[0], tmp_path)
    check_annotations(
        rules,
        "AvailabilityBudgetBurn",
        series,
        30,
        {
            "exp_labels": {
                **common,
                "http_route": _ROUTE,
                "objective": "interactive",
                "slo": "availability",
            },
            "exp_annotations": {
                "summary": "/v1/deals fails 14.4 times as often as it may",
                "description": (
                    "Over 1h and over 5m, requests to /v1/deals failed so often that they spend the error budget "
                    "220 times as fast as the objective 'interactive' allows (14.4 alarms)."
                ),
                "runbook": "docs/runbooks/availability-budget-burn.md",
            },
        },
        directory=tmp_path,
    )
    check_annotations(
        rules,
        "LatencyBudgetBurn",
        series,
        30,
        {
            "exp_labels": {
                **common,
                "http_route": _ROUTE,
                "objective": "interactive",
                "slo": "latency",
                "dominant": "system",
            },
            "exp_annotations": {
                "summary": "/v1/deals is slow 14.4 times as often as it may: system",
                "description": (
                    "Over 1h and over 5m, so many requests to /v1/deals took too long that they spend the budget "
                    "25 times as fast as the objective 'interactive' allows (14.4 alarms). Most of the time of the "
                    "last 5m went into system."
                ),
                "runbook": "docs/runbooks/latency-budget-burn.md",
            },
        },
        directory=tmp_path,
    )
