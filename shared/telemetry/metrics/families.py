"""What was measured, as it is collected: plain values, to be added up, told as JSON, exposed or exported. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from shared.telemetry.metrics.definitions import Across, Kind, Metric


class Number(NamedTuple):
    """A counter's or a gauge's value under some labels; an empty label is none.

    `weight` is what the value counts beside those of other processes, where a gauge is their mean.
    """

    labels: tuple[str, ...]
    value: float
    weight: float = 1.0


class Exemplar(NamedTuple):
    """A request that stands for those of its bucket: its span, its duration, and when it ended (ns since 1970)."""

    bucket: int
    trace_id: int
    span_id: int
    value_ns: int
    time_ns: int


class Distribution(NamedTuple):
    """A histogram under some labels. `counts` are each bucket's own, the last one's beyond all bounds."""

    labels: tuple[str, ...]
    counts: Sequence[int]
    sum_ns: int
    exemplars: Sequence[Exemplar] = ()

    @property
    def total(self) -> int:
        """Of all buckets."""
        return sum(self.counts)


class Family(NamedTuple):
    """Everything under one name."""

    metric: Metric
    points: Sequence[Number | Distribution]


def as_json(families: Iterable[Family]) -> list[Any]:
    """For another process. Numbers come back as they were: whole ones stay whole."""
    return [[family.metric.name, family.points] for family in families]


def from_json(document: Iterable[Any], catalogue: Mapping[str, Metric]) -> list[Family]:
    """The families of `as_json`; raises `KeyError` for a name that is not in the catalogue."""
    return [_family(catalogue[name], points) for name, points in document]


def _family(metric: Metric, points: Iterable[Any]) -> Family:
    if metric.kind is Kind.HISTOGRAM:
        return Family(
            metric,
            [
                Distribution(tuple(labels), counts, sum_ns, [Exemplar(*one) for one in exemplars])
                for labels, counts, sum_ns, exemplars in points
            ],
        )
    return Family(metric, [Number(tuple(labels), value, weight) for labels, value, weight in points])


def merged(told: Iterable[Iterable[Family]]) -> list[Family]:
    """What several processes tell, as one: counts are added up, gauges by their metric's rule."""
    points: dict[Metric, dict[tuple[str, ...], Number | Distribution]] = {}
    for families in told:
        for metric, found in families:
            known = points.setdefault(metric, {})
            for point in found:
                other = known.get(point.labels)
                known[point.labels] = point if other is None else _both(metric, other, point)
    return [Family(metric, list(found.values())) for metric, found in points.items()]


def lasting(families: Iterable[Family]) -> list[Family]:
    """What stays true of a process that has ended: its counts, but no gauge."""
    return [family for family in families if family.metric.kind is not Kind.GAUGE]


def _both(metric: Metric, one: Number | Distribution, other: Number | Distribution) -> Number | Distribution:
    if isinstance(one, Distribution) and isinstance(other, Distribution):
        return _both_distributions(one, other)
    if isinstance(one, Number) and isinstance(other, Number):
        return _both_numbers(metric, one, other)
    raise TypeError(f"{metric.name} is told as numbers and as distributions")


def _both_distributions(one: Distribution, other: Distribution) -> Distribution:
    newest: dict[int, Exemplar] = {}
    for exemplar in sorted((*one.exemplars, *other.exemplars), key=lambda each: each.time_ns):
        newest[exemplar.bucket] = exemplar
    counts = [mine + theirs for mine, theirs in zip(one.counts, other.counts, strict=True)]
    return Distribution(one.labels, counts, one.sum_ns + other.sum_ns, list(newest.values()))


def _both_numbers(metric: Metric, one: Number, other: Number) -> Number:
    if metric.across is Across.MAX:
        return max(one, other, key=lambda each: each.value)
    if metric.across is Across.MIN:
        return min(one, other, key=lambda each: each.value)
    if metric.across is Across.MEAN:
        weight = one.weight + other.weight
        return Number(one.labels, (one.value * one.weight + other.value * other.weight) / weight, weight)
    return Number(one.labels, one.value + other.value)
