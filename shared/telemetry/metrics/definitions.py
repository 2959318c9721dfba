"""Which metrics there are: names, units and labels by OpenTelemetry's conventions where these have one. Data.

Names have dots here and over OTLP; Prometheus has underscores and the unit (`definitions.Metric.prometheus_name`).
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Final


class Kind(StrEnum):
    """How a metric behaves; the value is Prometheus' word."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Across(StrEnum):
    """What several processes' gauges of one name are together; counters and histograms are always added up."""

    SUM = "sum"
    MAX = "max"
    MIN = "min"
    MEAN = "mean"  # weighted, see `families.Number`


@dataclass(frozen=True)
class Metric:
    """`unit` is UCUM's: `s`, or a thing counted in braces. Histograms are of durations, their `bounds_ns` inclusive."""

    name: str
    kind: Kind
    unit: str
    description: str
    labels: tuple[str, ...] = ()
    across: Across = Across.SUM
    bounds_ns: tuple[int, ...] = ()

    @cached_property
    def prometheus_name(self) -> str:
        """With the unit as suffix; a counter's samples have `_total` behind it."""
        name = self.name.replace(".", "_")
        return f"{name}_seconds" if self.unit == "s" else name


def _ns(*milliseconds: int) -> tuple[int, ...]:
    return tuple(one * 1_000_000 for one in milliseconds)


# As the conventions advise for each of the two.
HTTP_BOUNDS_NS: Final = _ns(5, 10, 25, 50, 75, 100, 250, 500, 750, 1_000, 2_500, 5_000, 7_500, 10_000)
DATABASE_BOUNDS_NS: Final = _ns(1, 5, 10, 50, 100, 500, 1_000, 5_000, 10_000)

REQUEST_DURATION: Final = Metric(
    "http.server.request.duration",
    Kind.HISTOGRAM,
    "s",
    "Response time: from a request's first bytes to the end of its answer.",
    ("http.request.method", "http.route", "http.response.status_code", "error.type", "hop"),
    bounds_ns=HTTP_BOUNDS_NS,
)
COMPONENT_DURATION: Final = Metric(
    "crm.response.component.duration",
    Kind.HISTOGRAM,
    "s",
    "The response time's three terms: request processing, network latency, system response time.",
    ("component", "hop", "http.route"),
    bounds_ns=HTTP_BOUNDS_NS,
)
ACTIVE_REQUESTS: Final = Metric(
    "http.server.active_requests", Kind.GAUGE, "{request}", "Requests under way.", ("hop",)
)
LITTLES_LAW: Final = Metric(
    "crm.littles_law.ratio",
    Kind.GAUGE,
    "1",
    "Mean number of requests under way / (rate x mean response time), over the last minute: 1 when both are right.",
    ("hop",),
    Across.MEAN,
)
SERVING_TIME: Final = Metric(
    "crm.serving.time", Kind.COUNTER, "s", "The time in which the process was ready to serve.", ("hop",)
)
SECURITY_EVENTS: Final = Metric(
    "crm.security.events",
    Kind.COUNTER,
    "{event}",
    "What was refused for security's sake.",
    ("event", "hop"),
)
LOOP_LAG: Final = Metric(
    "crm.event_loop.lag",
    Kind.GAUGE,
    "s",
    "How late the event loop ran what was due: the longest of the last second.",
    ("hop",),
    Across.MAX,
)
SPANS: Final = Metric(
    "crm.telemetry.spans", Kind.COUNTER, "{span}", "Finished spans, by what became of them.", ("state", "hop")
)
CONNECTIONS: Final = Metric(
    "db.client.connection.count",
    Kind.GAUGE,
    "{connection}",
    "Connections to the database that are in the state.",
    ("state", "db.client.connection.pool.name"),
)
CONNECTIONS_MAX: Final = Metric(
    "db.client.connection.max",
    Kind.GAUGE,
    "{connection}",
    "Connections to the database that may be open.",
    ("db.client.connection.pool.name",),
)
CONNECTION_WAIT: Final = Metric(
    "db.client.connection.wait_time",
    Kind.HISTOGRAM,
    "s",
    "How long a request that used the database waited for its connections.",
    bounds_ns=DATABASE_BOUNDS_NS,
)

SHARED_METRICS: Final = (
    REQUEST_DURATION,
    COMPONENT_DURATION,
    ACTIVE_REQUESTS,
    LITTLES_LAW,
    SERVING_TIME,
    SECURITY_EVENTS,
    LOOP_LAG,
    SPANS,
    CONNECTIONS,
    CONNECTIONS_MAX,
    CONNECTION_WAIT,
)
