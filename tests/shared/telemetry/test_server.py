import asyncio
import time

import pytest
from fastapi import APIRouter, FastAPI
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from shared.logs.context import request_id_var
from shared.telemetry.server import ASGIApp, Receive, Scope, Send, ServedRequest, ServerSpans
from shared.telemetry.setup import Telemetry
from tests.shared.telemetry.recording import Message, answer, discard, http_scope, receive, recording
from tests.shared.telemetry.test_tracecontext import MALFORMED, SPAN, TRACE, VALID


def suite_app() -> FastAPI:
    things = APIRouter(prefix="/things")

    @things.get("/{thing_id}")
    async def read(thing_id: str) -> dict[str, str]:
        if thing_id == "bad":
            raise LookupError("jane@example.com")
        return {"id": thing_id}

    version = APIRouter(prefix="/v1")
    version.include_router(things)
    app = FastAPI(telemetry={"tracing": False, "metrics": False, "logs": False})
    app.include_router(version)
    return app


async def spans_of(app: ASGIApp, scope: Scope) -> list[ReadableSpan]:
    telemetry, exporter = recording()
    await ServerSpans(app, telemetry)(scope, receive, discard)
    return list(exporter.get_finished_spans())


async def test_one_server_span_with_the_conventions_attributes() -> None:
    (span,) = await spans_of(suite_app(), http_scope())
    assert span.name == "GET /v1/things/{thing_id}"
    assert span.kind is SpanKind.SERVER
    assert span.parent is None
    assert span.status.status_code is StatusCode.UNSET
    assert dict(span.attributes or {}) == {
        "http.request.method": "GET",
        "http.route": "/v1/things/{thing_id}",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "url.path": "/v1/things/7",
        "network.protocol.version": "1.1",
        "server.address": "127.0.0.1",
        "server.port": 8001,
    }


async def test_an_unknown_path_is_named_by_its_method_alone() -> None:
    (span,) = await spans_of(suite_app(), http_scope("/nothing/here"))
    assert span.name == "GET"
    assert span.attributes is not None
    assert span.attributes["http.response.status_code"] == 404
    assert "http.route" not in span.attributes
    assert "error.type" not in span.attributes  # the caller's error, not ours
    assert span.status.status_code is StatusCode.UNSET


async def test_an_exception_inside_the_error_handler_is_one_span_and_goes_on() -> None:
    telemetry, exporter = recording()
    app = suite_app()
    with pytest.raises(LookupError):
        await ServerSpans(app, telemetry)(http_scope("/v1/things/bad"), receive, discard)
    (span,) = exporter.get_finished_spans()
    assert span.attributes is not None
    assert span.attributes["http.response.status_code"] == 500
    assert span.attributes["error.type"] == "LookupError"
    assert span.status.status_code is StatusCode.ERROR
    assert "jane" not in span.to_json()


async def test_an_exception_before_any_answer_counts_as_the_servers_500() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("no")

    served: list[ServedRequest] = []
    telemetry, exporter = recording()
    with pytest.raises(RuntimeError):
        await ServerSpans(broken, telemetry, served=served.append)(http_scope(), receive, discard)
    assert len(exporter.get_finished_spans()) == 1
    assert (served[0].status, served[0].error) == (500, "RuntimeError")


async def test_a_cancelled_request_got_no_answer() -> None:
    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    served: list[ServedRequest] = []
    telemetry, exporter = recording()
    task = asyncio.ensure_future(
        ServerSpans(waiting, telemetry, served=served.append)(http_scope(), receive, discard)
    )
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (span,) = exporter.get_finished_spans()
    assert "http.response.status_code" not in (span.attributes or {})
    assert served[0].status is None
    assert served[0].error == "asyncio.exceptions.CancelledError"


@pytest.mark.parametrize("status", [500, 503])
async def test_a_server_error_is_an_error_of_that_type(status: int) -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, status)

    (span,) = await spans_of(failing, http_scope())
    assert span.attributes is not None
    assert span.attributes["error.type"] == str(status)


