"""What arrives at a collector is what the buffer shows, decoded with the official protobufs."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.gateway.resilience.ledger import BROKEN
from services.gateway.timing.finished import RETRY, FinishedRequest
from services.gateway.timing.keeping import Keeping, KeepingRule
from services.gateway.timing.spans import spans_of
from services.gateway.timing.traces import Traces
from shared.telemetry.exporting import OtlpSpanExporter
from shared.telemetry.terms import ServiceTerms
from shared.testing.otlp import OtlpReceiver, ReceivedSpan
from tests.gateway.timing.requests import attempt, finished

WALL = 1_700_000_000_000_000_000


def request(method: bytes, path: bytes, claim: int, detail: str) -> FinishedRequest:
    broken = attempt(10, 20, 0, 30, outcome=BROKEN, detail=detail, host="10.0.0.1", port=1, span_id=3)
    said = ServiceTerms(0, 0, claim, 0, 0)
    again = attempt(
        40, 50, 90, 95, kind=RETRY, terms=said, status=200, host="10.0.0.2", port=1, span_id=4, reason="r"
    )
    return finished(
        broken,
        again,
        ready=10,
        slot=10,
        done=100,
        offset_ns=WALL,
        trace_id=2**128 - 1,
        span_id=2**64 - 1,
        parent_id=1,
        method=method,
        path=path,
        target=path + b"?a=b",
        status=200,
        template="/v1/x",
        upstream="customers",
        kept="sampled",
        decisions=(("retry", 35, {"crm.retry.reason": detail}),),
    )


def told(span: ReceivedSpan) -> dict[str, object]:
    return {
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "parent_span_id": span.parent_span_id,
        "service": span.service,
        "kind": span.kind,
        "name": span.name,
        "start_unix_ns": span.start_ns,
        "end_unix_ns": span.end_ns,
        "attributes": span.attributes,
        "events": [
            {"name": event.name, "time_unix_ns": event.time_ns, "attributes": event.attributes}
            for event in span.events
        ],
    }


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from([b"GET", b"BREW"]),
    st.binary(max_size=40).map(lambda rest: b"/" + rest),
    st.integers(0, 10**19 - 1),
    st.text(max_size=20),
)
def test_what_arrives_is_what_is_shown(method: bytes, path: bytes, claim: int, detail: str) -> None:
    one = request(method, path, claim, detail)
    traces = Traces(Keeping(KeepingRule(), 0), None)
    traces.take([one])
    (explained,) = traces.explain(f"{one.trace_id:032x}")
    with OtlpReceiver() as receiver:
        exporter = OtlpSpanExporter(f"{receiver.endpoint}/v1/traces", {"service.name": "gateway"})
        assert exporter.export(spans_of(one))
        exporter.shutdown()
        arrived = receiver.spans
    shown = [{name: value for name, value in span.items() if name != "error"} for span in explained["spans"]]
    assert [told(span) for span in arrived] == shown
    server, broken, again = arrived
    assert [span.status for span in arrived] == ["UNSET", "ERROR", "UNSET"]
    assert {span.parent_span_id for span in (broken, again)} == {server.span_id}
    assert server.duration_ns == one.total_ns == server.attributes["crm.latency.total_ns"]
