"""One trace from the caller through gateway and service to the statement, as a collector receives it."""

import json
import urllib.request
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from shared.testing.otlp import OtlpReceiver, ReceivedSpan
from tests.deploy.suite_process import SuiteProcess, passable_directory, running_suite

pytestmark = pytest.mark.process

# A word that no span may carry: it reaches the database as a value.
_NAME = "Zanzibar Spices"
_CALLER = "b7ad6b7169203331"


class _TracedSuite:
    """The suite, and the collector that it exports to."""

    def __init__(self, suite: SuiteProcess, receiver: OtlpReceiver) -> None:
        self._suite = suite
        self._receiver = receiver
        self._key = json.loads((suite.data / "secrets" / "demo.json").read_text())["api_key"]

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[Any, str]:
        """Send a request that must succeed; its answer and its request id."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._suite.port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self._key}",
                "Content-Type": "application/json",
                **headers,
            },
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - always http
            return json.loads(answer.read()), answer.headers["x-request-id"]

    def hops(self, request_id: str, statement: str) -> list[ReceivedSpan]:
        """The request's spans from the outermost to the one of `statement`, once all have arrived."""

        def arrived(spans: Sequence[ReceivedSpan]) -> bool:
            return {"gateway", "customers"} <= {span.service for span in _servers(spans, request_id)}

        outermost = next(
            span
            for span in _servers(self._receiver.wait_for(arrived), request_id)
            if span.service == "gateway"
        )
        # A span is exported after those below it have ended, but each process sends for itself.
        self._receiver.wait_for(lambda spans: len(_chain(spans, outermost, statement)) == 4)
        trace = [span for span in self._receiver.spans if span.trace_id == outermost.trace_id]
        hops = _chain(trace, outermost, statement)
        # Nothing beside this path either: one SERVER span per hop, one CLIENT span per call.
        assert [span for span in trace if span.kind == "SERVER"] == _in_order(trace, hops[0], hops[2])
        assert [span for span in trace if span.service == "gateway"] == _in_order(trace, *hops[:2])
        assert all(_NAME not in str(span) and "Zanzibar" not in str(span) for span in trace)
        assert all("db.query.text" not in span.attributes for span in trace)
        return hops


def _servers(spans: Sequence[ReceivedSpan], request_id: str) -> list[ReceivedSpan]:
    return [span for span in spans if span.attributes.get("crm.request.id") == request_id]


def _chain(spans: Sequence[ReceivedSpan], outermost: ReceivedSpan, statement: str) -> list[ReceivedSpan]:
    """Follow the spans from child to child; of several statements the one that is asked for."""
    chain = [outermost]
    while below := [span for span in spans if span.parent_span_id == chain[-1].span_id]:
        wanted = [span for span in below if span.name == statement] or below
        if wanted[0].name != statement and "db.system.name" in wanted[0].attributes:
            break
        chain.append(wanted[0])
    return chain


def _in_order(spans: Sequence[ReceivedSpan], *wanted: ReceivedSpan) -> list[ReceivedSpan]:
    return [span for span in spans if span in wanted]


@pytest.fixture(scope="module")
def traced() -> Iterator[_TracedSuite]:
    with (
        passable_directory() as root,
        OtlpReceiver() as receiver,
        running_suite(
            *(root / "data", root / "state", "--no-demo"),
            module="deploy.local",
            OTEL_EXPORTER_OTLP_ENDPOINT=receiver.endpoint,
            OTEL_BSP_SCHEDULE_DELAY="100",  # ms between exports, so that nobody waits five seconds
        ) as suite,
    ):
        yield _TracedSuite(suite.wait_up(), receiver)


def _check(hops: Sequence[ReceivedSpan], request_id: str, method: str, *, route: str, status: int) -> None:
    """What the four spans say, whatever the request was."""
    gateway, call, service, statement = hops
    assert len({span.trace_id for span in hops}) == 1
    assert [(span.service, span.kind) for span in hops] == [
        ("gateway", "SERVER"),
        ("gateway", "CLIENT"),
        ("customers", "SERVER"),
        ("customers", "CLIENT"),
    ]
    assert [span.parent_span_id for span in hops[1:]] == [span.span_id for span in hops[:-1]]
    assert [span.name for span in hops[:3]] == [
        f"{method} /v1/accounts",
        f"{method} /v1/accounts",
        f"{method} {route}",
    ]
    assert service.attributes["http.route"] == route
    assert service.resource["service.instance.id"] in ("customers-1", "customers-2")
    for span in (gateway, call, service):
        assert span.attributes["http.request.method"] == method
        assert span.attributes["http.response.status_code"] == status
    for span in (gateway, service):
        assert span.attributes["crm.request.id"] == request_id
    assert statement.attributes == {
        "db.system.name": "postgresql",
        "db.query.summary": statement.name,
        "db.namespace": "customers",
    }
    # One machine has one clock. Ends are not compared: a hop's last byte can be read before the hop that
    # sent it has looked at the clock.
    assert sorted(span.start_ns for span in hops) == [span.start_ns for span in hops]


def test_a_callers_trace_goes_on_to_the_statement(traced: _TracedSuite) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    answer, request_id = traced.ask(
        "GET",
        "/v1/accounts?filter[name]=Zanzibar%20Spices",
        **{"traceparent": f"00-{trace}-{_CALLER}-01", "X-Request-Id": "spices-1"},
    )
    assert (answer["data"], request_id) == ([], "spices-1")
    hops = traced.hops(request_id, "SELECT accounts")
    _check(hops, request_id, "GET", route="/v1/accounts", status=200)
    assert (hops[0].trace_id, hops[0].parent_span_id) == (trace, _CALLER)


def test_the_gateway_begins_a_trace_for_who_has_none_and_a_write_is_in_it(traced: _TracedSuite) -> None:
    made, request_id = traced.ask("POST", "/v1/accounts", {"name": _NAME})
    hops = traced.hops(request_id, "INSERT accounts")
    _check(hops, request_id, "POST", route="/v1/accounts", status=201)
    assert hops[0].parent_span_id == ""

    found, second_id = traced.ask("GET", f"/v1/accounts/{made['id']}")
    assert found == made
    second = traced.hops(second_id, "SELECT accounts")
    _check(second, second_id, "GET", route="/v1/accounts/{id}", status=200)
    assert second[0].parent_span_id == ""
    assert second[0].trace_id != hops[0].trace_id
