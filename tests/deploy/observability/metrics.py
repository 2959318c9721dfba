"""What the suite exposes, by Prometheus' names: dots are underscores, then the unit, then `_total` of counters."""

HISTOGRAMS = {
    "http_server_request_duration_seconds",
    "crm_response_component_duration_seconds",
    "http_client_request_duration_seconds",
    "db_client_connection_wait_time_seconds",
}
COUNTERS = {
    "crm_gateway_attempts_total",
    "crm_gateway_attempt_outcomes_total",
    "crm_gateway_turned_away_total",
    "crm_security_events_total",
    "crm_serving_time_seconds_total",
    "crm_telemetry_spans_total",
}
GAUGES = {
    "http_server_active_requests",
    "crm_gateway_replica_up",
    "crm_gateway_replica_active_requests",
    "crm_gateway_replica_weight",
    "crm_gateway_replica_circuit_open",
    "crm_event_loop_lag_seconds",
    "db_client_connection_count",
    "db_client_connection_max",
    "crm_littles_law_ratio",
}
METRICS = HISTOGRAMS | COUNTERS | GAUGES
OF_PROMETHEUS = {"up", "ALERTS"}
