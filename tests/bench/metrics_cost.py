"""What counting costs: `make bench BENCH=metrics_cost`. Microseconds of CPU per request, the best of many rounds.

A request is its duration, the three terms and whether it is a security event; at the gateway an attempt besides.
Beside them the SDK's own instruments for the same four histograms, and what a page of 180 histograms takes to write
here and with prometheus_client.
"""

import random
from collections.abc import Callable
from functools import partial
from itertools import accumulate
from time import process_time_ns

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from services.gateway.metrics.attempts import AttemptMetrics, AttemptObservation
from shared.telemetry.metrics.exposition import OPEN_METRICS, PROMETHEUS_TEXT, expose
from shared.telemetry.metrics.families import Distribution, Family
from shared.telemetry.metrics.requests import Observation, RequestMetrics

_ROUNDS = 50
_BATCH = 64
_BATCHES = 50
_chance = random.Random(1)  # noqa: S311 (figures)


def main() -> None:
    """Print the figures."""
    for traced in (False, True):
        requests, metrics = _requests(traced), _request_metrics()
        cost = _per_one(partial(metrics.observe, requests))
        print(f"a request{', with exemplars' if traced else '':<16} {cost:6.2f} us")
    attempts, attempt_metrics = _attempts(), AttemptMetrics()
    print(f"its attempt               {_per_one(lambda: attempt_metrics.observe(attempts)):6.2f} us")
    print(f"the SDK's instruments     {_per_one(_sdk()):6.2f} us")
    families = _page()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(families))
    for name, write in (
        ("text", lambda: expose(families, PROMETHEUS_TEXT)),
        ("OpenMetrics", lambda: expose(families, OPEN_METRICS)),
        ("prometheus_client", lambda: generate_latest(registry)),
    ):
        print(f"a page, {name:<17} {_best(write) / 1_000:6.2f} ms")


def _per_one(work: Callable[[], object]) -> float:
    """Of a batch, in us."""

    def batches() -> None:
        for _ in range(_BATCHES):
            work()

    return _best(batches) / _BATCHES / _BATCH


def _best(work: Callable[[], object]) -> float:
    """In us of CPU."""
    found = []
    for _ in range(_ROUNDS):
        begin = process_time_ns()
        work()
        found.append(process_time_ns() - begin)
    return min(found) / 1_000


def _request_metrics() -> RequestMetrics:
    return RequestMetrics(
        "gateway", error_type=lambda _, error: error, security_event=lambda _status, _error: None
    )


def _requests(traced: bool) -> list[Observation]:
    return [_request(number, _chance.getrandbits(128) if traced else 0) for number in range(_BATCH)]


def _request(number: int, trace_id: int) -> Observation:
    route, status = f"/v1/r{_chance.randrange(30)}", _chance.choice((200, 200, 200, 201, 404))
    processing, network, system = (
        round(_chance.expovariate(1 / mean_ns)) for mean_ns in (400_000, 50_000, 2_000_000)
    )
    return b"GET", route, status, "", processing, network, system, number, trace_id, 1


def _attempts() -> list[AttemptObservation]:
    return [("sales", "127.0.0.1", 8001 + n % 3, 200, 0, n * 100_000, n, 0, 0) for n in range(_BATCH)]


def _sdk() -> Callable[[], None]:
    meter = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False).get_meter("bench")
    whole, component = meter.create_histogram("whole"), meter.create_histogram("component")

    def record() -> None:
        for _ in range(_BATCH):
            whole.record(
                0.01,
                {
                    "http.request.method": "GET",
                    "http.route": "/v1/r",
                    "http.response.status_code": 200,
                    "hop": "gateway",
                },
            )
            for name in ("processing", "network", "system"):
                component.record(0.003, {"component": name, "hop": "gateway", "http.route": "/v1/r"})

    return record


def _page() -> list[Family]:
    metrics = _request_metrics()
    metrics.observe(
        (b"GET", f"/v1/r{route}", status, "", 1_000_000, 10_000, 1_000, 0, 1, 1)
        for route in range(30)
        for status in (200, 404, 500)
    )
    return metrics.families()[:2]


class _Families(Collector):
    """The same histograms for prometheus_client."""

    def __init__(self, families: list[Family]) -> None:
        self._families = families

    def collect(self) -> list[HistogramMetricFamily]:
        """As it wants them."""
        return [_theirs(family) for family in self._families]


def _theirs(family: Family) -> HistogramMetricFamily:
    metric = family.metric
    labels = [label.replace(".", "_") for label in metric.labels]
    theirs = HistogramMetricFamily(metric.prometheus_name, metric.description, labels=labels)
    bounds = [*(str(bound / 1e9) for bound in metric.bounds_ns), "+Inf"]
    for point in family.points:
        if isinstance(point, Distribution):
            buckets = list(zip(bounds, accumulate(point.counts), strict=True))
            theirs.add_metric(point.labels, buckets, point.sum_ns / 1e9)
    return theirs


if __name__ == "__main__":
    main()
