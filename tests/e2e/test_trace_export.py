"""What leaves the real suite as traces: decoded with the official protobufs, and as a real store has stored it."""

import json
import re
import signal
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx2
import pytest

from shared.testing.otlp import OtlpReceiver, ReceivedSpan
from tests.deploy.suite_process import SuiteProcess, passable_directory, running_suite
from tests.e2e.otlp_store import find_store, running_store

pytestmark = pytest.mark.process

# What people, partners and attackers put into requests; no span and no access line may have any of it.
NAME, FAMILY, EMAIL, PHONE = "Zanzibar Spices", "O'Zweistein", "jane.zweistein@example.com", "+49 170 5550123"
PASSWORD, TOKEN = "hunter2-Correct-Horse", "sk_live_4eC39HqLyjWDarjtT1zdp7dc"
TELLING = (
    "zanzibar",
    "zweistein",
    "jane",
    "5550123",
    "hunter2",
    "4ec39hq",
    "kontor_",
    "delete from",
    "insert into",
)
LITERAL = re.compile(r"'[^']*'|\$\d|\bWHERE\b|\bVALUES\b|\bRETURNING\b")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-", re.IGNORECASE)

# The stable conventions for HTTP and database spans, as far as they are used, and our own.
CONVENTIONS = {
    "http.request.method": str,
    "http.request.method_original": str,
    "http.request.resend_count": int,
    "http.response.status_code": int,
    "http.route": str,
    "url.scheme": str,
    "url.path": str,
    "url.full": str,
    "url.template": str,
    "network.protocol.version": str,
    "server.address": str,
    "server.port": int,
    "error.type": str,
    "db.system.name": str,
    "db.query.summary": str,
    "db.namespace": str,
}
OURS = re.compile(
    r"crm\.(latency\.[a-z_]+_ns|latency\.dominant|service\.[a-z_]+_ns|service\.terms|request\.id|trace\.kept"
    r"|upstream\.name|attempt\.(kind|outcome|counted)|connection\.reused)"
)
REQUIRED = {
    "SERVER": {"http.request.method", "url.scheme", "url.path"},
    "CLIENT of HTTP": {"http.request.method", "url.full", "server.address", "server.port"},
    "CLIENT of a database": {"db.system.name", "db.query.summary", "db.namespace"},
}


class Asked(NamedTuple):
    """A request as its caller saw it end."""

    request_id: str
    status: int
    caller: str


@dataclass(frozen=True)
class Export:
    """All that has left the suite when it was over."""

    asked: list[Asked]
    spans: list[ReceivedSpan]
    bodies: list[bytes]
    access: list[dict[str, Any]]

    def traces(self) -> dict[str, list[ReceivedSpan]]:
        traces: dict[str, list[ReceivedSpan]] = defaultdict(list)
        for span in self.spans:
            traces[span.trace_id].append(span)
        return traces


class KeepingReceiver(OtlpReceiver):
    """Keeps the requests as they came as well."""

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[bytes] = []

    def receive(self, body: bytes) -> None:
        super().receive(body)
        self.bodies.append(body)


@pytest.fixture(scope="module")
def export() -> Iterator[Export]:
    with (
        passable_directory() as root,
        KeepingReceiver() as receiver,
        running_suite(
            *(root / "data", root / "state", "--no-demo", "--json-logs"),
            module="deploy.local",
            OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{receiver.endpoint}/v1/traces",
        ) as suite,
    ):
        asked = ask_everything(suite.wait_up())
        suite.signal(signal.SIGINT)
        status, output, errors = suite.finish()
        assert (status, errors) == (0, "")
        lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        access = [line for line in lines if line.get("logger") == "kontor.access"]
        yield Export(asked, receiver.spans, receiver.bodies, access)


