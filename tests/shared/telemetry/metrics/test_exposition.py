from typing import Any

import pytest

from shared.telemetry.metrics.definitions import (
    CONNECTION_WAIT,
    HTTP_BOUNDS_NS,
    SERVING_TIME,
    Kind,
    Metric,
)
from shared.telemetry.metrics.exposition import OPEN_METRICS, PROMETHEUS_TEXT, content_type, expose
from shared.telemetry.metrics.families import Distribution, Exemplar, Family, Number
from tests.shared.telemetry.metrics.recording import (
    MS,
    complaints,
    observation,
    parsed,
    request_metrics,
    scraped,
    value,
)

NAMES = ("http_server_request_duration_seconds", "crm_response_component_duration_seconds")
THINGS = Metric("crm.things", Kind.COUNTER, "{thing}", "Things.", ("name",))


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", PROMETHEUS_TEXT),
        ("*/*", PROMETHEUS_TEXT),
        ("text/html", PROMETHEUS_TEXT),
        ("text/plain;version=0.0.4", PROMETHEUS_TEXT),
        ("application/openmetrics-text", OPEN_METRICS),
        # Prometheus 2 and 3 as they ask.
        (
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
            "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            OPEN_METRICS,
        ),
        (
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
            "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            OPEN_METRICS,
        ),
        ("text/plain, application/openmetrics-text;q=0.5", PROMETHEUS_TEXT),
        ("application/openmetrics-text;q=0, */*", PROMETHEUS_TEXT),
        ("application/openmetrics-text;q=many", PROMETHEUS_TEXT),
    ],
)
def test_the_format_is_what_was_asked_for(accept: str, kind: str) -> None:
    assert content_type(accept) == kind


@pytest.mark.parametrize("kind", [PROMETHEUS_TEXT, OPEN_METRICS])
def test_histograms_read_back_as_they_were_counted(kind: str) -> None:
    metrics = request_metrics()
    values = [1, 5 * MS, 5 * MS + 1, 80 * MS, 700 * MS, 20_000 * MS]
    metrics.observe(observation(terms=(one, 0, 0)) for one in values)
    samples = scraped(metrics.families(), kind)
    for name in NAMES:
        labels = {"component": "processing"} if name.startswith("crm") else {}
        assert value(samples, f"{name}_count", **labels) == len(values)
        assert value(samples, f"{name}_sum", **labels) == sum(values) / 1e9
        for bound in HTTP_BOUNDS_NS:
            below = sum(one <= bound for one in values)
            assert value(samples, f"{name}_bucket", le=str(bound / 1e9), **labels) == below
        assert value(samples, f"{name}_bucket", le="+Inf", **labels) == len(values)


@pytest.mark.parametrize("kind", [PROMETHEUS_TEXT, OPEN_METRICS])
@pytest.mark.parametrize("label", ['a"b', "a\\b", "a\nb", "a\\nb", "ü{}=,", ""])
def test_any_text_may_be_a_label(kind: str, label: str) -> None:
    samples = scraped([Family(THINGS, [Number((label,), 3)])], kind)
    labels = frozenset({("name", label)} if label else ())
    assert samples["crm_things_total", labels] == 3


@pytest.mark.parametrize("number", [0, 7, 2**60, 0.1, 1e-9, 1e22])
def test_numbers_keep_every_digit(number: float) -> None:
    assert (
        scraped([Family(THINGS, [Number(("x",), number)])])["crm_things_total", frozenset({("name", "x")})]
        == number
    )


def exemplars(families: list[Family]) -> list[Any]:
    return [
        sample.exemplar
        for family in parsed(families, OPEN_METRICS)
        for sample in family.samples
        if sample.exemplar
    ]


def test_open_metrics_have_units_and_exemplars() -> None:
    metrics = request_metrics()
    trace_id, span_id = 0xABCDEF, 0x99
    metrics.observe([observation(terms=(60 * MS, 0, 0), trace_id=trace_id, span_id=span_id)])
    duration, *_ = parsed(metrics.families(), OPEN_METRICS)
    assert (duration.name, duration.type, duration.unit) == (NAMES[0], "histogram", "seconds")
    (exemplar,) = exemplars(metrics.families()[:1])
    assert (exemplar.value, exemplar.labels) == (
        0.06,
        {"trace_id": f"{trace_id:032x}", "span_id": f"{span_id:016x}"},
    )


def test_an_exemplar_has_its_instant() -> None:
    labelled = Distribution((), [0, 1, *[0] * 8], MS, [Exemplar(1, 1, 1, 2 * MS, 1_700_000_000_004_999_999)])
    (exemplar,) = exemplars([Family(CONNECTION_WAIT, [labelled])])
    assert (float(exemplar.timestamp), exemplar.value) == (1_700_000_000.004, 0.002)


def test_counters_are_named_as_each_format_wants() -> None:
    told = [Family(SERVING_TIME, [Number(("gateway",), 1.5)])]
    text, open_metrics = (expose(told, kind).decode() for kind in (PROMETHEUS_TEXT, OPEN_METRICS))
    assert "# TYPE crm_serving_time_seconds_total counter\n" in text
    assert "# TYPE crm_serving_time_seconds counter\n" in open_metrics
    assert 'crm_serving_time_seconds_total{hop="gateway"} 1.5\n' in text
    assert 'crm_serving_time_seconds_total{hop="gateway"} 1.5\n' in open_metrics
    assert open_metrics.endswith("# EOF\n")
    assert [family.type for family in parsed(told, PROMETHEUS_TEXT)] == ["counter"]


def test_a_family_without_points_is_not_mentioned() -> None:
    assert expose([Family(SERVING_TIME, [])], PROMETHEUS_TEXT) == b""


def test_promtool_finds_nothing_to_complain_about() -> None:
    metrics = request_metrics()
    metrics.observe([observation(), observation(status=500, error="boom")])
    assert complaints(expose(metrics.families(), PROMETHEUS_TEXT)) == ""


def test_promtool_would() -> None:
    assert "bad_total" in complaints(b"# HELP bad_total x\n# TYPE bad_total gauge\nbad_total 1\n")
    assert complaints(b"bad{ 1\n")
