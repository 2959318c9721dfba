"""What the suite exposes, by Prometheus' names, with the labels of each."""

from services.gateway.metrics.definitions import CATALOGUE
from shared.telemetry.metrics.definitions import Kind, Metric


def _name(metric: Metric) -> str:
    return metric.prometheus_name + ("_total" if metric.kind is Kind.COUNTER else "")


HISTOGRAMS = {_name(metric) for metric in CATALOGUE.values() if metric.kind is Kind.HISTOGRAM}
LABELS = {
    _name(metric): {label.replace(".", "_") for label in metric.labels} for metric in CATALOGUE.values()
}
METRICS = set(LABELS)
OF_PROMETHEUS = {"up", "ALERTS"}
