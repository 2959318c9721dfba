"""Held to the official decoder, and to what the SDK's own exporter writes of the same spans."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from shared.telemetry.otlp import OtlpEncoder, span
from shared.telemetry.spans import CommonAttributes, SpanRecord

RESOURCE: dict[str, Any] = {"service.name": "sales", "host.id": "h" * 200, "replicas": 3, "share": 0.5}


def the_sdks(record: SpanRecord) -> ReadableSpan:
    """The same span as the SDK has it."""
    state = TraceState.from_header([record.trace_state])
    remote = record.kind is SpanKind.SERVER
    parent = SpanContext(record.trace_id, record.parent_id, remote, TraceFlags(1), state)
    return ReadableSpan(
        record.name,
        context=SpanContext(record.trace_id, record.span_id, False, TraceFlags(1), state),
        parent=parent if record.parent_id else None,
        resource=Resource(RESOURCE),
        attributes=record.all_attributes,
        events=[Event(name, attributes, at_ns) for name, at_ns, attributes in record.events],
        kind=record.kind,
        status=Status() if record.error is None else Status(StatusCode.ERROR, record.error or None),
        start_time=record.start_ns,
        end_time=record.end_ns,
        instrumentation_scope=InstrumentationScope("kontor", "1.2"),
    )


def decoded(records: list[SpanRecord]) -> ExportTraceServiceRequest:
    encoder = OtlpEncoder(RESOURCE, "kontor", "1.2")
    request = ExportTraceServiceRequest()
    request.ParseFromString(encoder.request([span(record) for record in records]))
    return request


TEXT = st.text(st.characters(codec="utf-8"), max_size=300)
NUMBER = st.integers(-(2**63), 2**63 - 1)
FLOAT = st.floats(allow_nan=False)
VALUE = st.one_of(
    TEXT,
    NUMBER,
    st.booleans(),
    FLOAT,
    *(st.lists(kind, max_size=4).map(tuple) for kind in (TEXT, NUMBER, st.booleans(), FLOAT)),
)
ATTRIBUTES = st.dictionaries(TEXT.filter(bool), VALUE, max_size=6)
TIME = st.integers(0, 2**63)
RECORD = st.builds(
    SpanRecord,
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.just(0) | st.integers(1, 2**64 - 1),
    st.sampled_from(SpanKind),
    TEXT,
    TIME,
    TIME,
    ATTRIBUTES,
    st.lists(st.tuples(TEXT, TIME.filter(bool), ATTRIBUTES), max_size=3),
    st.none() | TEXT,
    st.sampled_from(["", "a=1", "a=1,b=2"]),
    # The order of attributes means nothing, but is compared: these are the first, and theirs no other's names.
    ATTRIBUTES.map(lambda found: CommonAttributes({f"common.{name}": found[name] for name in found})),
)


@given(st.lists(RECORD, min_size=1, max_size=3))
def test_it_says_what_the_sdk_says(records: list[SpanRecord]) -> None:
    assert decoded(records) == encode_spans([the_sdks(record) for record in records])


def test_text_that_no_encoding_takes_is_replaced() -> None:
    record = SpanRecord(1, 2, 0, SpanKind.CLIENT, "a\ud800b", 1, 2, {"k": "\udfff"})
    (found,) = decoded([record]).resource_spans[0].scope_spans[0].spans
    assert (found.name, found.attributes[0].value.string_value) == ("a?b", "?")


def test_times_at_zero_are_times() -> None:
    record = SpanRecord(1, 2, 0, SpanKind.CLIENT, "GET", 0, 0, {})
    (found,) = decoded([record]).resource_spans[0].scope_spans[0].spans
    assert (found.start_time_unix_nano, found.end_time_unix_nano) == (0, 0)
