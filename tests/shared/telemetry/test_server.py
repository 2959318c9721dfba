import asyncio
import time

import pytest
from fastapi import APIRouter, FastAPI
from opentelemetry.trace import SpanKind

from shared.asgi import App, Message, Receive, Scope, Send
from shared.telemetry.request import current_request
from shared.telemetry.server import RECEIVED, ServedRequest, ServerSpans, latency_attributes
from shared.telemetry.setup import Telemetry
from shared.telemetry.spans import SpanRecord
from shared.telemetry.terms import TERMS_HEADER, ServiceTerms, read_terms
from tests.shared.telemetry.recording import answer, discard, http_scope, receive, recording
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


async def spans_of(app: App, scope: Scope) -> list[SpanRecord]:
    telemetry, finished = recording()
    await ServerSpans(app, telemetry)(scope, receive, discard)
    return finished()


async def test_one_server_span_with_the_conventions_attributes() -> None:
    served: list[ServedRequest] = []
    telemetry, finished = recording()
    await ServerSpans(suite_app(), telemetry, served=served.append)(http_scope(), receive, discard)
    (span,) = finished()
    assert span.name == "GET /v1/things/{thing_id}"
    assert span.kind is SpanKind.SERVER
    assert span.parent_id == 0
    assert span.error is None
    assert span.all_attributes == {
        "http.request.method": "GET",
        "http.route": "/v1/things/{thing_id}",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "url.path": "/v1/things/7",
        "network.protocol.version": "1.1",
        "server.address": "127.0.0.1",
        "server.port": 8001,
        **latency_attributes(served[0].terms),
    }


async def test_an_unknown_path_is_named_by_its_method_alone() -> None:
    (span,) = await spans_of(suite_app(), http_scope("/nothing/here"))
    assert span.name == "GET"
    assert span.all_attributes["http.response.status_code"] == 404
    assert "http.route" not in span.all_attributes
    assert "error.type" not in span.all_attributes  # the caller's error, not ours
    assert span.error is None


async def test_an_exception_inside_the_error_handler_is_one_span_and_goes_on() -> None:
    telemetry, finished = recording()
    app = suite_app()
    with pytest.raises(LookupError):
        await ServerSpans(app, telemetry)(http_scope("/v1/things/bad"), receive, discard)
    (span,) = finished()
    assert span.all_attributes["http.response.status_code"] == 500
    assert span.all_attributes["error.type"] == "LookupError"
    assert span.error == ""
    assert "jane" not in str(span)


async def test_an_exception_before_any_answer_counts_as_the_servers_500() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("no")

    served: list[ServedRequest] = []
    telemetry, finished = recording()
    with pytest.raises(RuntimeError):
        await ServerSpans(broken, telemetry, served=served.append)(http_scope(), receive, discard)
    assert len(finished()) == 1
    assert (served[0].status, served[0].error) == (500, "RuntimeError")


async def test_a_cancelled_request_got_no_answer() -> None:
    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    served: list[ServedRequest] = []
    telemetry, finished = recording()
    task = asyncio.ensure_future(
        ServerSpans(waiting, telemetry, served=served.append)(http_scope(), receive, discard)
    )
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (span,) = finished()
    assert "http.response.status_code" not in span.all_attributes
    assert served[0].status is None
    assert served[0].error == "asyncio.exceptions.CancelledError"


@pytest.mark.parametrize("status", [500, 503])
async def test_a_server_error_is_an_error_of_that_type(status: int) -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, status)

    (span,) = await spans_of(failing, http_scope())
    assert span.all_attributes["error.type"] == str(status)


async def test_an_unknown_method_stays_out_of_the_name() -> None:
    (span,) = await spans_of(suite_app(), http_scope(method="PROPFIND"))
    assert span.name.startswith("HTTP")
    assert span.all_attributes["http.request.method"] == "_OTHER"
    assert span.all_attributes["http.request.method_original"] == "PROPFIND"


async def test_the_callers_trace_continues() -> None:
    (span,) = await spans_of(suite_app(), http_scope(traceparent=VALID, tracestate="a=1, b=2"))
    assert f"{span.trace_id:032x}" == TRACE
    assert f"{span.parent_id:016x}" == SPAN
    assert span.span_id not in (0, span.parent_id)
    assert span.trace_state == "a=1,b=2"


@pytest.mark.parametrize(("flags", "share", "spans"), [("01", 0.0, 1), ("00", 1.0, 0), ("03", 0.0, 1)])
async def test_the_gateway_decides_what_is_recorded(flags: str, share: float, spans: int) -> None:
    telemetry, finished = recording(share)
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = current_request.get()
        assert request is not None
        seen.append(f"{request.trace_id:032x}-{request.flags:02x}")
        await answer(send)

    scope = http_scope(traceparent=f"00-{TRACE}-{SPAN}-{flags}")
    await ServerSpans(app, telemetry)(scope, receive, discard)
    assert len(finished()) == spans
    assert seen == [f"{TRACE}-{flags}"]


async def test_without_a_caller_the_share_decides() -> None:
    for share, spans in ((0.0, 0), (1.0, 1)):
        telemetry, finished = recording(share)
        await ServerSpans(suite_app(), telemetry)(http_scope(), receive, discard)
        assert len(finished()) == spans


