import pytest
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from shared.telemetry.client import client_span, inject
from shared.telemetry.server import Receive, Scope, Send, ServerSpans
from shared.telemetry.setup import Telemetry
from tests.shared.telemetry.recording import discard, http_scope, receive, recording
from tests.shared.telemetry.test_tracecontext import TRACE, VALID

URL = "http://user:pw@127.0.0.1:8001/v1/contacts?q=jane&filter[email]=jane%40example.com#top"


def test_each_attempt_is_a_client_span() -> None:
    telemetry, exporter = recording()
    for attempt in range(2):
        with client_span(
            telemetry, method="GET", url=URL, resend_count=attempt, template="/v1/contacts"
        ) as span:
            span.event("chosen", {"crm.upstream.replica": "customers-1"})
            span.answered(503 if attempt == 0 else 200)
    first, second = exporter.get_finished_spans()
    assert first.kind is SpanKind.CLIENT
    assert first.name == "GET /v1/contacts"
    assert dict(first.attributes or {}) == {
        "http.request.method": "GET",
        "url.full": "http://127.0.0.1:8001/v1/contacts?q=REDACTED&filter[email]=REDACTED",
        "url.template": "/v1/contacts",
        "server.address": "127.0.0.1",
        "server.port": 8001,
        "http.response.status_code": 503,
        "error.type": "503",
    }
    assert [event.name for event in first.events] == ["chosen"]
    assert second.attributes is not None
    assert second.attributes["http.request.resend_count"] == 1
    assert second.status.status_code is StatusCode.UNSET


def test_a_failed_attempt_names_the_exception_and_goes_on() -> None:
    telemetry, exporter = recording()
    with pytest.raises(ConnectionRefusedError), client_span(telemetry, method="GET", url=URL):
        raise ConnectionRefusedError("no one there")
    (span,) = exporter.get_finished_spans()
    assert span.attributes is not None
    assert span.attributes["error.type"] == "ConnectionRefusedError"
    assert span.status.status_code is StatusCode.ERROR


async def test_the_called_service_becomes_the_attempts_child() -> None:
    telemetry, exporter = recording()
    headers = {"traceparent": VALID, "tracestate": "gone=1"}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with client_span(telemetry, method="GET", url=URL) as span:
            inject(span, headers)

    await ServerSpans(app, telemetry)(http_scope(traceparent=VALID, tracestate="a=1"), receive, discard)
    client, server = exporter.get_finished_spans()
    assert client.context is not None
    assert server.context is not None
    assert client.parent == server.context
    assert headers["traceparent"] == f"00-{TRACE}-{client.context.span_id:016x}-01"
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
    assert not get_current_span().get_span_context().is_valid
    headers = {"traceparent": VALID}
    with client_span(Telemetry(), method="GET", url=URL) as span:
        inject(span, headers)
    assert headers == {}