async def test_an_unknown_method_stays_out_of_the_name() -> None:
    (span,) = await spans_of(suite_app(), http_scope(method="PROPFIND"))
    assert span.name.startswith("HTTP")
    assert span.attributes is not None
    assert span.attributes["http.request.method"] == "_OTHER"
    assert span.attributes["http.request.method_original"] == "PROPFIND"


@pytest.mark.parametrize("flags", ["00", "01"])
async def test_the_callers_trace_continues_whatever_its_flags(flags: str) -> None:
    parent = f"00-{TRACE}-{SPAN}-{flags}"
    (span,) = await spans_of(suite_app(), http_scope(traceparent=parent, tracestate="a=1"))
    assert span.context is not None
    assert f"{span.context.trace_id:032x}" == TRACE
    assert span.context.trace_flags.sampled
    assert span.context.trace_state.to_header() == "a=1"
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == SPAN
    assert span.parent.is_remote


async def test_the_callers_flags_do_not_force_recording() -> None:
    telemetry, exporter = recording(share=0.0)
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        context = get_current_span().get_span_context()
        seen.append(f"{context.trace_id:032x}-{context.trace_flags:02x}")
        await answer(send)

    await ServerSpans(app, telemetry)(http_scope(traceparent=VALID), receive, discard)
    assert not exporter.get_finished_spans()
    assert seen == [f"{TRACE}-00"]


@pytest.mark.parametrize("value", MALFORMED, ids=lambda value: repr(value)[:60])
async def test_a_malformed_traceparent_begins_a_new_trace(value: str) -> None:
    scope = http_scope()
    scope["headers"] = [(b"traceparent", value.encode())]
    (span,) = await spans_of(suite_app(), scope)
    assert span.parent is None
    assert span.context is not None
    assert f"{span.context.trace_id:032x}" != TRACE


async def test_without_an_endpoint_the_trace_still_passes_through() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(f"{get_current_span().get_span_context().trace_id:032x}")

    spans = ServerSpans(app, Telemetry())
    await spans(http_scope(traceparent=VALID), receive, discard)
    await spans(http_scope(), receive, discard)
    assert seen == [TRACE, "0" * 32]


async def test_the_request_id_stands_on_the_span() -> None:
    token = request_id_var.set("req-7")
    try:
        (span,) = await spans_of(suite_app(), http_scope())
    finally:
        request_id_var.reset(token)
    assert span.attributes is not None
    assert span.attributes["crm.request.id"] == "req-7"


async def test_the_span_lasts_as_long_as_was_measured_even_when_the_wall_clock_jumps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        monkeypatch.setattr("shared.telemetry.clock.time_ns", lambda: 0)
        await answer(send)

    before = time.time_ns()
    served: list[ServedRequest] = []
    telemetry, exporter = recording()
    await ServerSpans(app, telemetry, served=served.append)(http_scope(), receive, discard)
    (span,) = exporter.get_finished_spans()
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.end_time - span.start_time == served[0].duration_ns
    assert span.start_time >= before


async def test_nothing_personal_reaches_the_span() -> None:
    scope = http_scope(
        "/v1/contacts/by-external-id/hubspot/jane@example.com",
        authorization="Bearer s3cret",
        cookie="s=s3cret",
    )
    scope["headers"].append((b"user-agent", b"jane's laptop"))
    (span,) = await spans_of(suite_app(), scope)
    text = span.to_json()
    for personal in ("jane", "s3cret", "203.0.113.9", "laptop"):
        assert personal not in text


async def test_other_scopes_pass_untouched() -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    scope = {"type": "websocket"}
    assert await spans_of(app, scope) == []
    assert seen == [scope]


async def test_a_probe_is_answered_and_not_seen() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send)

    served: list[ServedRequest] = []
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    telemetry, exporter = recording()
    spans = ServerSpans(app, telemetry, served=served.append, unseen={"/readyz"})
    await spans(http_scope("/readyz"), receive, send)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert exporter.get_finished_spans() == ()
    assert served == []
    await spans(http_scope("/readyz/not"), receive, discard)
    assert len(exporter.get_finished_spans()) == len(served) == 1
