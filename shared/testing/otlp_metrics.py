"""Metrics as they came over the wire, decoded with the official protobufs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric


@dataclass(frozen=True, slots=True)
class ReceivedPoint:
    """One point. `value` is a number's; a histogram has `counts`, `bounds` (s) and `sum` (s); times in ns since 1970.

    `exemplars` are trace ids in hexadecimal with their values.
    """

    attributes: dict[str, Any]
    start_ns: int
    time_ns: int
    value: float = 0
    counts: tuple[int, ...] = ()
    bounds: tuple[float, ...] = ()
    sum: float = 0
    exemplars: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReceivedMetric:
    """`kind` is `sum`, `gauge` or `histogram`; `cumulative` and `monotonic` as far as it can be."""

    name: str
    unit: str
    kind: str
    cumulative: bool
    monotonic: bool
    resource: dict[str, Any]
    points: tuple[ReceivedPoint, ...]

    @property
    def count(self) -> int:
        """Of a histogram, over all points."""
        return sum(sum(point.counts) for point in self.points)


def decode_metrics(body: bytes) -> dict[str, ReceivedMetric]:
    """The metrics of one ExportMetricsServiceRequest, by their names."""
    request = ExportMetricsServiceRequest()
    request.ParseFromString(body)
    return {
        metric.name: _received(metric, _attributes(group.resource.attributes))
        for group in request.resource_metrics
        for scoped in group.scope_metrics
        for metric in scoped.metrics
    }


def _received(metric: Metric, resource: dict[str, Any]) -> ReceivedMetric:
    kind = metric.WhichOneof("data") or ""
    data = getattr(metric, kind)
    return ReceivedMetric(
        name=metric.name,
        unit=metric.unit,
        kind=kind,
        cumulative=kind != "gauge" and data.aggregation_temporality == 2,
        monotonic=kind == "sum" and data.is_monotonic,
        resource=resource,
        points=tuple(_points(kind, data.data_points)),
    )


def _points(kind: str, points: Sequence[Any]) -> Iterator[ReceivedPoint]:
    for point in points:
        attributes = _attributes(point.attributes)
        times = point.start_time_unix_nano, point.time_unix_nano
        if kind == "histogram":
            yield ReceivedPoint(
                attributes,
                *times,
                counts=tuple(point.bucket_counts),
                bounds=tuple(point.explicit_bounds),
                sum=point.sum,
                exemplars={one.trace_id.hex(): one.as_double for one in point.exemplars},
            )
        else:
            yield ReceivedPoint(attributes, *times, getattr(point, point.WhichOneof("value")))


def _attributes(pairs: Sequence[KeyValue]) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value") for pair in pairs}
