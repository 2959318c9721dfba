import time
from collections.abc import Iterator

import pytest
from opentelemetry.trace import SpanKind

from shared.telemetry.exporting import OtlpSpanExporter
from shared.telemetry.outbox import OutboxLimits, SpanOutbox
from shared.telemetry.setup import configure, outbox_limits
from shared.telemetry.spans import SpanRecord
from shared.testing.otlp import OtlpReceiver

TRACE = 0x4BF92F3577B34DA6A3CE929D0E0E4736
SERVER = SpanRecord(
    TRACE,
    0xB7AD6B7169203331,
    0x00F067AA0BA902B7,
    SpanKind.SERVER,
    "GET /v1/accounts",
    1_000,
    3_500,
    {"http.request.method": "GET", "crm.latency.total_ns": 2_500, "share": 0.5, "names": ("a", "b")},
    [("retry", 2_000, {"attempt": 2})],
    None,
    "a=1,b=2",
)
STATEMENT = SpanRecord(TRACE, 7, SERVER.span_id, SpanKind.CLIENT, "SELECT", 1, 2, {}, (), "40001")
ROOT = SpanRecord(TRACE, 8, 0, SpanKind.SERVER, "GET", 1, 2, {}, (), "")


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as receiver:
        yield receiver


def test_a_record_arrives_whole(receiver: OtlpReceiver) -> None:
    exporter = OtlpSpanExporter(
        f"{receiver.endpoint}/v1/traces", {"service.name": "sales", "service.version": "1.2"}
    )
    assert exporter.export([SERVER, STATEMENT, ROOT])
    exporter.shutdown()
    exporter.shutdown()
    server, statement, root = receiver.spans
    assert (server.trace_id, server.span_id) == (f"{TRACE:032x}", "b7ad6b7169203331")
    assert (server.parent_span_id, server.kind, server.name) == (
        "00f067aa0ba902b7",
        "SERVER",
        "GET /v1/accounts",
    )
    assert (server.start_ns, server.duration_ns, server.status) == (1_000, 2_500, "UNSET")
    assert server.attributes == {**SERVER.attributes, "names": ["a", "b"]}
    assert [(event.name, event.time_ns, event.attributes) for event in server.events] == [
        ("retry", 2_000, {"attempt": 2})
    ]
    assert server.trace_state == "a=1,b=2"
    assert server.service == "sales"
    assert server.resource["host.id"]
    assert server.scope == "kontor"
    assert (statement.kind, statement.status, statement.parent_span_id) == (
        "CLIENT",
        "ERROR",
        server.span_id,
    )
    assert (root.parent_span_id, root.status) == ("", "ERROR")


def test_more_than_fit_between_two_pauses(receiver: OtlpReceiver) -> None:
    exporter = OtlpSpanExporter(f"{receiver.endpoint}/v1/traces", {"service.name": "sales"})
    records = [STATEMENT._replace(span_id=number) for number in range(1, 151)]
    assert exporter.export(records)
    exporter.shutdown()
    assert [int(span.span_id, 16) for span in receiver.spans] == list(range(1, 151))


def test_a_refused_batch_is_a_failure(receiver: OtlpReceiver) -> None:
    receiver.answer = 400
    exporter = OtlpSpanExporter(f"{receiver.endpoint}/v1/traces", {"service.name": "sales"})
    assert not exporter.export([ROOT])
    exporter.shutdown()


def test_an_outage_is_bounded_counted_and_over_at_the_shutdown(receiver: OtlpReceiver) -> None:
    receiver.answer = 503
    exporter = OtlpSpanExporter(f"{receiver.endpoint}/v1/traces", {"service.name": "sales"})
    outbox = SpanOutbox(exporter, OutboxLimits(50, 10, 0.001))
    for _ in range(500):
        outbox.put([ROOT, STATEMENT])
        assert outbox.waiting <= 60
    outbox.shutdown(0.2)
    assert outbox.failed + outbox.dropped == 1_000
    assert (outbox.sent, outbox.waiting) == (0, 0)


def test_a_collector_that_comes_back_gets_what_has_waited(receiver: OtlpReceiver) -> None:
    receiver.answer = 503
    exporter = OtlpSpanExporter(f"{receiver.endpoint}/v1/traces", {"service.name": "sales"})
    outbox = SpanOutbox(exporter, OutboxLimits(50, 10, 0.001))
    outbox.put([ROOT])
    while not receiver.requests:
        time.sleep(0.001)
    receiver.answer = 200
    outbox.shutdown(30.0)
    assert (outbox.sent, outbox.failed, outbox.dropped) == (1, 0, 0)


def test_telemetry_has_an_outbox_where_there_is_an_endpoint(receiver: OtlpReceiver) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint, "OTEL_TRACES_SAMPLER_ARG": "0.25"}
    telemetry = configure("sales", version="1", instance_id="sales-1", environ=environ)
    assert telemetry.outbox is not None
    assert telemetry.share == 0.25
    telemetry.outbox.put([ROOT])
    telemetry.shutdown()
    (span,) = receiver.spans
    assert span.resource["service.instance.id"] == "sales-1"
    assert configure("sales", version="1", instance_id="sales-1", environ={}).outbox is None


def test_the_bounds_are_the_standard_ones() -> None:
    assert outbox_limits({}) == OutboxLimits()
    environ = {
        "OTEL_BSP_MAX_QUEUE_SIZE": "50",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "80",
        "OTEL_BSP_SCHEDULE_DELAY": "20",
    }
    assert outbox_limits(environ) == OutboxLimits(50, 50, 0.02)


@pytest.mark.parametrize("text", ["0", "-1", "x", "1.5", "٣"])
def test_a_bound_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="OTEL_BSP_MAX_QUEUE_SIZE"):
        outbox_limits({"OTEL_BSP_MAX_QUEUE_SIZE": text})
