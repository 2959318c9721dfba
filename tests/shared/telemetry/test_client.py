import asyncio

import pytest
from opentelemetry.trace import SpanKind

from shared.asgi import Receive, Scope, Send
from shared.telemetry.client import client_span, inject
from shared.telemetry.server import ServedRequest, ServerSpans
from shared.telemetry.setup import Telemetry
from shared.telemetry.terms import ServiceTerms, write_terms
from tests.shared.telemetry.recording import discard, http_scope, receive, recording
from tests.shared.telemetry.test_tracecontext import TRACE, VALID

URL = "http://user:pw@127.0.0.1:8001/v1/contacts?q=jane&filter[email]=jane%40example.com#top"


def test_each_attempt_is_a_client_span() -> None:
    telemetry, finished = recording()
    for attempt in range(2):
        with client_span(
            telemetry, method="GET", url=URL, resend_count=attempt, template="/v1/contacts"
        ) as span:
            span.event("chosen", {"crm.upstream.replica": "customers-1"})
            span.answered(503 if attempt == 0 else 200)
    first, second = finished()
    assert first.kind is SpanKind.CLIENT
    assert first.name == "GET /v1/contacts"
    assert first.attributes == {
        "http.request.method": "GET",
        "url.full": "http://127.0.0.1:8001/v1/contacts?q=REDACTED&filter[email]=REDACTED",
        "url.template": "/v1/contacts",
        "server.address": "127.0.0.1",
        "server.port": 8001,
        "http.response.status_code": 503,
        "error.type": "503",
    }
    assert [name for name, _, _ in first.events] == ["chosen"]
    assert second.attributes["http.request.resend_count"] == 1
    assert second.error is None


def test_a_failed_attempt_names_the_exception_and_goes_on() -> None:
    telemetry, finished = recording()
    with pytest.raises(ConnectionRefusedError), client_span(telemetry, method="GET", url=URL):
        raise ConnectionRefusedError("no one there")
    (span,) = finished()
    assert span.attributes["error.type"] == "ConnectionRefusedError"
    assert span.error == ""


async def test_the_called_service_becomes_the_attempts_child() -> None:
    telemetry, finished = recording()
    headers = {"traceparent": VALID, "tracestate": "gone=1"}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with client_span(telemetry, method="GET", url=URL) as span:
            inject(span, headers)

    await ServerSpans(app, telemetry)(http_scope(traceparent=VALID, tracestate="a=1"), receive, discard)
    client, server = finished()
    assert (client.trace_id, client.parent_id) == (server.trace_id, server.span_id)
    assert headers["traceparent"] == f"00-{TRACE}-{client.span_id:016x}-01"
    assert headers["tracestate"] == "a=1"


async def test_without_an_endpoint_the_callers_context_is_passed_on_unchanged() -> None:
    headers: dict[str, str] = {}
    telemetry = Telemetry()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with client_span(telemetry, method="GET", url=URL) as span:
            inject(span, headers)

    await ServerSpans(app, telemetry)(http_scope(traceparent=VALID, tracestate="a=1"), receive, discard)
    assert headers == {"traceparent": VALID, "tracestate": "a=1"}


def test_without_any_trace_nothing_is_sent() -> None:
    headers = {"traceparent": VALID}
    with client_span(Telemetry(), method="GET", url=URL) as span:
        inject(span, headers)
    assert headers == {}


async def test_a_calls_time_is_downstream_in_the_terms_that_it_told() -> None:
    served: list[ServedRequest] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with client_span(Telemetry(), method="GET", url=URL) as span:
            await asyncio.sleep(0.02)
            told = ServiceTerms(queue=1_000_000, db_wait=0, db=2_000_000, processing=1_000_000, sched=0)
            span.answered(200, write_terms(told).decode())
        await asyncio.sleep(0.02)

    await ServerSpans(app, Telemetry(), served=served.append)(http_scope(), receive, discard)
    terms = served[0].terms
    down = terms.down_processing + terms.down_network + terms.down_system
    assert down >= 19_000_000
    assert terms.down_processing >= 3 * terms.down_system - 3 > 0
    assert terms.sched >= 19_000_000
    assert sum(terms) == served[0].duration_ns