def ask_everything(suite: SuiteProcess) -> list[Asked]:
    """Ordinary requests, and such as nobody should make."""
    key = json.loads((suite.data / "secrets" / "demo.json").read_text())["api_key"]
    asked: list[Asked] = []
    headers = {
        "Authorization": f"Bearer {key}",
        "User-Agent": f"browser of {EMAIL}",
        "Cookie": f"session={PASSWORD}",
        "Referer": f"https://app.example.com/{EMAIL}",
        "X-Forwarded-For": PHONE,
        "Baggage": f"user={quote(EMAIL)}",
    }
    with httpx2.Client(
        base_url=f"http://127.0.0.1:{suite.port}", headers=headers, trust_env=False, timeout=30
    ) as client:

        def ask(method: str, path: str, body: object = None, **more: str) -> Any:
            caller = f"{len(asked) + 1:016x}"
            trace = f"{len(asked) + 1:032x}"
            sent = {"traceparent": f"00-{trace}-{caller}-0{len(asked) % 2}", **more}
            answer = client.request(method, path, json=body, headers=sent)
            asked.append(Asked(answer.headers["x-request-id"], answer.status_code, caller))
            return answer.json() if answer.content and answer.status_code < 300 else None

        account = ask("POST", "/v1/accounts", {"name": NAME})
        contact = {
            "family_name": FAMILY,
            "emails": [{"address": EMAIL}],
            "phones": [{"number": PHONE}],
            "account_id": account["id"],
        }
        made = ask("POST", "/v1/contacts", contact)
        ask("POST", "/v1/contacts", {"family_name": FAMILY, "emails": [{"address": f"{EMAIL} {PASSWORD}"}]})
        ask("POST", "/v1/contacts", {PASSWORD: TOKEN, EMAIL: PHONE})
        for _ in range(5):
            ask("GET", f"/v1/contacts/{made['id']}?include=account")
            ask("GET", f"/v1/contacts?q={quote(FAMILY)}&count=exact")
        ask(
            "PATCH",
            f"/v1/contacts/{made['id']}",
            {"title": NAME},
            **{"Content-Type": "application/merge-patch+json"},
        )
        ask("PUT", f"/v1/contacts/by-external-id/sap/{quote(EMAIL)}", contact)
        ask("GET", f"/v1/contacts/by-external-id/{TOKEN}/{quote(PHONE)}")
        for value in (NAME, FAMILY, EMAIL, PHONE, PASSWORD, TOKEN, "'; DELETE FROM contacts; --"):
            ask("GET", f"/v1/contacts?filter[name]={quote(value)}")
            ask("GET", f"/v1/accounts?filter[name]={quote(value)}&q={quote(value)}")
            ask("GET", f"/v1/accounts?{quote(value)}=1&limit=2")
            ask("GET", f"/v1/contacts/{quote(value, safe='')}")
            ask("GET", f"/{quote(value, safe='')}/{quote(value, safe='')}")
            ask("GET", "/v1/tickets", Authorization=f"Bearer {TOKEN}")
        ask("DELETE", f"/v1/contacts/{made['id']}")
        ask("PROPFIND", "/v1/accounts")
        for path in ("/v1/deals?limit=1", "/v1/tickets?limit=1", "/v1/pipelines", "/openapi/sales.json"):
            ask("GET", path)
    return asked


def is_database(span: ReceivedSpan) -> bool:
    return "db.system.name" in span.attributes


def test_every_request_is_one_trace_with_one_root(export: Export) -> None:
    traces = export.traces()
    assert len(export.asked) == len(traces)
    for asked in export.asked:
        (spans,) = [one for one in traces.values() if one[0].trace_id.endswith(asked.caller)]
        known = {span.span_id for span in spans}
        # The caller's own span is the one that nobody here has told of; no other is without its parent.
        (root,) = [span for span in spans if span.parent_span_id not in known]
        assert (root.parent_span_id, root.service, root.kind) == (asked.caller, "gateway", "SERVER")
        assert root.attributes["http.response.status_code"] == asked.status
        assert root.attributes["crm.request.id"] == asked.request_id
        assert len(known) == len(spans)


def test_every_hop_has_one_server_span(export: Export) -> None:
    for spans in export.traces().values():
        by_id = {span.span_id: span for span in spans}
        servers = [span for span in spans if span.kind == "SERVER"]
        calls = [span for span in spans if span.kind == "CLIENT" and not is_database(span)]
        assert len(servers) == 1 + len(calls)
        callers = Counter(span.parent_span_id for span in servers if span.service != "gateway")
        assert callers == Counter(call.span_id for call in calls)
        for statement in filter(is_database, spans):
            assert by_id[statement.parent_span_id].kind == "SERVER"
            assert by_id[statement.parent_span_id].service == statement.service
    services = Counter(span.service for span in export.spans if span.kind == "SERVER")
    assert services["gateway"] == len(export.asked)
    assert {"customers", "sales", "tickets"} < services.keys()


