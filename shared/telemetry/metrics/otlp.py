"""Families as the OpenTelemetry SDK's data, and its OTLP/HTTP exporter. Import only when an endpoint is configured."""

from collections.abc import Iterable, Mapping
from time import time_ns

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.export import Metric as SdkMetric
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from shared.telemetry.exporting import quieten_loggers, whole_resource
from shared.telemetry.metrics import families
from shared.telemetry.metrics.definitions import Kind, Metric
from shared.telemetry.metrics.families import Distribution, Family, Number

_CUMULATIVE = AggregationTemporality.CUMULATIVE
# The convention's type of these two; as labels they are texts.
_INTEGERS = frozenset({"http.response.status_code", "server.port"})


class OtlpMetricsExporter:
    """Posts families, whose counts began when this was made."""

    def __init__(self, endpoint: str, resource: Mapping[str, str]) -> None:
        quieten_loggers()
        self._exporter = OTLPMetricExporter(endpoint=endpoint)
        self._resource = whole_resource(resource)
        self._scope = InstrumentationScope("kontor", resource.get("service.version"))
        self._start_ns = time_ns()
        self._stopped = False

    def export(self, told: Iterable[Family], time_ns: int) -> bool:
        """Post them as of this wall-clock time (ns), with the SDK's retries; False when it has given up."""
        metrics = [sdk_metric(family, self._start_ns, time_ns) for family in told if family.points]
        scoped = ScopeMetrics(self._scope, metrics, "")
        data = MetricsData([ResourceMetrics(self._resource, [scoped], "")])
        return self._exporter.export(data) is MetricExportResult.SUCCESS

    def shutdown(self) -> None:
        """Give up whatever is being retried. May be called more than once."""
        if not self._stopped:
            self._stopped = True
            self._exporter.shutdown()


def sdk_metric(family: Family, start_ns: int, now_ns: int) -> SdkMetric:
    """A family as the SDK has it: cumulative since `start_ns`."""
    metric = family.metric
    if metric.kind is Kind.HISTOGRAM:
        return _sdk(
            metric,
            Histogram(
                [
                    _distribution(metric, point, start_ns, now_ns)
                    for point in family.points
                    if isinstance(point, Distribution)
                ],
                _CUMULATIVE,
            ),
        )
    numbers = [
        NumberDataPoint(_attributes(metric, point.labels), start_ns, now_ns, point.value)
        for point in family.points
        if isinstance(point, Number)
    ]
    if metric.kind is Kind.COUNTER:
        return _sdk(metric, Sum(numbers, _CUMULATIVE, is_monotonic=True))
    return _sdk(metric, Gauge(numbers))


def _sdk(metric: Metric, data: Sum | Gauge | Histogram) -> SdkMetric:
    return SdkMetric(metric.name, metric.description, metric.unit, data)


def _distribution(metric: Metric, point: Distribution, start_ns: int, now_ns: int) -> HistogramDataPoint:
    return HistogramDataPoint(
        _attributes(metric, point.labels),
        start_ns,
        now_ns,
        point.total,
        point.sum_ns / 1e9,
        point.counts,
        [bound / 1e9 for bound in metric.bounds_ns],
        # Since the process began they would say nothing; the encoder leaves them out.
        min=None,  # type: ignore[arg-type]
        max=None,  # type: ignore[arg-type]
        exemplars=[_exemplar(exemplar) for exemplar in point.exemplars],
    )


def _exemplar(exemplar: families.Exemplar) -> Exemplar:
    value_s = exemplar.value_ns / 1e9
    return Exemplar({}, value_s, exemplar.time_ns, exemplar.span_id, exemplar.trace_id)


def _attributes(metric: Metric, labels: tuple[str, ...]) -> dict[str, str | int]:
    """Labels that are empty are none."""
    return {
        key: int(value) if key in _INTEGERS and value.isdigit() else value
        for key, value in zip(metric.labels, labels, strict=True)
        if value
    }