@pytest.mark.parametrize("value", MALFORMED, ids=lambda value: repr(value)[:60])
async def test_a_malformed_traceparent_begins_a_new_trace(value: str) -> None:
    scope = http_scope()
    scope["headers"] = [(b"traceparent", value.encode())]
    (span,) = await spans_of(suite_app(), scope)
    assert span.parent_id == 0
    assert f"{span.trace_id:032x}" != TRACE


async def test_without_an_endpoint_the_trace_still_passes_through() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = current_request.get()
        assert request is not None
        seen.append(f"{request.trace_id:032x}-{request.span_id:016x}")

    spans = ServerSpans(app, Telemetry())
    await spans(http_scope(traceparent=VALID), receive, discard)
    await spans(http_scope(), receive, discard)
    assert seen == [f"{TRACE}-{SPAN}", f"{0:032x}-{0:016x}"]


async def test_the_request_id_stands_on_the_span() -> None:
    scope = http_scope()
    scope["request_id"] = "req-7"
    (span,) = await spans_of(suite_app(), scope)
    assert span.all_attributes["crm.request.id"] == "req-7"


async def test_the_span_lasts_as_long_as_was_measured_even_when_the_wall_clock_jumps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        monkeypatch.setattr("shared.telemetry.clocks.time_ns", lambda: 0)
        await answer(send)

    before = time.time_ns()
    served: list[ServedRequest] = []
    telemetry, finished = recording()
    await ServerSpans(app, telemetry, served=served.append)(http_scope(), receive, discard)
    (span,) = finished()
    assert span.end_ns - span.start_ns == served[0].duration_ns
    assert span.start_ns >= before


async def test_nothing_personal_reaches_the_span() -> None:
    scope = http_scope(
        "/v1/contacts/by-external-id/hubspot/jane@example.com",
        authorization="Bearer s3cret",
        cookie="s=s3cret",
    )
    scope["headers"].append((b"user-agent", b"jane's laptop"))
    (span,) = await spans_of(suite_app(), scope)
    text = str(span)
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

    telemetry, finished = recording()
    spans = ServerSpans(app, telemetry, served=served.append, unseen={"/readyz"})
    await spans(http_scope("/readyz"), receive, send)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[0]["headers"] == []
    assert served == []
    await spans(http_scope("/readyz/not"), receive, discard)
    assert len(finished()) == len(served) == 1


class Timed:
    """One request through `ServerSpans`, with everything that tells of its time."""

    def __init__(self, app: App, **scope: int) -> None:
        self.sent: list[Message] = []
        self.requests: list[ServedRequest] = []
        self._scope = http_scope() | scope
        self._telemetry, self._finished = recording()
        self._spans = ServerSpans(app, self._telemetry, served=self.requests.append)

    async def run(self) -> "Timed":
        await self._spans(self._scope, receive, self._send)
        (self.served,) = self.requests
        (self.span,) = self._finished()
        return self

    @property
    def header(self) -> ServiceTerms | None:
        values = [value for name, value in self.sent[0]["headers"] if name == TERMS_HEADER]
        assert len(values) == 1
        return read_terms(values[0])

    async def _send(self, message: Message) -> None:
        self.sent.append(message)


async def test_header_log_and_span_of_an_answer_in_one_go_are_the_same_to_the_nanosecond() -> None:
    timed = await Timed(suite_app(), **{RECEIVED: time.perf_counter_ns() - 1_000}).run()
    assert timed.header == timed.served.terms
    assert timed.served.terms.queue >= 1_000
    assert timed.served.duration_ns == sum(timed.served.terms) == timed.span.end_ns - timed.span.start_ns
    assert timed.span.all_attributes["crm.latency.total_ns"] == timed.served.duration_ns
    assert all(term >= 0 for term in timed.served.terms)


async def test_what_streams_after_the_head_counts_for_the_span_only() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0.02)
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await send({"type": "http.response.body", "body": b"b"})

    timed = await Timed(app).run()
    assert timed.header is not None
    assert timed.served.duration_ns == timed.span.end_ns - timed.span.start_ns
    assert timed.served.terms.sched - timed.header.sched >= 20_000_000
    assert all(later >= earlier for later, earlier in zip(timed.served.terms, timed.header, strict=True))


async def test_an_answer_that_breaks_off_is_measured_until_it_does() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0.02)
        raise ConnectionResetError

    timed = Timed(app)
    with pytest.raises(ConnectionResetError):
        await timed.run()
    assert (timed.requests[0].status, timed.requests[0].error) == (200, "ConnectionResetError")
    assert timed.requests[0].duration_ns >= 20_000_000


async def test_blocking_is_processing_and_sleeping_is_not() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        time.sleep(0.02)  # noqa: ASYNC251 (that is the fault)
        await asyncio.sleep(0.03)
        await answer(send)

    terms = (await Timed(app).run()).served.terms
    assert terms.processing >= 20_000_000
    assert terms.sched >= 29_000_000
    assert terms.db == terms.db_wait == 0


async def test_an_application_may_give_any_awaitable() -> None:
    def app(scope: Scope, receive: Receive, send: Send) -> asyncio.Future[None]:
        return asyncio.ensure_future(answer(send))

    timed = await Timed(app).run()
    assert timed.served.status == 200
    assert timed.header is not None
