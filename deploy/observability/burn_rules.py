"""The objectives as Prometheus rules: recorded burn rates, the dominant term of each route, and the alerts on both."""

from collections.abc import Iterable, Sequence
from typing import Any

from deploy.observability.objectives import LEAST_BAD_REQUESTS, UNPROMISED, BurnRate, Objective

Rule = dict[str, Any]

_REQUESTS = "http_server_request_duration_seconds"
_TERMS = "crm_response_component_duration_seconds"
# What is not the service's doing: a caller who left. What is, though the status says 200: an answer cut short.
_FAILED = ('http_response_status_code=~"5.."', 'http_response_status_code!~"5..",error_type="cut_short"')
# 101: a connection that became a WebSocket lasts as long as its users like.
_ANSWERED = 'http_response_status_code!~"5..|101"'


def burn_rules(objectives: Sequence[Objective], burn_rates: Sequence[BurnRate]) -> dict[str, Any]:
    """The content of a rule file. Raises ValueError for an objective that cannot alarm.

    One group per burn rate. A group with longer windows is evaluated less often: its figures move slowly, and each
    reads all samples of its long window.
    """
    for objective in objectives:
        _check(objective, burn_rates)
    groups = []
    recorded: set[str] = set()
    for burn in burn_rates:
        # 6 h are the long window of one rate and the short one of another: recorded once.
        windows = [window for window in (burn.long, burn.short) if window not in recorded]
        recorded.update(windows)
        rules = [
            *(rule for window in windows for rule in _recorded(objectives, window)),
            *_bad_requests(objectives, burn.long),
            _dominant(burn.short),
            _availability_alert(burn),
            _latency_alert(burn),
        ]
        interval = "30s" if burn.severity == "page" else "2m"
        groups.append({"name": f"burn-rate-{burn.long}", "interval": interval, "rules": rules})
    return {"groups": groups}


def _check(objective: Objective, burn_rates: Iterable[BurnRate]) -> None:
    fastest = max(burn.factor for burn in burn_rates)
    for target in (objective.availability, objective.share_within):
        if not 0 < target < 1 or fastest * (1 - target) >= 1:
            raise ValueError(
                f"{objective.name}: of a budget of {1 - target:g} even all requests burn less than {fastest} times"
            )


def _recorded(objectives: Sequence[Objective], window: str) -> list[Rule]:
    """The burn rates of one window: bad requests per request, in units of what the objective allows."""
    rules = []
    for objective in objectives:
        every, answered = _selector(objective, objectives), _selector(objective, objectives, _ANSWERED)
        rules += [
            {
                "record": f"route:error_budget_burn:rate{window}",
                "labels": {"slo": "availability", "objective": objective.name},
                "expr": (
                    f"(\n  {_sum_of_failed(objective, objectives, 'rate', window)}\n"
                    # Without a failure there is no series to add up, though there are requests.
                    f"  or 0 * sum by (http_route) (rate({_REQUESTS}_count{every}[{window}]))\n)\n"
                    f"/ sum by (http_route) (rate({_REQUESTS}_count{every}[{window}]))\n"
                    f"/ {_budget(objective.availability)}\n"
                ),
            },
            {
                "record": f"route:error_budget_burn:rate{window}",
                "labels": {"slo": "latency", "objective": objective.name},
                "expr": (
                    "(1 -\n"
                    f"  sum by (http_route) (rate({_REQUESTS}_bucket{_within(objective, objectives)}[{window}]))\n"
                    f"  / sum by (http_route) (rate({_REQUESTS}_count{answered}[{window}]))\n"
                    f")\n/ {_budget(objective.share_within)}\n"
                ),
            },
        ]
    return rules


def _bad_requests(objectives: Sequence[Objective], window: str) -> list[Rule]:
    rules = []
    for objective in objectives:
        answered = _selector(objective, objectives, _ANSWERED)
        rules += [
            {
                "record": f"route:bad_requests:increase{window}",
                "labels": {"slo": "availability", "objective": objective.name},
                "expr": f"{_sum_of_failed(objective, objectives, 'increase', window)}\n",
            },
            {
                "record": f"route:bad_requests:increase{window}",
                "labels": {"slo": "latency", "objective": objective.name},
                "expr": (
                    f"sum by (http_route) (increase({_REQUESTS}_count{answered}[{window}]))\n"
                    f"- sum by (http_route) "
                    f"(increase({_REQUESTS}_bucket{_within(objective, objectives)}[{window}]))\n"
                ),
            },
        ]
    return rules


