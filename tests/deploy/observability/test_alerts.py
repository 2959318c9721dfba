"""The other alerts: each fires when it should, does not when it should not, ends, and says what it is about."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shared.telemetry.metrics.requests import EVENTS
from tests.deploy.observability.promtool import (
    RULES,
    Check,
    check_alerts,
    check_annotations,
    counter,
    gauge,
    needs_promtool,
    series_of,
)

pytestmark = needs_promtool

_REPLICA = {"crm_upstream_name": "sales", "server_address": "10.0.0.1", "server_port": "8000"}
_OTHER = {**_REPLICA, "server_address": "10.0.0.2"}
_TICKETS = {"job": "tickets", "instance": "tickets-1:8000"}
_POOL = {**_TICKETS, "db_client_connection_pool_name": "read"}
_GATEWAY = {"job": "gateway", "instance": "gateway:9000", "hop": "gateway"}
_SPANS = "crm_telemetry_spans_total"


@dataclass(frozen=True, slots=True)
class Case:
    """Ill from the 30th minute to the 60th, well before and after; `well` never fires.

    `still`: a minute within the illness at which it does not fire yet; `over`: when it has ended.
    """

    file: str
    alert: str
    ill: Mapping[str, str]
    well: Mapping[str, str]
    labels: Mapping[str, str]
    still: float
    over: float
    summary: str
    description: str
    severity: str = "ticket"


CASES = (
    Case(
        "gateway.yaml",
        "ReplicaDown",
        ill={
            series_of("crm_gateway_replica_up", _REPLICA): gauge((30, 1), (30, 0), (60, 1)),
            series_of("crm_gateway_replica_up", _OTHER): gauge((120, 1)),
        },
        well={series_of("crm_gateway_replica_up", _REPLICA): gauge((120, 1))},
        labels=_REPLICA,
        still=30,
        over=60,
        summary="sales: 10.0.0.1:8000 is down",
        description=(
            "For a minute at least one gateway has found 10.0.0.1:8000, a replica of sales, unfit to serve: the others "
            "carry its load."
        ),
    ),
    Case(
        "gateway.yaml",
        "UpstreamDown",
        ill={
            series_of("crm_gateway_replica_up", _REPLICA): gauge((30, 1), (30, 0), (60, 1)),
            series_of("crm_gateway_replica_up", _OTHER): gauge((120, 0)),
        },
        well={
            series_of("crm_gateway_replica_up", _REPLICA): gauge((120, 0)),
            series_of("crm_gateway_replica_up", _OTHER): gauge((120, 1)),
        },
        labels={"crm_upstream_name": "sales"},
        still=30,
        over=60,
        summary="sales has no replica that is up",
        description=(
            "For half a minute no gateway has found a replica of sales fit to serve: its routes fail, or depend on "
            "luck."
        ),
        severity="page",
    ),
    Case(
        "gateway.yaml",
        "CircuitOpen",
        ill={series_of("crm_gateway_replica_circuit_open", _REPLICA): gauge((30, 0), (30, 1), (60, 0))},
        # One minute of twelve.
        well={
            series_of("crm_gateway_replica_circuit_open", _REPLICA): " ".join(
                ["0 0 0 0 0 0 0 0 0 0 0 1"] * 10
            )
        },
        labels=_REPLICA,
        still=30,
        over=66,
        summary="sales: the circuit of 10.0.0.1:8000 keeps opening",
        description=(
            "For 100% of the last 5 minutes the gateway refused attempts at 10.0.0.1:8000, because too many of them "
            "failed."
        ),
    ),
    Case(
        "gateway.yaml",
        "SharedCacheAway",
        ill={series_of("crm_gateway_cache_second_missing", _GATEWAY): gauge((30, 0), (30, 1), (60, 0))},
        # A restart takes no minute.
        well={series_of("crm_gateway_cache_second_missing", _GATEWAY): gauge((40, 0), (1, 1), (60, 0))},
        labels={"job": "gateway", "instance": "gateway:9000"},
        still=31,
        over=60,
        summary="gateway:9000: servers of the shared cache cannot be asked",
        description=(
            "For two minutes gateway:9000 has lacked 1 of the servers that hold the second level of its caches: "
            "whoever would have found something there asks a service instead."
        ),
    ),
    Case(
        "gateway.yaml",
        "RateLimitAlone",
        ill={series_of("crm_gateway_rate_limit_alone", _GATEWAY): gauge((30, 0), (30, 2), (60, 0))},
        # A restart takes no minute.
        well={series_of("crm_gateway_rate_limit_alone", _GATEWAY): gauge((40, 0), (1, 2), (60, 0))},
        labels={"job": "gateway", "instance": "gateway:9000"},
        still=31,
        over=60,
        summary="gateway:9000: rate limits hold for this gateway alone",
        description=(
            "For two minutes 2 of the workers of gateway:9000 have not heard what callers spend at the other gateways: "
            "whoever asks at several of them may be given the whole limit by each."
        ),
    ),
    Case(
        "saturation.yaml",
        "EventLoopLag",
        ill={
            series_of("crm_event_loop_lag_seconds", _TICKETS, {"hop": "tickets"}): gauge(
                (30, 0.002), (30, 0.3), (60, 0.002)
            )
        },
        # A stall of seconds, once.
        well={
            series_of("crm_event_loop_lag_seconds", _TICKETS, {"hop": "tickets"}): gauge(
                (40, 0.002), (1, 5), (60, 0.002)
            )
        },
        labels={**_TICKETS, "hop": "tickets"},
        still=32,
        over=66,
        summary="tickets: the event loop of tickets-1:8000 is held up",
        description=(
            "In half of the last 5 minutes' seconds, everything in tickets-1:8000 (tickets) had to wait for 300ms or "
            "longer for its turn."
        ),
    ),
    Case(
        "saturation.yaml",
        "DatabasePoolExhausted",
        ill={
            series_of("db_client_connection_count", _POOL, {"state": "used"}): gauge(
                (30, 3), (30, 8), (60, 3)
            ),
            series_of("db_client_connection_count", _POOL, {"state": "idle"}): gauge(
                (30, 5), (30, 0), (60, 5)
            ),
            series_of("db_client_connection_max", _POOL): gauge((120, 8)),
        },
        well={
            series_of("db_client_connection_count", _POOL, {"state": "used"}): gauge((120, 7)),
            series_of("db_client_connection_count", _POOL, {"state": "idle"}): gauge((120, 8)),
            series_of("db_client_connection_max", _POOL): gauge((120, 8)),
        },
        labels=_POOL,
        still=33,
        over=66,
        summary="tickets-1:8000: hardly a database connection is free in the pool read",
        description=(
            "On average over 5 minutes 100% of the connections that tickets-1:8000 may open to its database for the "
            "pool read were in use."
        ),
    ),
    Case(
        "saturation.yaml",
        "DatabasePoolWait",
        ill={
            series_of("db_client_connection_wait_time_seconds_sum", _TICKETS): counter(
                (30, 1), (30, 200), (60, 1)
            ),
            series_of("db_client_connection_wait_time_seconds_count", _TICKETS): counter((120, 1000)),
        },
        well={
            series_of("db_client_connection_wait_time_seconds_sum", _TICKETS): counter((120, 40)),
            series_of("db_client_connection_wait_time_seconds_count", _TICKETS): counter((120, 1000)),
        },
        labels=_TICKETS,
        still=31,
        over=66,
        summary="tickets-1:8000: requests wait for a database connection",
        description="Over 5 minutes the mean wait for a connection in tickets-1:8000 was 200ms.",
    ),
    Case(
        "security.yaml",
        "SecurityEvents",
        ill={
            series_of("crm_security_events_total", _GATEWAY, {"event": "authentication_failed"}): counter(
                (30, 1), (30, 180), (60, 1)
            )
        },
        well={
            series_of("crm_security_events_total", _GATEWAY, {"event": "authentication_failed"}): counter(
                (120, 54)
            ),
            # Callers may hurry more often than they may have the wrong key.
            series_of("crm_security_events_total", _GATEWAY, {"event": "rate_limited"}): counter((120, 1100)),
        },
        labels={"event": "authentication_failed", "hop": "gateway"},
        still=31,
        over=66,
        summary="gateway: many events of the kind authentication_failed",
        description=(
            "Over 5 minutes gateway counted 3 events per second of the kind authentication_failed, more than is usual."
        ),
    ),
    Case(
        "telemetry.yaml",
        "ScrapeFailing",
        ill={series_of("up", _TICKETS): gauge((30, 1), (30, 0), (60, 1))},
        well={series_of("up", _TICKETS): gauge((40, 1), (1, 0), (60, 1))},
        labels=_TICKETS,
        still=31,
        over=60,
        summary="tickets-1:8000 does not answer Prometheus",
        description=(
            "For 2 minutes tickets-1:8000 (tickets) could not be asked for its metrics: its other alerts are blind."
        ),
    ),
    Case(
        "telemetry.yaml",
        "TelemetryLoss",
        ill={
            series_of(_SPANS, _GATEWAY, {"state": "sent"}): counter((30, 1000), (30, 800), (60, 1000)),
            series_of(_SPANS, _GATEWAY, {"state": "dropped"}): counter((30, 0), (30, 150), (60, 0)),
            series_of(_SPANS, _GATEWAY, {"state": "failed"}): counter((30, 0), (30, 50), (60, 0)),
        },
        well={
            series_of(_SPANS, _GATEWAY, {"state": "sent"}): counter((120, 1000)),
            series_of(_SPANS, _GATEWAY, {"state": "dropped"}): counter((120, 9)),
        },
        labels={"hop": "gateway", "instance": "gateway:9000"},
        still=33,
        over=72,
        summary="gateway: gateway:9000 loses spans",
        description=(
            "Over 10 minutes 20% of the spans of gateway:9000 (gateway) did not reach the collector: traces have "
            "holes. No request fails by it."
        ),
    ),
    Case(
        "telemetry.yaml",
        "LittlesLawBroken",
        ill={
            series_of("crm_littles_law_ratio", _GATEWAY): gauge((30, 1.02), (30, 1.5), (60, 1.02)),
            series_of(
                "http_server_request_duration_seconds_count", _GATEWAY, {"http_route": "/v1/deals"}
            ): counter((120, 600)),
        },
        # Off by as much, but with a request every other second.
        well={
            series_of("crm_littles_law_ratio", _GATEWAY): gauge((120, 1.5)),
            series_of(
                "http_server_request_duration_seconds_count", _GATEWAY, {"http_route": "/v1/deals"}
            ): counter((120, 30)),
        },
        labels={"job": "gateway", "instance": "gateway:9000", "hop": "gateway"},
        still=33,
        over=72,
        summary="gateway: gateway:9000 contradicts Little's law",
        description=(
            "Over 10 minutes the requests under way in gateway:9000 (gateway) were off by 50% from rate times mean "
            "response time."
        ),
    ),
)
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.alert)


@each_case
def test_it_fires_and_ends(case: Case, tmp_path: Path) -> None:
    firing = {**case.labels, "severity": case.severity}
    check_alerts(
        RULES / case.file,
        case.alert,
        case.ill,
        (Check(29), Check(case.still), Check(50, (firing,)), Check(case.over)),
        directory=tmp_path,
    )


@each_case
def test_it_does_not_fire(case: Case, tmp_path: Path) -> None:
    checks = [Check(minute) for minute in range(5, 100, 5)]
    check_alerts(RULES / case.file, case.alert, case.well, checks, directory=tmp_path)


@each_case
def test_it_says_what_it_is_about(case: Case, tmp_path: Path) -> None:
    page = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in case.alert)[1:]
    expected: dict[str, Any] = {
        "exp_labels": {**case.labels, "severity": case.severity},
        "exp_annotations": {
            "summary": case.summary,
            "description": case.description,
            "runbook": f"docs/runbooks/{page}.md",
        },
    }
    check_annotations(RULES / case.file, case.alert, case.ill, 50, expected, directory=tmp_path)


def test_a_law_that_is_undershot_is_broken_as_well(tmp_path: Path) -> None:
    series = {
        series_of("crm_littles_law_ratio", _GATEWAY): gauge((60, 0.7)),
        series_of(
            "http_server_request_duration_seconds_count", _GATEWAY, {"http_route": "/v1/deals"}
        ): counter((60, 600)),
    }
    labels = {"job": "gateway", "instance": "gateway:9000", "hop": "gateway", "severity": "ticket"}
    check_alerts(
        RULES / "telemetry.yaml", "LittlesLawBroken", series, (Check(30, (labels,)),), directory=tmp_path
    )


def test_one_gateway_that_misses_a_replica_is_enough(tmp_path: Path) -> None:
    series = {
        series_of("crm_gateway_replica_up", _REPLICA, {"instance": "gateway-1:9000"}): gauge((30, 1)),
        series_of("crm_gateway_replica_up", _REPLICA, {"instance": "gateway-2:9000"}): gauge((30, 0)),
    }
    labels = {**_REPLICA, "severity": "ticket"}
    check_alerts(RULES / "gateway.yaml", "ReplicaDown", series, (Check(20, (labels,)),), directory=tmp_path)
    check_alerts(RULES / "gateway.yaml", "UpstreamDown", series, (Check(20),), directory=tmp_path)


@pytest.mark.parametrize("event", EVENTS)
def test_every_kind_of_event_has_a_limit(event: str, tmp_path: Path) -> None:
    series = {series_of("crm_security_events_total", _GATEWAY, {"event": event}): counter((60, 3000))}
    labels = {"event": event, "hop": "gateway", "severity": "ticket"}
    check_alerts(
        RULES / "security.yaml", "SecurityEvents", series, (Check(30, (labels,)),), directory=tmp_path
    )
