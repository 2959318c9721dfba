import subprocess
import sys
from collections.abc import Iterable
from threading import Event

import pytest

from shared.telemetry.metrics.definitions import LOOP_LAG, SPANS
from shared.telemetry.metrics.export import (
    MetricsExport,
    configure_metrics_export,
    export_interval_s,
    metrics_endpoint,
)
from shared.telemetry.metrics.families import Family, Number
from shared.testing.otlp import OtlpReceiver
from shared.testing.otlp_metrics import decode_metrics
from tests.shared.telemetry.metrics.recording import MS, observation, request_metrics

PATIENCE_S = 30.0


class Collector:
    """Keeps what it is sent; a `hanging` one waits first until it may go on, or is shut down."""

    def __init__(self, *, hanging: bool = False, failing: bool = False) -> None:
        self.received: list[list[Family]] = []
        self.arrived = Event()
        self.may_go_on = Event()
        self.failing = failing
        if not hanging:
            self.may_go_on.set()

    def export(self, told: Iterable[Family], time_ns: int) -> bool:
        self.arrived.set()
        self.may_go_on.wait()
        if self.failing:
            raise RuntimeError("no such encoding")
        self.received.append(list(told))
        return True

    def shutdown(self) -> None:
        self.may_go_on.set()


def spans(count: int) -> list[Family]:
    return [Family(SPANS, [Number(("sent", "gateway"), count)])]


def test_only_the_newest_snapshot_waits() -> None:
    collector = Collector(hanging=True)
    export = MetricsExport(collector, 60)
    export.put(spans(1))
    assert collector.arrived.wait(PATIENCE_S)
    for count in (2, 3, 4):
        export.put(spans(count))
    collector.may_go_on.set()
    export.shutdown(PATIENCE_S)
    assert collector.received == [spans(1), spans(4)]
    assert (export.sent, export.failed) == (2, 0)


def test_a_collector_that_hangs_holds_nobody_up() -> None:
    collector = Collector(hanging=True)
    export = MetricsExport(collector, 60)
    export.put(spans(1))
    assert collector.arrived.wait(PATIENCE_S)
    export.shutdown(0.01)
    export.shutdown(PATIENCE_S)
    assert collector.received == [spans(1)]


def test_a_defect_is_logged_and_the_next_snapshot_goes(caplog: pytest.LogCaptureFixture) -> None:
    collector = Collector(failing=True)
    export = MetricsExport(collector, 60)
    export.put(spans(1))
    while not export.failed:
        Event().wait(0.001)
    collector.failing = False
    export.put(spans(2))
    export.shutdown(PATIENCE_S)
    assert "no such encoding" in caplog.text
    assert collector.received == [spans(2)]


def configured(receiver: OtlpReceiver) -> MetricsExport:
    export = configure_metrics_export(
        "gateway",
        version="1.2.3",
        instance_id="1.2",
        environ={"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint},
    )
    assert export is not None
    return export


def test_a_real_export_holds_every_figure() -> None:
    metrics = request_metrics()
    metrics.observe(
        [
            observation(terms=(60 * MS, MS, 0), trace_id=0xABC, span_id=0xDEF),
            observation(status=503, error="overloaded"),
        ]
    )
    with OtlpReceiver() as receiver:
        export = configured(receiver)
        export.put([*metrics.families(), Family(LOOP_LAG, [Number(("gateway",), 0.25)]), Family(SPANS, [])])
        export.shutdown(PATIENCE_S)
        (body,) = receiver.metrics
    received = decode_metrics(body)
    assert set(received) == {
        "http.server.request.duration",
        "crm.response.component.duration",
        "crm.security.events",
        "crm.event_loop.lag",
    }
    duration = received["http.server.request.duration"]
    assert (duration.kind, duration.cumulative, duration.unit, duration.count) == ("histogram", True, "s", 2)
    assert duration.resource["service.name"] == "gateway"
    assert duration.resource["service.instance.id"] == "1.2"
    ok, failed = duration.points
    assert ok.attributes == {
        "http.request.method": "GET",
        "http.route": "/v1/deals",
        "http.response.status_code": 200,
        "hop": "gateway",
    }
    assert failed.attributes["error.type"] == "overloaded"
    assert (ok.sum, ok.exemplars) == (0.061, {f"{0xABC:032x}": 0.061})
    assert ok.bounds[:3] == (0.005, 0.01, 0.025)
    assert sum(ok.counts) == ok.counts[4] == 1
    assert 0 < ok.start_ns < ok.time_ns
    events = received["crm.security.events"]
    assert (events.kind, events.cumulative, events.monotonic, len(events.points)) == ("sum", True, True, 5)
    lag = received["crm.event_loop.lag"]
    assert (lag.kind, lag.points[0].value) == ("gauge", 0.25)


def test_a_collector_that_refuses_is_a_failure() -> None:
    with OtlpReceiver() as receiver:
        receiver.answer = 400
        export = configured(receiver)
        export.put(spans(1))
        export.shutdown(PATIENCE_S)
    assert (export.sent, export.failed) == (0, 1)


@pytest.mark.parametrize(
    ("environ", "endpoint"),
    [
        ({}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, "http://c:4318/v1/metrics"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/otlp/"}, "http://c:4318/otlp/v1/metrics"),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "https://c/m"}, "https://c/m"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://b/m"},
            "http://b/m",
        ),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://b/t"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_SDK_DISABLED": "true"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_METRICS_EXPORTER": "none"}, None),
    ],
)
def test_the_endpoint_comes_from_the_standard_variables(
    environ: dict[str, str], endpoint: str | None
) -> None:
    assert metrics_endpoint(environ) == endpoint


def test_an_endpoint_that_is_no_url_is_refused() -> None:
    with pytest.raises(ValueError, match="collector:4317"):
        metrics_endpoint({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317"})


def test_the_interval() -> None:
    assert export_interval_s({}) == 60
    assert export_interval_s({"OTEL_METRIC_EXPORT_INTERVAL": "2500"}) == 2.5
    for text in ("0", "-1", "soon", "1.5"):
        with pytest.raises(ValueError, match="OTEL_METRIC_EXPORT_INTERVAL"):
            export_interval_s({"OTEL_METRIC_EXPORT_INTERVAL": text})


def test_without_an_endpoint_there_is_no_thread_and_no_sdk() -> None:
    code = (
        "import sys, threading\n"
        "from shared.telemetry.metrics.export import configure_metrics_export as configure\n"
        "import shared.telemetry.metrics.service, shared.telemetry.metrics.process\n"
        "assert configure('t', version='1', instance_id='1', environ={}) is None\n"
        "names = ('opentelemetry.sdk', 'google.protobuf', 'requests', 'prometheus_client')\n"
        "print([name for name in names if name in sys.modules], threading.active_count())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] 1"
