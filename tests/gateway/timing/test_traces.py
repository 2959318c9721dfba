"""What becomes of kept requests: the buffer, the outbox, and JSON for the admin API."""

import json
from uuid import UUID

from opentelemetry.trace import SpanKind

from services.gateway.timing.finished import FinishedRequest
from services.gateway.timing.keeping import ASKED, Keeping, KeepingRule
from services.gateway.timing.traces import Traces
from shared.telemetry.outbox import Spans
from shared.telemetry.spans import SpanRecord
from shared.telemetry.terms import ServiceTerms
from tests.gateway.timing.requests import attempt, finished

TRACE = f"{7:032x}"
WALL = 1_700_000_000_000_000_000
TENANT = str(UUID(int=5))


class Box:
    """An outbox that keeps what it is given."""

    def __init__(self) -> None:
        self.put_in: list[list[SpanRecord]] = []

    def put(self, spans: Spans) -> None:
        self.put_in.append(list(spans))


def traces(box: Box | None = None) -> Traces:
    return Traces(Keeping(KeepingRule(share=0), 0), box)


def request(kept: str = "sampled") -> FinishedRequest:
    one = attempt(
        10,
        20,
        900,
        950,
        status=200,
        span_id=3,
        host="10.0.0.1",
        port=8101,
        reason="least load",
        terms=ServiceTerms(queue=100, db_wait=0, db=300, processing=200, sched=0),
    )
    return finished(
        one,
        ready=10,
        slot=10,
        done=1_000,
        offset_ns=WALL,
        trace_id=7,
        span_id=2,
        parent_id=1,
        kept=kept,
        status=200,
        template="/v1/x",
        upstream="customers",
        request_id=b"r-1",
        decisions=(("retry", 500, {"crm.retry.reason": "because"}),),
    )


def test_what_is_exported() -> None:
    box = Box()
    one = traces(box)
    one.take([request("sampled"), request("recent"), request("error")])
    assert [[span.kind for span in spans] for spans in box.put_in] == [[SpanKind.SERVER, SpanKind.CLIENT]] * 2
    assert len(one.recent) == 3


def test_without_a_collector_the_buffer_still_explains() -> None:
    one = traces()
    one.take([request()])
    assert one.describe({}) == [
        {
            "trace_id": TRACE,
            "request_id": "r-1",
            "start_unix_ns": WALL,
            "method": "GET",
            "route": "/v1/x",
            "upstream": "customers",
            "status": 200,
            "error": None,
            "kept": "sampled",
            "attempts": 1,
            "processing_ns": 10 + 10 + 500 + 100,
            "network_ns": 0,
            "system_ns": 100 + 280,
            "total_ns": 1_000,
            "dominant": "processing",
        }
    ]
    assert one.describe({"route": "/v1/y"}) == []


def test_an_explanation_has_every_hop() -> None:
    one = traces()
    one.take([request()])
    (told,) = one.explain(TRACE)
    gateway, service = told["hops"]
    assert (gateway["hop"], gateway["total_ns"], sum(gateway["components"].values())) == (
        "gateway",
        1_000,
        1_000,
    )
    assert service == {
        "hop": "customers",
        "address": "10.0.0.1:8101",
        "attempt": 1,
        "processing_ns": 500,
        "network_ns": 0,
        "system_ns": 100,
        "total_ns": 600,
        "dominant": "processing",
        "components": {"queue": 100, "db": 300, "processing": 200},
    }
    server, client = told["spans"]
    assert (server["span_id"], server["parent_span_id"], server["kind"]) == (
        f"{2:016x}",
        f"{1:016x}",
        "SERVER",
    )
    assert (client["span_id"], client["parent_span_id"], client["kind"]) == (
        f"{3:016x}",
        f"{2:016x}",
        "CLIENT",
    )
    assert server["events"] == [
        {"name": "retry", "time_unix_ns": WALL + 500, "attributes": {"crm.retry.reason": "because"}}
    ]
    assert server["end_unix_ns"] - server["start_unix_ns"] == told["total_ns"]
    assert json.loads(json.dumps(told)) == told  # it goes through the workers' channel
    assert one.explain(f"{8:032x}") == []


def test_orders() -> None:
    one = traces()
    one.record("/v1/x", TENANT, for_s=60, most=5, now_ns=0)
    assert one.keeping.before(b"f" * 32, "/v1/x", UUID(TENANT), 1) == ASKED
    assert one.recordings(10**9) == [{"route": "/v1/x", "tenant": TENANT, "for_s": 59.0, "left": 4}]
    one.forget("/v1/x", TENANT)
    assert one.recordings(10**9) == []
    one.record(None, None, for_s=1, most=1, now_ns=0)
    assert one.recordings(0)[0]["tenant"] is None
