"""What the suite exposes, by Prometheus' names, with the labels of each."""

from shared.telemetry.metrics.definitions import SHARED_METRICS, Kind, Metric


def _name(metric: Metric) -> str:
    return metric.prometheus_name + ("_total" if metric.kind is Kind.COUNTER else "")


def _labels(metric: Metric) -> set[str]:
    return {label.replace(".", "_") for label in metric.labels}


_REPLICA = {"crm_upstream_name", "server_address", "server_port"}
_ATTEMPTS = "http_client_request_duration_seconds"
# The gateway's own, as no other process has them.
_OF_THE_GATEWAY = {
    _ATTEMPTS: _REPLICA | {"http_response_status_code", "error_type"},
    "crm_gateway_attempts_total": {"crm_upstream_name", "kind"},
    "crm_gateway_attempt_outcomes_total": {"crm_upstream_name", "outcome"},
    "crm_gateway_turned_away_total": {"crm_upstream_name", "reason"},
    "crm_gateway_replica_up": _REPLICA,
    "crm_gateway_replica_active_requests": _REPLICA,
    "crm_gateway_replica_weight": _REPLICA,
    "crm_gateway_replica_circuit_open": _REPLICA,
    "crm_gateway_cache_requests_total": {"http_route", "outcome"},
    "crm_gateway_cache_bytes": {"http_route"},
    "crm_gateway_cache_entries": {"http_route"},
    "crm_gateway_cache_evictions_total": {"http_route"},
    "crm_gateway_cache_invalidations_total": {"http_route"},
}

HISTOGRAMS = {_name(metric) for metric in SHARED_METRICS if metric.kind is Kind.HISTOGRAM} | {_ATTEMPTS}
LABELS = {_name(metric): _labels(metric) for metric in SHARED_METRICS} | _OF_THE_GATEWAY
METRICS = set(LABELS)
OF_PROMETHEUS = {"up", "ALERTS"}
