"""Load reports: what Envoy accepts is read, what Envoy refuses is refused and counted."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.balancing.load_report import LoadReport, LoadReportParser, parse_load_report

FULL = LoadReport(
    cpu_utilization=0.7,
    application_utilization=0.8,
    mem_utilization=0.9,
    rps_fractional=1000,
    eps=2,
    named_metrics={"inflight": 3, "event.lag": 0.002},
    utilization={"pool": 0.5},
    inflight=3,
)


@pytest.mark.parametrize(
    "value",
    [
        b"TEXT cpu_utilization=0.7, application_utilization=.8,mem_utilization=9e-1,rps_fractional=1000,"
        b"eps=2.,named_metrics.inflight=3,\tnamed_metrics.event.lag=0.002,utilization.pool=0.5",
        b"TEXT cpu_utilization:0.7,application_utilization:0.8,mem_utilization:0.9,,rps_fractional:1E3,"
        b"eps:2,named_metrics.inflight:3,named_metrics.event.lag:0.002,utilization.pool:0.5,",
        b'JSON {"cpu_utilization": 0.7, "application_utilization": 0.8, "mem_utilization": 0.9, "eps": 2,'
        b'"rps_fractional": 1000, "named_metrics": {"inflight": 3, "event.lag": 0.002},'
        b'"utilization": {"pool": 0.5}, "rps": 7, "request_cost": {"rows": 12}}',
        b'JSON {"cpuUtilization":0.7,"applicationUtilization":0.8,"memUtilization":0.9,"eps":2,'
        b'"rpsFractional":1000,"namedMetrics":{"inflight":3,"event.lag":0.002},"utilization":{"pool":0.5}}',
    ],
)
def test_both_forms_are_read(value: bytes) -> None:
    assert parse_load_report(value) == FULL


def test_an_empty_report_says_nothing() -> None:
    assert parse_load_report(b"TEXT ") == parse_load_report(b"JSON {}") == LoadReport()


def test_rif_is_understood_as_well() -> None:
    report = parse_load_report(b"TEXT named_metrics.rif=4")
    assert report is not None
    assert report.inflight == 4.0


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"BIN CQAAAAAAAOA",
        b"text eps=1",
        b"BADBAD eps=1",
        b"TEXT eps",
        b"TEXT eps=",
        b"TEXT =1",
        b"TEXT eps=-1",
        b"TEXT eps=+1",
        b"TEXT eps=1_0",
        b"TEXT eps=nan",
        b"TEXT eps=inf",
        b"TEXT eps=1e999",
        b"TEXT eps=0x10",
        b'TEXT eps="1"',
        b"TEXT eps= 1",
        b"TEXT eps=1,eps=2",
        b"TEXT unknown=1",
        b"TEXT named_metrics=1",
        b"TEXT named_metrics.=1",
        b"TEXT utilization.=1",
        b"TEXT request_cost.rows=1",
        b"TEXT named_metrics.a=1,named_metrics.a=2",
        b"TEXT eps=1;cpu_utilization=1",
        "TEXT eps=\u0661".encode(),
        b"JSON",
        b"JSON []",
        b"JSON 1",
        b"JSON {",
        b'JSON {"eps": "1"}',
        b'JSON {"eps": true}',
        b'JSON {"eps": -1}',
        b'JSON {"eps": NaN}',
        b'JSON {"eps": 1e999}',
        b'JSON {"eps": 1, "eps": 2}',
        b'JSON {"cpuUtilization": 1, "cpu_utilization": 1}',
        b'JSON {"unknown": 1}',
        b'JSON {"named_metrics": [1]}',
        b'JSON {"named_metrics": {"": 1}}',
        b'JSON {"named_metrics": {"a": {"b": 1}}}',
        b"JSON " + b"[" * 1500,
        b"TEXT " + b"," * 3000,
    ],
)
def test_malformed_is_none_and_counted(value: bytes) -> None:
    parser = LoadReportParser()
    assert parser.parse(value) is None
    assert parser.parse(value) is None
    assert parser.malformed == 2


@settings(deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=80).map(lambda text: b"TEXT " + text.encode("utf-8")))
def test_nothing_breaks_the_parser(value: bytes) -> None:
    report = parse_load_report(value)
    assert report is None or report.eps >= 0.0


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(["cpu_utilization", "eps", "rps_fractional"]), st.floats(0, 1e9)),
    st.dictionaries(st.from_regex(r"\A[a-z_.]{1,12}\Z"), st.floats(0, 1e9), max_size=4),
)
def test_text_and_json_mean_the_same(scalars: dict[str, float], named: dict[str, float]) -> None:
    pairs = scalars | {f"named_metrics.{name}": value for name, value in named.items()}
    text = ",".join(f"{name}={value!r}" for name, value in pairs.items())
    document = json.dumps(scalars | {"named_metrics": named})
    report = parse_load_report(b"TEXT " + text.encode())
    assert report is not None
    assert report == parse_load_report(b"JSON " + document.encode())


def test_the_same_text_is_the_same_report() -> None:
    parser = LoadReportParser(remembered=2)
    first = parser.parse(b"TEXT eps=1")
    assert parser.parse(b"TEXT eps=1") is first
    for number in range(5):
        assert parser.parse(b"TEXT eps=%d" % number) is not None
    assert parser.parse(b"TEXT eps=1") == first
