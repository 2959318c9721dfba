"""`kontor trace`: the same trace from a file, from Jaeger and from the gateway's buffer, and what goes wrong."""

import json
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from cli.trace_text import listing, waterfall
from cli.trace_tree import Event, Span, build

TRACE = "0af7651916cd43dd8448eb211c80319c"
MS = 1_000_000
WALL = 1_763_730_000_000_000_000
KEY = "the-admin-key-of-this-test"

SPANS = [
    Span(
        TRACE,
        "a" * 16,
        "",
        "gateway",
        "SERVER",
        "GET /v1/accounts",
        WALL,
        WALL + 12 * MS,
        {
            "http.response.status_code": 200,
            "crm.latency.processing_ns": 3 * MS,
            "crm.latency.network_ns": MS,
            "crm.latency.system_ns": 8 * MS,
            "crm.latency.total_ns": 12 * MS,
            "crm.latency.pool_wait_ns": 8 * MS,
            "crm.latency.pre_ns": 3 * MS,
            "crm.latency.body_ns": MS,
        },
        (Event("retry", WALL + 3 * MS, {"crm.retry.reason": "it is idempotent\x1b[31m"}),),
    ),
    Span(
        TRACE,
        "b" * 16,
        "a" * 16,
        "gateway",
        "CLIENT",
        "GET /v1/accounts",
        WALL + 9 * MS,
        WALL + 11 * MS,
        {
            "crm.attempt.kind": "first",
            "server.address": "10.0.0.1",
            "server.port": 8101,
            "error.type": "broken",
            "crm.service.terms": "malformed",
        },
        (),
        "connection reset",
    ),
]

EXPECTED = """\
trace 0af7651916cd43dd8448eb211c80319c, 2025-11-21 13:00:00 UTC, 12.000 ms

gateway GET /v1/accounts 200              12.000 ms |###########################
  first 10.0.0.1:8101 ! broken             2.000 ms |                    ####

# is on the critical path, = runs beside it
  first 10.0.0.1:8101 ! broken: its terms were malformed
       3.000 ms  retry: it is idempotent?[31m

           response time, ms = processing +    network +     system
gateway               12.000 =      3.000 +      1.000 +      8.000  system
    pool_wait 8.000, pre 3.000, body 1.000

critical path, 12.000 ms
      10.000 ms  83.3 %  gateway GET /v1/accounts 200
       2.000 ms  16.7 %  first 10.0.0.1:8101 ! broken
"""


def otlp(spans: list[Span]) -> dict[str, Any]:
    def value(one: Any) -> dict[str, Any]:
        return {"intValue": str(one)} if isinstance(one, int) else {"stringValue": one}

    def attributes(one: Span | Event) -> list[dict[str, Any]]:
        return [{"key": name, "value": value(said)} for name, said in one.attributes.items()]

    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "gateway"}}]}
    documents = [
        {
            "traceId": span.trace_id,
            "spanId": span.span_id,
            "parentSpanId": span.parent_id,
            "name": span.name,
            "kind": {"SERVER": 2, "CLIENT": 3}[span.kind],
            "startTimeUnixNano": str(span.start_ns),
            "endTimeUnixNano": str(span.end_ns),
            "attributes": attributes(span),
            "events": [
                {"name": event.name, "timeUnixNano": str(event.at_ns), "attributes": attributes(event)}
                for event in span.events
            ],
            "status": {} if span.error is None else {"code": 2, "message": span.error},
        }
        for span in spans
    ]
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": documents}]}]}


def buffered(spans: list[Span]) -> dict[str, Any]:
    documents = [
        {
            "trace_id": span.trace_id,
            "span_id": span.span_id,
            "parent_span_id": span.parent_id or None,
            "service": span.service,
            "kind": span.kind,
            "name": span.name,
            "start_unix_ns": span.start_ns,
            "end_unix_ns": span.end_ns,
            "attributes": span.attributes,
            "events": [
                {"name": one.name, "time_unix_ns": one.at_ns, "attributes": one.attributes}
                for one in span.events
            ],
            "error": span.error,
        }
        for span in spans
    ]
    return {"trace_id": TRACE, "requests": [{"spans": documents}]}


LISTED = {
    "trace_id": TRACE,
    "method": "GET",
    "route": "/v1/a-rather-long-name-of-a-route",
    "status": None,
    "error": "client_left",
    "total_ns": 12 * MS,
    "dominant": "system",
    "kept": "slow",
}


