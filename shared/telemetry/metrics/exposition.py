"""Families as text: Prometheus' own format (0.0.4) and OpenMetrics (1.0), which has exemplars. Pure.

https://prometheus.io/docs/instrumenting/exposition_formats/ and https://prometheus.io/docs/specs/om/open_metrics_spec/

A service writes its page on the event loop that serves: 180 histograms take 2 ms here and 24 ms with
prometheus_client, whose parsers are what the tests read this with.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from shared.telemetry.metrics.definitions import Kind
from shared.telemetry.metrics.families import Distribution, Exemplar, Family

PROMETHEUS_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\n": "\\n", '"': '\\"'})


def content_type(accept: str) -> str:
    """What to answer to this `Accept`: OpenMetrics to whoever asks for it and likes nothing better, else text."""
    liked = dict(_media_ranges(accept))
    open_metrics = liked.get("application/openmetrics-text", 0.0)
    text = max(liked.get(kind, 0.0) for kind in ("text/plain", "text/*", "*/*"))
    return OPEN_METRICS if open_metrics > 0 and open_metrics >= text else PROMETHEUS_TEXT


def expose(families: Iterable[Family], kind: str) -> bytes:
    """All families as one document of this content type."""
    open_metrics = kind == OPEN_METRICS
    lines = [line for family in families if family.points for line in _family(family, open_metrics)]
    if open_metrics:
        lines.append("# EOF")
    return "\n".join([*lines, ""]).encode()


def _media_ranges(accept: str) -> Iterator[tuple[str, float]]:
    for part in accept.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weights = [value for value in parameters if value.startswith("q=")]
        try:
            yield name, float(weights[0][2:]) if weights else 1.0
        except ValueError:
            yield name, 0.0


def _family(family: Family, open_metrics: bool) -> Iterator[str]:
    metric = family.metric
    name = metric.prometheus_name
    samples = f"{name}_total" if metric.kind is Kind.COUNTER else name
    heading = name if open_metrics else samples
    yield f"# HELP {heading} {metric.description}"
    yield f"# TYPE {heading} {metric.kind.value}"
    if open_metrics and metric.unit == "s":
        yield f"# UNIT {heading} seconds"
    keys = [key.replace(".", "_") for key in metric.labels]
    bounds = [repr(bound / 1e9) for bound in metric.bounds_ns]
    for point in family.points:
        labels = ",".join(
            [
                f'{key}="{value.translate(_ESCAPES)}"'
                for key, value in zip(keys, point.labels, strict=True)
                if value
            ]
        )
        if isinstance(point, Distribution):
            yield from _distribution(name, labels, bounds, point, open_metrics)
        else:
            yield f"{samples}{_braced(labels)} {point.value!r}"


def _distribution(
    name: str, labels: str, bounds: Iterable[str], point: Distribution, open_metrics: bool
) -> Iterator[str]:
    exemplars: Mapping[int, Exemplar] = (
        {exemplar.bucket: exemplar for exemplar in point.exemplars} if open_metrics else {}
    )
    start = f'{name}_bucket{{{labels}{"," if labels else ""}le="'
    count = 0
    for bucket, (bound, here) in enumerate(zip((*bounds, "+Inf"), point.counts, strict=True)):
        count += here
        exemplar = exemplars.get(bucket)
        yield f'{start}{bound}"}} {count}{_exemplar(exemplar) if exemplar is not None else ""}'
    yield f"{name}_sum{_braced(labels)} {point.sum_ns / 1e9!r}"
    yield f"{name}_count{_braced(labels)} {count}"


def _exemplar(exemplar: Exemplar) -> str:
    seconds = f"{exemplar.time_ns // 1_000_000_000}.{exemplar.time_ns // 1_000_000 % 1_000:03d}"
    labels = f'trace_id="{exemplar.trace_id:032x}",span_id="{exemplar.span_id:016x}"'
    return f" # {{{labels}}} {exemplar.value_ns / 1e9!r} {seconds}"


def _braced(labels: str) -> str:
    return f"{{{labels}}}" if labels else ""
