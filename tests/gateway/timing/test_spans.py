"""One SERVER span that lasts as long as the request, one CLIENT span per attempt, and nothing personal in them."""

from typing import Any

import pytest
from opentelemetry.trace import SpanKind

from services.gateway.resilience.ledger import BROKEN, BUSY, HEDGE_LOSER, TIMED_OUT
from services.gateway.timing.finished import HEDGE, RETRY, FinishedRequest
from services.gateway.timing.spans import RequestSpans, spans_of
from services.gateway.timing.terms import components_of
from shared.telemetry.spans import SpanRecord
from shared.telemetry.terms import ServiceTerms
from tests.gateway.timing.requests import attempt, finished

TRACE, SERVER, PARENT, CLIENT = 0xABC, 0xDEF, 0x123, 0x456
TERMS = ServiceTerms(queue=1, db_wait=2, db=3, processing=4, sched=5)
WALL = 1_700_000_000_000_000_000


def told(*attempts: Any, **more: Any) -> FinishedRequest:
    """A request of 1,000 ns for an account."""
    usual: dict[str, Any] = {
        "ready": 10,
        "slot": 20,
        "done": 1_000,
        "offset_ns": WALL,
        "trace_id": TRACE,
        "span_id": SERVER,
        "parent_id": PARENT,
        "kept": "sampled",
        "request_id": b"r-1",
        "path": b"/v1/accounts/7",
        "target": b"/v1/accounts/7?email=a@b.c",
        "template": "/v1/accounts",
        "upstream": "customers",
        "status": 200,
        "server_address": "127.0.0.1",
        "server_port": 8000,
        "trace_state": "vendor=1",
    }
    return finished(*attempts, **(usual | more))


def asked(**more: Any) -> Any:
    usual: dict[str, Any] = {"status": 200, "span_id": CLIENT, "host": "10.0.0.1", "port": 8101}
    return attempt(30, 40, 900, 990, **(usual | {"terms": TERMS} | more))


def attributes(span: SpanRecord) -> dict[str, Any]:
    return span.all_attributes


def test_an_ordinary_request() -> None:
    server, client = spans_of(told(asked(reason="least load", candidates=2)))
    assert server[:7] == (TRACE, SERVER, PARENT, SpanKind.SERVER, "GET /v1/accounts", WALL, WALL + 1_000)
    assert (server.error, server.trace_state, server.events) == (None, "vendor=1", [])
    assert attributes(server) == {
        "http.request.method": "GET",
        "http.route": "/v1/accounts",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "url.path": "/v1/accounts/7",
        "network.protocol.version": "1.1",
        "server.address": "127.0.0.1",
        "server.port": 8000,
        "crm.request.id": "r-1",
        "crm.trace.kept": "sampled",
        "crm.upstream.name": "customers",
        "crm.latency.processing_ns": 137,
        "crm.latency.network_ns": 0,
        "crm.latency.system_ns": 863,
        "crm.latency.total_ns": 1_000,
        "crm.latency.dominant": "system",
        "crm.latency.pre_ns": 30,
        "crm.latency.pool_wait_ns": 10,
        "crm.latency.service_processing_ns": 7,
        "crm.latency.service_system_ns": 8,
        "crm.latency.beyond_ns": 845,
        "crm.latency.post_ns": 100,
    }
    assert client[:7] == (TRACE, CLIENT, SERVER, SpanKind.CLIENT, "GET /v1/accounts", WALL + 30, WALL + 990)
    assert attributes(client) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "server.address": "10.0.0.1",
        "server.port": 8101,
        "url.full": "http://10.0.0.1:8101/v1/accounts/7?email=REDACTED",
        "url.template": "/v1/accounts",
        "crm.upstream.name": "customers",
        "crm.attempt.kind": "first",
        "crm.attempt.outcome": "ok",
        "crm.attempt.counted": True,
        "crm.connection.reused": True,
        "crm.latency.processing_ns": 10 + 7 + 90,
        "crm.latency.network_ns": 0,
        "crm.latency.system_ns": 845 + 8,
        "crm.latency.total_ns": 960,
        "crm.latency.dominant": "system",
        "crm.latency.pre_ns": 10,
        "crm.latency.service_processing_ns": 7,
        "crm.latency.service_system_ns": 8,
        "crm.latency.beyond_ns": 845,
        "crm.latency.post_ns": 90,
        "crm.service.terms": "told",
        "crm.service.queue_ns": 1,
        "crm.service.db_wait_ns": 2,
        "crm.service.db_ns": 3,
        "crm.service.processing_ns": 4,
        "crm.service.sched_ns": 5,
        "crm.service.down_processing_ns": 0,
        "crm.service.down_network_ns": 0,
        "crm.service.down_system_ns": 0,
    }
    assert client.events == (
        ("balance", WALL + 30, {"crm.balancing.reason": "least load", "crm.balancing.candidates": 2}),
    )


