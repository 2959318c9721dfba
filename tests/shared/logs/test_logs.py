import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.logs.access import log_access
from shared.logs.context import request_id_var
from shared.logs.formats import AccessLine, JsonFormatter, Origin, TextFormatter, escape_controls, here
from shared.logs.setup import LogFormat, configure_logging
from shared.telemetry.request import RequestContext, current_request
from shared.telemetry.stopwatch import LoopWork, Stopwatch
from shared.telemetry.terms import Latency, ServiceTerms
from tests.shared.telemetry.test_tracecontext import SPAN, TRACE


class Output:
    """What has been written to standard output so far."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture
        self._text = ""

    def getvalue(self) -> str:
        self._text += self._capture.readouterr().out
        return self._text


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Output]:
    """Standard output, with the process's logging put back afterwards."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    for flag in ("logThreads", "logProcesses", "logMultiprocessing"):
        monkeypatch.setattr(logging, flag, True)
    monkeypatch.setattr(logging.getLogger("uvicorn.access"), "disabled", False)
    yield Output(capsys)
    root.handlers[:], level = before
    root.setLevel(level)
    logging.captureWarnings(False)


@pytest.fixture
def request_context() -> Iterator[None]:
    context = RequestContext(Stopwatch(0, 0, LoopWork()))
    context.trace_id, context.span_id = int(TRACE, 16), int(SPAN, 16)
    trace = current_request.set(context)
    request = request_id_var.set("req-7")
    yield
    request_id_var.reset(request)
    current_request.reset(trace)


def configured(format: LogFormat) -> logging.Logger:
    configure_logging(format, "customers", "customers-1")
    return logging.getLogger("services.customers.test")


@pytest.mark.usefixtures("request_context")
def test_json_lines_have_the_agreed_fields(output: Output) -> None:
    configured("json").warning("imported %d rows", 7, extra={"job": "j-1", "service": "forged"})
    record = json.loads(output.getvalue())
    assert record.pop("timestamp").endswith("Z")
    assert record == {
        "level": "WARNING",
        "logger": "services.customers.test",
        "message": "imported 7 rows",
        "service": "customers",
        "instance": "customers-1",
        "request_id": "req-7",
        "trace_id": TRACE,
        "span_id": SPAN,
        "job": "j-1",
    }


@pytest.mark.usefixtures("request_context")
def test_text_lines_say_the_same_to_people(output: Output) -> None:
    configured("text").warning("imported %d rows", 7, extra={"job": "j-1"})
    stamp, rest = output.getvalue().split(" ", 1)
    assert len(stamp) == len("2026-11-21T07:00:00.123Z")
    assert rest == (
        f"WARNING services.customers.test imported 7 rows job=j-1 request_id=req-7 trace_id={TRACE}\n"
    )


def test_the_timestamp_is_utc_to_the_millisecond() -> None:
    record = logging.makeLogRecord({"created": 1_795_244_400.0004, "msg": "x"})
    line = json.loads(JsonFormatter(service="s", instance="i").format(record))
    assert line["timestamp"] == "2026-11-21T07:00:00.000Z"


def fail(text: str) -> None:
    raise ValueError(text)


def test_an_exception_is_one_field_of_one_line(output: Output) -> None:
    logger = configured("json")
    try:
        fail("bad\nvalue")
    except ValueError:
        logger.exception("failed")
    (line,) = output.getvalue().splitlines()
    assert json.loads(line)["exception"].startswith("Traceback")
    assert "bad\nvalue" in json.loads(line)["exception"]


def test_an_exceptions_text_cannot_pass_for_a_record(output: Output) -> None:
    logger = configured("text")
    try:
        fail("bad\n2026-11-21T07:00:00.000Z INFO forged \x1b[31m")
    except ValueError:
        logger.exception("failed")
    first, *others = output.getvalue().splitlines()
    assert "ERROR" in first
    assert others
    assert all(line.startswith("    ") for line in others)
    assert "\x1b" not in output.getvalue()


@pytest.mark.parametrize("format", ["text", "json"])
@given(hostile=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=30))
def test_what_callers_send_never_starts_a_line(format: LogFormat, hostile: str) -> None:
    formatter: logging.Formatter = (
        TextFormatter() if format == "text" else JsonFormatter(service="s", instance="i")
    )
    record = logging.makeLogRecord({"name": "t", "msg": "path %s", "args": (hostile,), "field": hostile})
    line = formatter.format(record)
    assert len(line.splitlines()) == 1
    assert line.isprintable() or not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in line)


def test_control_characters_are_spelt_out() -> None:
    assert escape_controls("a\r\nb\x1b[0m\u2028c\x85ü") == r"a\r\nb\x1b[0m\u2028c\x85ü"


@pytest.mark.parametrize("format", ["text", "json"])
def test_secrets_are_blanked_by_their_names(format: LogFormat, output: Output) -> None:
    extra = {"Authorization": "s3cret", "api_key": "s3cret", "set-cookie": "s3cret", "request_body": "s3cret"}
    configured(format).info("called", extra=extra)
    assert "s3cret" not in output.getvalue()
    assert output.getvalue().count("[redacted]") == 4