def _dominant(window: str) -> Rule:
    """Which term of the response time is the largest, per route: 1 with the label `dominant`.

    A route whose terms nobody records is `unknown`, so that joining this never loses an alert.
    """
    time_in_term = f'sum by (http_route, component) (rate({_TERMS}_sum{{hop="gateway"}}[{window}]))'
    return {
        "record": f"route:dominant_term:rate{window}",
        "expr": (
            "group by (http_route, dominant) (\n"
            "  label_replace(\n"
            f"    topk by (http_route) (1, {time_in_term}),\n"
            '    "dominant", "$1", "component", "(.+)"\n'
            "  )\n"
            ")\n"
            "or on (http_route) label_replace(\n"
            f'  group by (http_route) ({_REQUESTS}_count{{hop="gateway"}}), "dominant", "unknown", "", ""\n'
            ")\n"
        ),
    }


def _availability_alert(burn: BurnRate) -> Rule:
    return {
        "alert": "AvailabilityBudgetBurn",
        "expr": _burning("availability", burn) + "\n",
        "labels": {"severity": burn.severity, "burn_rate": f"{burn.factor:g}", "window": burn.long},
        "annotations": {
            "summary": f"{{{{ $labels.http_route }}}} fails {burn.factor:g} times as often as it may",
            "description": (
                f"Over {burn.long} and over {burn.short}, requests to {{{{ $labels.http_route }}}} failed so often "
                f"that they spend the error budget {{{{ $value | humanize }}}} times as fast as the objective "
                f"'{{{{ $labels.objective }}}}' allows ({burn.factor:g} alarms)."
            ),
            "runbook": "docs/runbooks/availability-budget-burn.md",
        },
    }


def _latency_alert(burn: BurnRate) -> Rule:
    return {
        "alert": "LatencyBudgetBurn",
        "expr": (
            f"(\n{_indented(_burning('latency', burn))}\n)\n"
            f"* on (http_route) group_left (dominant) route:dominant_term:rate{burn.short}\n"
        ),
        "labels": {"severity": burn.severity, "burn_rate": f"{burn.factor:g}", "window": burn.long},
        "annotations": {
            "summary": (
                f"{{{{ $labels.http_route }}}} is slow {burn.factor:g} times as often as it may: "
                "{{ $labels.dominant }}"
            ),
            "description": (
                f"Over {burn.long} and over {burn.short}, so many requests to {{{{ $labels.http_route }}}} took too "
                f"long that they spend the budget {{{{ $value | humanize }}}} times as fast as the objective "
                f"'{{{{ $labels.objective }}}}' allows ({burn.factor:g} alarms). Most of the time of the last "
                f"{burn.short} went into {{{{ $labels.dominant }}}}."
            ),
            "runbook": "docs/runbooks/latency-budget-burn.md",
        },
    }


def _burning(slo: str, burn: BurnRate) -> str:
    where = f'{{slo="{slo}"}}'
    return (
        f"route:error_budget_burn:rate{burn.long}{where} > {burn.factor:g}\n"
        f"and route:error_budget_burn:rate{burn.short}{where} > {burn.factor:g}\n"
        f"and route:bad_requests:increase{burn.long}{where} >= {LEAST_BAD_REQUESTS}"
    )


def _sum_of_failed(objective: Objective, objectives: Sequence[Objective], function: str, window: str) -> str:
    parts = [
        f"{function}({_REQUESTS}_count{_selector(objective, objectives, failed)}[{window}])"
        for failed in _FAILED
    ]
    return f"sum by (http_route) (\n    {parts[0]}\n    or {parts[1]}\n  )"


def _within(objective: Objective, objectives: Sequence[Objective]) -> str:
    return _selector(objective, objectives, f'{_ANSWERED},le="{objective.within_s:g}"')


def _selector(objective: Objective, objectives: Sequence[Objective], more: str = "") -> str:
    """The requests that an objective is about, as callers see them: at the gateway."""
    if objective.routes is not None:
        routes = f'http_route=~"{objective.routes}"'
    else:
        named = [other.routes for other in objectives if other.routes is not None]
        routes = f'http_route!~"{"|".join((*UNPROMISED, *named))}"'
    return "{" + ",".join(part for part in ('hop="gateway"', routes, more) if part) + "}"


def _budget(target: float) -> str:
    # 1 - 0.999 is not 0.001 in binary.
    return f"{1 - target:.6g}"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
