"""Spans from what collectors, Jaeger and protobuf's own JSON write, and clear words about anything else."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from cli.trace_sources import SourceError, from_file
from cli.trace_tree import Event, Span

TRACE, SPAN, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "00f067aa0ba902b7"


def otlp(**more: Any) -> dict[str, Any]:
    one = {
        "traceId": TRACE,
        "spanId": SPAN,
        "parentSpanId": PARENT,
        "kind": 2,
        "name": "GET /v1/x",
        "startTimeUnixNano": "1700000000000000001",
        "endTimeUnixNano": "1700000000000001001",
        "attributes": [
            {"key": "s", "value": {"stringValue": "text"}},
            {"key": "i", "value": {"intValue": "9007199254740993"}},
            {"key": "d", "value": {"doubleValue": 0.5}},
            {"key": "b", "value": {"boolValue": False}},
            {"key": "a", "value": {"arrayValue": {"values": [{"intValue": 1}, {"stringValue": "x"}]}}},
            {"key": "k", "value": {"kvlistValue": {"values": [{"key": "n", "value": {"intValue": 2}}]}}},
            {"key": "none", "value": {}},
        ],
        "events": [
            {
                "name": "retry",
                "timeUnixNano": "1700000000000000501",
                "attributes": [{"key": "why", "value": {"stringValue": "so"}}],
            }
        ],
        "status": {"code": 2, "message": "broken"},
    }
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "gateway"}}]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {}, "spans": [one | more]}]}]}


EXPECTED = Span(
    TRACE,
    SPAN,
    PARENT,
    "gateway",
    "SERVER",
    "GET /v1/x",
    1_700_000_000_000_000_001,
    1_700_000_000_000_001_001,
    {
        "s": "text",
        "i": 9_007_199_254_740_993,
        "d": 0.5,
        "b": False,
        "a": [1, "x"],
        "k": {"n": 2},
        "none": None,
    },
    (Event("retry", 1_700_000_000_000_000_501, {"why": "so"}),),
    "broken",
)


def read(folder: Path, text: str) -> list[Span]:
    file = folder / "trace.json"
    file.write_text(text, "utf-8")
    return from_file(file)


def test_a_document(tmp_path: Path) -> None:
    assert read(tmp_path, json.dumps(otlp(), indent=2)) == [EXPECTED]


def test_as_jaeger_wraps_it(tmp_path: Path) -> None:
    assert read(tmp_path, json.dumps({"result": otlp()})) == [EXPECTED]


def test_a_document_per_line(tmp_path: Path) -> None:
    lines = [json.dumps(otlp()), "", json.dumps(otlp(spanId="1" * 16)), ""]
    assert [span.span_id for span in read(tmp_path, "\n".join(lines))] == [SPAN, "1" * 16]


def test_protobufs_own_json(tmp_path: Path) -> None:
    """Byte strings in base64, enumerations by name, what has its default left out."""
    trace, span = (base64.b64encode(bytes.fromhex(one)).decode() for one in (TRACE, SPAN))
    document = otlp(traceId=trace, spanId=span, kind="SPAN_KIND_CLIENT", status={"code": "STATUS_CODE_ERROR"})
    del document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["parentSpanId"]
    (found,) = read(tmp_path, json.dumps(document))
    assert (found.trace_id, found.span_id, found.parent_id) == (TRACE, SPAN, "")
    assert (found.kind, found.service, found.error) == ("CLIENT", "gateway", "")


def test_a_root(tmp_path: Path) -> None:
    for none in ("", "0" * 16):
        (span,) = read(tmp_path, json.dumps(otlp(parentSpanId=none, status={})))
        assert span.parent_id == ""
        assert span.error is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "There are no spans"),
        ("{}", "no resourceSpans"),
        ("[]", "not OTLP JSON"),
        ("nonsense", "not OTLP JSON"),
        ('{"resourceSpans": []}', "There are no spans"),
        ('{"resourceSpans": [{"scopeSpans": [{"spans": [{}]}]}]}', "traceId"),
        ('{"resourceSpans": 5}', "not OTLP JSON"),
        (json.dumps(otlp(traceId="xyz")), "'xyz' is no id"),
        (json.dumps(otlp(traceId="YWJj")), "'YWJj' is no id"),
        (json.dumps(otlp(kind=77)), "not OTLP JSON"),
        (json.dumps(otlp(startTimeUnixNano="soon")), "soon"),
        (json.dumps(otlp()) + "{", "not OTLP JSON"),
    ],
)
def test_what_is_no_trace(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SourceError, match=r"trace\.json") as caught:
        read(tmp_path, text)
    assert words in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        from_file(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SourceError, match="cannot be read"):
        from_file(tmp_path / "binary")
