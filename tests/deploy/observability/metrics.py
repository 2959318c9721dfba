"""What the suite exposes, by Prometheus' names."""

from shared.telemetry.metrics.definitions import SHARED_METRICS, Kind, Metric


def _name(metric: Metric) -> str:
    return metric.prometheus_name + ("_total" if metric.kind is Kind.COUNTER else "")


# The gateway's own, as no other process has them.
_OF_THE_GATEWAY = {
    "crm_gateway_attempts_total",
    "crm_gateway_attempt_outcomes_total",
    "crm_gateway_turned_away_total",
    "crm_gateway_replica_up",
    "crm_gateway_replica_active_requests",
    "crm_gateway_replica_weight",
    "crm_gateway_replica_circuit_open",
}
_ATTEMPTS = "http_client_request_duration_seconds"

HISTOGRAMS = {_name(metric) for metric in SHARED_METRICS if metric.kind is Kind.HISTOGRAM} | {_ATTEMPTS}
METRICS = {_name(metric) for metric in SHARED_METRICS} | _OF_THE_GATEWAY | {_ATTEMPTS}
OF_PROMETHEUS = {"up", "ALERTS"}