def test_a_retry_and_its_decision() -> None:
    broken = attempt(30, 40, 0, 100, outcome=BROKEN, detail="reset", host="h", port=1, span_id=1)
    again = attempt(200, 200, 900, 990, kind=RETRY, status=200, host="h", port=2, span_id=2)
    decision = ("retry", 101, {"crm.retry.reason": "broken, and idempotent"})
    server, first, second = spans_of(told(broken, again, decisions=(decision,)))
    assert server.events == [("retry", WALL + 101, {"crm.retry.reason": "broken, and idempotent"})]
    assert attributes(server)["crm.latency.backoff_ns"] == 100
    assert (first.error, attributes(first)["error.type"]) == ("reset", "broken")
    assert "http.request.resend_count" not in attributes(first)
    assert "crm.service.terms" not in attributes(first)
    assert (attributes(second)["http.request.resend_count"], attributes(second)["crm.attempt.kind"]) == (
        1,
        "retry",
    )
    assert second.error is None
    assert [span.parent_id for span in (first, second)] == [SERVER] * 2


def test_a_hedge_that_lost_did_not_count() -> None:
    won, lost = asked(), attempt(500, 500, 0, 990, kind=HEDGE, outcome=HEDGE_LOSER, span_id=9)
    _, first, second = spans_of(told(won, lost))
    assert [attributes(span)["crm.attempt.counted"] for span in (first, second)] == [True, False]
    assert attributes(second)["error.type"] == "hedge_loser"


@pytest.mark.parametrize(
    ("status", "error", "failure"),
    [
        (200, "", None),
        (404, "not_found", None),
        (429, "rate_limited", None),
        (500, "", "500"),
        (504, "upstream_timeout", "upstream_timeout"),
        (200, "cut_short", "cut_short"),
        (0, "client_left", "client_left"),
    ],
)
def test_what_is_an_error(status: int, error: str, failure: str | None) -> None:
    (server,) = spans_of(told(status=status, error=error))
    assert attributes(server).get("error.type") == failure
    assert server.error == (None if failure is None else "")
    assert ("http.response.status_code" in attributes(server)) == bool(status)


def test_an_attempt_that_was_never_sent_keeps_its_id() -> None:
    request = told(attempt(30, 0, 0, 30, outcome=BUSY), status=503)
    first, second = spans_of(request), spans_of(request)
    assert first == second
    assert first[1].span_id not in (0, SERVER)
    assert attributes(first[1])["crm.connection.reused"] is False


def test_a_new_connection() -> None:
    _, client = spans_of(told(asked(connected=35)))
    assert attributes(client)["crm.connection.reused"] is False
    assert attributes(client)["crm.latency.connect_ns"] == 5


@pytest.mark.parametrize(
    ("more", "verdict"),
    [
        ({"terms": None}, "missing"),
        ({"terms": None, "malformed_terms": True}, "malformed"),
        ({"terms": ServiceTerms(10**18 * 9, 10**19 - 1, 0, 0, 0)}, "overstated"),
    ],
)
def test_what_a_service_says_is_judged(more: dict[str, Any], verdict: str) -> None:
    server, client = spans_of(told(asked(**more)))
    assert attributes(client)["crm.service.terms"] == verdict
    # Nothing that a service claims is too large for the wire.
    assert all(value < 2**63 for value in attributes(client).values() if isinstance(value, int))
    assert attributes(server)["crm.latency.total_ns"] == 1_000


def test_the_terms_of_every_span_are_those_of_its_duration() -> None:
    failed = attempt(30, 40, 0, 100, outcome=TIMED_OUT)
    for span in spans_of(told(failed, asked(kind=RETRY)._replace(asked_ns=150, sent_ns=160))):
        told_ns = [attributes(span)[f"crm.latency.{term}_ns"] for term in ("processing", "network", "system")]
        assert sum(told_ns) == attributes(span)["crm.latency.total_ns"] == span.end_ns - span.start_ns


def test_known_components_need_not_be_worked_out_again() -> None:
    request = told(asked())
    assert spans_of(request, components_of(request)) == spans_of(request)


def test_how_many_there_will_be_is_known_before_they_are_made() -> None:
    for request in (told(), told(asked()), told(asked(), asked(kind=RETRY))):
        spans = RequestSpans(request)
        assert list(spans) == spans_of(request)
        assert len(spans) == len(spans_of(request))


def test_odd_requests() -> None:
    request = told(
        method=b"BREW", template="", upstream="", http10=True, path=b"/x/J%F6rg@home/\xff", server_address=""
    )
    (server,) = spans_of(request)
    assert server.name == "HTTP"
    assert attributes(server)["http.request.method"] == "_OTHER"
    assert attributes(server)["http.request.method_original"] == "BREW"
    assert attributes(server)["network.protocol.version"] == "1.0"
    assert attributes(server)["url.path"] == "/x/REDACTED/REDACTED"
    assert not {"http.route", "server.address", "crm.upstream.name"} & set(attributes(server))


def test_a_method_that_nobody_knows_is_told_with_bounds() -> None:
    for span in spans_of(told(asked(), method=b"x" * 100)):
        assert (attributes(span)["http.request.method"], span.name) == ("_OTHER", "HTTP /v1/accounts")
        assert attributes(span)["http.request.method_original"] == "x" * 32
    for span in spans_of(told(asked(), method=b"CONNECT")):
        assert attributes(span)["http.request.method"] == "CONNECT"
        assert "http.request.method_original" not in attributes(span)