def test_names_are_few_and_stable(export: Export) -> None:
    names = {span.name for span in export.spans}
    assert len(names) < 60
    for name in names:
        assert not UUID.search(name), name
        assert not re.search(r"[%?=&@']", name), name
    servers = {span.name for span in export.spans if span.kind == "SERVER"}
    methods = {"GET", "POST", "PUT", "PATCH", "DELETE", "HTTP"}
    for name in servers:
        method, _, route = name.partition(" ")
        assert method in methods, name
        assert not route or route.startswith("/"), name
    # Where no route leads, the name is the method alone, whatever was asked for.
    assert {"GET", "GET /v1/contacts", "GET /v1/contacts/{id}", "HTTP /v1/accounts"} <= servers


def test_attributes_are_of_the_stable_conventions(export: Export) -> None:
    for span in export.spans:
        for name, value in span.attributes.items():
            assert name in CONVENTIONS or OURS.fullmatch(name), name
            assert isinstance(value, CONVENTIONS.get(name, (str, int, bool))), (name, value)
        of_what = " of a database" if is_database(span) else " of HTTP"
        kind = span.kind if span.kind == "SERVER" else span.kind + of_what
        assert REQUIRED[kind] <= span.attributes.keys()
        status = span.attributes.get("http.response.status_code", 0)
        # 4xx is the fault of whoever asked: an error of CLIENT spans, none of SERVER spans.
        failed = status >= (500 if span.kind == "SERVER" else 400)
        assert span.status == ("ERROR" if failed else "UNSET")
        assert ("error.type" in span.attributes) == failed
        for event in span.events:
            assert event.name in {"balance", "cache", "retry", "no_retry", "hedge", "refused"}
            assert all(re.fullmatch(r"crm\.[a-z]+\.[a-z_]+", name) for name in event.attributes)
            assert span.start_ns <= event.time_ns <= span.end_ns
    for span in export.spans:
        assert {"service.name", "service.version", "service.instance.id", "host.id"} <= span.resource.keys()
        assert span.scope == "kontor"


def test_nothing_personal_leaves(export: Export) -> None:
    exported = b"".join(export.bodies).decode("latin-1").lower()
    logged = json.dumps(export.access).lower()
    gateways = [line for line in export.access if line["service"] == "gateway"]
    assert {line["trace_id"] for line in gateways} == export.traces().keys()
    assert len(export.access) > len(gateways)
    for telling in TELLING:
        assert telling not in exported, telling
        assert telling not in logged, telling
    summaries = [span.attributes["db.query.summary"] for span in export.spans if is_database(span)]
    assert summaries
    for summary in summaries:
        assert not LITERAL.search(summary), summary


@pytest.mark.skipif(find_store() is None, reason="autotel-devtools is not installed")
def test_a_real_store_has_what_was_sent(export: Export) -> None:
    with running_store() as store:
        for body in export.bodies:
            store.post(body)
        statistics, stored = store.statistics(), store.traces()
        errors = store.query("status = ERROR")
        of_a_route = store.query('name = "GET /v1/contacts/{id}"')
    traces = export.traces()
    assert (statistics["traceCount"], statistics["spanCount"]) == (len(traces), len(export.spans))
    assert {trace["traceId"]: told(trace["spans"]) for trace in stored} == {
        trace_id: sorted(map(essence, spans)) for trace_id, spans in traces.items()
    }
    assert {trace["traceId"] for trace in errors} == {
        span.trace_id for span in export.spans if span.status == "ERROR"
    }
    assert {trace["traceId"] for trace in of_a_route} == {
        span.trace_id for span in export.spans if span.name == "GET /v1/contacts/{id}"
    }


def essence(span: ReceivedSpan) -> tuple[str, str, str, str, int]:
    numbers = sum(value for name, value in span.attributes.items() if name.endswith("_ns"))
    return span.span_id, span.parent_span_id, span.kind, span.name, numbers


def told(spans: Sequence[dict[str, Any]]) -> list[tuple[str, str, str, str, int]]:
    return sorted(
        (
            span["spanId"],
            span.get("parentSpanId", ""),
            span["kind"],
            span["name"],
            sum(value for name, value in span["attributes"].items() if name.endswith("_ns")),
        )
        for span in spans
    )
