"""The schema that dashboards and alerts rely on."""

from shared.telemetry.metrics.definitions import SHARED_METRICS, Kind

SCHEMA = {
    "http_server_request_duration_seconds": (
        "http.request.method http.route http.response.status_code error.type hop"
    ),
    "crm_response_component_duration_seconds": "component hop http.route",
    "http_server_active_requests": "hop",
    "crm_littles_law_ratio": "hop",
    "crm_serving_time_seconds": "hop",
    "crm_security_events": "event hop",
    "crm_event_loop_lag_seconds": "hop",
    "crm_telemetry_spans": "state hop",
    "db_client_connection_count": "state db.client.connection.pool.name",
    "db_client_connection_max": "db.client.connection.pool.name",
    "db_client_connection_wait_time_seconds": "",
}


def test_names_and_labels() -> None:
    assert {metric.prometheus_name: " ".join(metric.labels) for metric in SHARED_METRICS} == SCHEMA


def test_histograms_have_growing_bounds_and_nothing_else_has_any() -> None:
    for metric in SHARED_METRICS:
        assert bool(metric.bounds_ns) == (metric.kind is Kind.HISTOGRAM)
        assert list(metric.bounds_ns) == sorted(set(metric.bounds_ns))
