"""The schema that dashboards and alerts rely on."""

from services.gateway.metrics.definitions import CATALOGUE, GATEWAY_METRICS
from shared.telemetry.metrics.definitions import SHARED_METRICS

_REPLICA = "crm.upstream.name server.address server.port"
SCHEMA = {
    "http_client_request_duration_seconds": f"{_REPLICA} http.response.status_code error.type",
    "crm_gateway_attempts": "crm.upstream.name kind",
    "crm_gateway_attempt_outcomes": "crm.upstream.name outcome",
    "crm_gateway_turned_away": "crm.upstream.name reason",
    "crm_gateway_replica_up": _REPLICA,
    "crm_gateway_replica_active_requests": _REPLICA,
    "crm_gateway_replica_weight": _REPLICA,
    "crm_gateway_replica_circuit_open": _REPLICA,
    "crm_gateway_cache_requests": "http.route outcome",
    "crm_gateway_cache_bytes": "http.route",
    "crm_gateway_cache_entries": "http.route",
    "crm_gateway_cache_evictions": "http.route",
    "crm_gateway_cache_invalidations": "http.route",
    "crm_gateway_cache_unproven": "http.route",
    "crm_gateway_cache_second_operations": "outcome",
    "crm_gateway_cache_second_failures": "error.type",
    "crm_gateway_cache_second_missing": "",
    "crm_gateway_cache_peers_writes": "outcome",
    "crm_gateway_cache_peers_wait_time_seconds": "",
    "crm_gateway_cache_peers_lapses": "",
    "crm_gateway_cache_peers_others": "",
    "crm_gateway_rate_limit_alone": "",
    "crm_gateway_rate_limit_shared": "outcome",
}


def test_names_and_labels() -> None:
    assert {metric.prometheus_name: " ".join(metric.labels) for metric in GATEWAY_METRICS} == SCHEMA


def test_every_metric_has_a_name_of_its_own() -> None:
    assert len(CATALOGUE) == len(SHARED_METRICS) + len(GATEWAY_METRICS)