@pytest.mark.usefixtures("request_context")
def test_an_access_line_as_json(output: Output) -> None:
    configured("json")
    log_access("GET", "/v1/accounts/7", 200, 3_214_159, route="/v1/accounts/{id}")
    record = json.loads(output.getvalue())
    assert record["logger"] == "kontor.access"
    assert record["message"] == "GET /v1/accounts/7 200 3.214 ms"
    assert (record["method"], record["path"], record["status"]) == ("GET", "/v1/accounts/7", 200)
    assert (record["duration_ms"], record["route"]) == (3.214, "/v1/accounts/{id}")
    assert (record["request_id"], record["trace_id"]) == ("req-7", TRACE)


def test_an_access_line_as_text_cannot_be_forged(output: Output) -> None:
    configured("text")
    log_access("GET", "/v1/x\n2026 INFO forged", None, 1_000_000, error="asyncio.CancelledError")
    (line,) = output.getvalue().splitlines()
    assert line.endswith(r"GET /v1/x\n2026 INFO forged - 1.000 ms error=asyncio.CancelledError")


@pytest.mark.usefixtures("request_context")
@pytest.mark.parametrize("status", [200, None])
def test_an_access_line_has_the_form_of_a_record(status: int | None) -> None:
    line = ("GET", "/v1/ä\n", status, 3_214_159, "/v1/{id}", "500", None, None, *here())
    message = f"GET /v1/ä\n {status or '-'} 3.214 ms"
    extra = {"status": status, "duration_ms": 3.214, "route": "/v1/{id}", "error": "500"}
    fields: dict[str, object] = {"method": "GET", "path": "/v1/ä\n", **extra}
    head = {"levelname": "INFO", "name": "kontor.access", "msg": message}
    as_json = JsonFormatter(service="customers", instance="customers-1")
    record = json.loads(as_json.format(logging.makeLogRecord(fields | head)))
    access = json.loads(as_json.access(line))
    assert list(access) == list(record)
    assert access | {"timestamp": ""} == record | {"timestamp": ""}
    stamp, rest = TextFormatter().access(line).split(" ", 1)
    assert len(stamp) == len("2026-11-21T07:00:00.123Z")
    assert rest == (
        rf"INFO    kontor.access GET /v1/ä\n {status or '-'} 3.214 ms"
        f" route=/v1/{{id}} error=500 request_id=req-7 trace_id={TRACE}"
    )


@given(
    st.tuples(
        st.text(),
        st.text(),
        st.none() | st.integers(100, 599),
        st.integers(0, 10**15),
        st.none() | st.text(),
        st.none() | st.text(),
        st.none() | st.tuples(*[st.integers(0, 10**15)] * 3),
        st.none() | st.builds(ServiceTerms, *[st.integers(0, 10**15)] * 8),
        st.integers(0, 10**13),
        st.none() | st.text(),
        st.just(TRACE),
        st.just(SPAN),
    )
)
def test_an_access_line_is_one_line_whatever_is_in_it(line: AccessLine) -> None:
    method, path, status, duration_ns, route, error, _, _, _, request_id, _, _ = line
    text = TextFormatter().access(line)
    assert len(text.splitlines()) == 1
    assert text == escape_controls(text)
    written = JsonFormatter(service="ä", instance="\n").access(line)
    assert (written.isascii(), len(written.splitlines())) == (True, 1)
    document = json.loads(written)
    assert (document["method"], document["path"]) == (method, path)
    assert document["message"].startswith(f"{method} {path} ")
    assert (document.get("route"), document.get("error")) == (route, error)
    assert (document.get("request_id"), document.get("status")) == (request_id, status)
    assert document["duration_ms"] == pytest.approx(duration_ns / 1e6, abs=0.0006)


def test_uvicorn_logs_go_the_same_way_and_its_access_log_is_off(output: Output) -> None:
    configured("json")
    logging.getLogger("uvicorn.error").info("started", extra={"color_message": "\x1b[1mstarted"})
    logging.getLogger("uvicorn.access").info("GET /")
    (line,) = output.getvalue().splitlines()
    assert json.loads(line)["logger"] == "uvicorn.error"
    assert "color_message" not in json.loads(line)


def timed_line() -> AccessLine:
    latency = Latency(2_500_000, 0, 750_001)
    components = ServiceTerms(0, 0, 2_000_000, 0, 750_001)
    return "GET", "/v1", 200, 3_250_001, None, None, latency, components, *Origin(0)


def test_a_line_for_people_has_the_terms_in_milliseconds() -> None:
    text = TextFormatter().access(timed_line())
    assert text.endswith(
        "GET /v1 200 3.250 ms processing=2.500 network=0.000 system=0.750 (db=2.000 sched=0.750)"
    )


def test_a_line_for_machines_has_the_terms_in_nanoseconds() -> None:
    document = json.loads(JsonFormatter(service="s", instance="1").access(timed_line()))
    assert [document[f"{term}_ns"] for term in ("processing", "network", "system")] == [2_500_000, 0, 750_001]
    assert document["components_ns"] == {"db": 2_000_000, "sched": 750_001}