class Backend:
    """Jaeger and the admin API in one: answers by path, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, list[str]], str | None]] = []
        self.answers: dict[str, tuple[int, str]] = {
            f"/api/v3/traces/{TRACE}": (200, json.dumps({"result": otlp(SPANS)})),
            f"/admin/traces/{TRACE}": (200, json.dumps(buffered(SPANS))),
            "/admin/traces": (200, json.dumps([LISTED])),
        }
        backend = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                where = urlsplit(self.path)
                backend.asked.append((where.path, parse_qs(where.query), self.headers.get("authorization")))
                status, text = backend.answers.get(where.path, (404, '{"error": {"message": "none"}}'))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def backend() -> Iterator[Backend]:
    backend = Backend()
    thread = Thread(target=backend.server.serve_forever, args=(0.01,))
    thread.start()
    yield backend
    backend.server.shutdown()
    thread.join()
    backend.server.server_close()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "admin.key"
    file.write_text(KEY + "\n")
    return file


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KONTOR_JAEGER_URL", "KONTOR_ADMIN_URL", "KONTOR_ADMIN_KEY_FILE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


def kontor(*arguments: str | Path, **environ: str) -> Result:
    return CliRunner().invoke(app, ["trace", *map(str, arguments), "--width", "80"], env=environ)


def test_the_waterfall() -> None:
    assert "\n".join(waterfall(build(SPANS), 80)) + "\n" == EXPECTED


@pytest.mark.parametrize("width", [80, 81, 120, 250])
def test_no_line_is_too_long(width: int) -> None:
    long = [replace(span, name="x" * 500, service="y" * 500, error="z" * 500) for span in SPANS]
    lines = [*waterfall(build(SPANS), width), *waterfall(build(long), width), *listing([LISTED], width)]
    assert max(len(line) for line in lines) <= width


def test_a_trace_of_no_length_and_none() -> None:
    (root,) = build([Span(TRACE, "a" * 16, "", "x", "SERVER", "n", WALL, WALL)])
    assert "(it says nothing of its terms)" in "\n".join(waterfall([root], 80))
    assert list(waterfall([], 80)) == []


def test_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    file.write_text(json.dumps(otlp(SPANS)))
    for arguments in ((), (TRACE,), (TRACE.upper(),), (f"00-{TRACE}-{'b' * 16}-01",)):
        result = kontor(*arguments, "--file", file)
        assert (result.exit_code, result.stdout) == (0, EXPECTED)


def test_a_file_of_several_traces(tmp_path: Path) -> None:
    file = tmp_path / "traces.json"
    other = [Span("1" * 32, "c" * 16, "", "gateway", "SERVER", "GET", WALL, WALL + 1)]
    file.write_text(json.dumps(otlp(other)) + "\n" + json.dumps(otlp(SPANS)) + "\n")
    assert kontor("--file", file).stdout == f"{'1' * 32} 1 spans\n{TRACE} 2 spans\n"
    assert kontor(TRACE, "--file", file).stdout == EXPECTED
    missing = kontor("2" * 32, "--file", file)
    assert (missing.exit_code, missing.stderr) == (
        1,
        f"There is no trace {'2' * 32} in {file}; there are 2 others.\n",
    )


def test_from_jaeger(backend: Backend) -> None:
    result = kontor(TRACE, "--jaeger", backend.url + "/")
    assert (result.exit_code, result.stdout) == (0, EXPECTED)
    ((path, query, _),) = backend.asked
    assert path == f"/api/v3/traces/{TRACE}"
    assert query["rawTraces"] == ["true"]
    assert kontor(TRACE, KONTOR_JAEGER_URL=backend.url).stdout == EXPECTED


def test_from_the_gateways_buffer(backend: Backend, key_file: Path) -> None:
    result = kontor(TRACE, "--admin-url", backend.url + "/admin", "--admin-key-file", key_file)
    assert (result.exit_code, result.stdout) == (0, EXPECTED)
    assert [asked[2] for asked in backend.asked] == [f"Bearer {KEY}"]


def test_the_latest(backend: Backend, key_file: Path) -> None:
    where = {"KONTOR_ADMIN_URL": backend.url + "/admin", "KONTOR_ADMIN_KEY_FILE": str(key_file)}
    result = kontor("--route", "/v1/x", "--min-ms", "5", "--status", "200", "--dominant", "system", **where)
    assert result.stdout == f"{TRACE} ---    12.000 ms system     slow    GET /v1/a..\n"
    assert backend.asked[0][1] == {
        "route": ["/v1/x"],
        "min_ms": ["5.0"],
        "status": ["200"],
        "dominant": ["system"],
        "limit": ["20"],
    }


def test_errors_are_sentences(backend: Backend, key_file: Path, tmp_path: Path) -> None:
    gone = "http://127.0.0.1:1"
    backend.answers["/bad/api/v3/traces/" + TRACE] = (200, "<html>")
    backend.answers["/ill/api/v3/traces/" + TRACE] = (500, "out of\nmemory")
    backend.answers["/locked/traces/" + TRACE] = (
        401,
        json.dumps({"title": "Unauthorized", "detail": "Send the admin key as Bearer.", "request_id": "r"}),
    )
    for arguments, words in (
        ((), "Say where the trace is"),
        ((TRACE,), "Say where the trace is"),
        (("nonsense", "--jaeger", backend.url), "'nonsense' is no trace id"),
        (("--jaeger", backend.url), "give a trace id"),
        ((TRACE, "--jaeger", gone), f"Jaeger at {gone} does not answer"),
        ((TRACE, "--jaeger", "jaeger:16686"), "does not answer"),
        (("1" * 32, "--jaeger", backend.url), "Jaeger has no trace"),
        ((TRACE, "--jaeger", backend.url + "/bad"), "is not OTLP JSON"),
        ((TRACE, "--jaeger", backend.url + "/ill"), "Jaeger answers 500: out of memory"),
        ((TRACE, "--admin-url", gone, "--admin-key-file", key_file), "does not answer"),
        ((TRACE, "--admin-url", backend.url + "/locked", "--admin-key-file", key_file), "Send the admin key"),
    ):
        result = kontor(*arguments)
        assert (result.exit_code, result.stdout) == (1, ""), arguments
        assert words in result.stderr, arguments
        assert "Traceback" not in result.stderr
