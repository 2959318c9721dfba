"""Requests as the tests make them up, and a scrape read back with Prometheus' own parser."""

import shutil
import subprocess
from collections.abc import Iterable
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open_metrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from shared.telemetry.metrics.exposition import OPEN_METRICS, PROMETHEUS_TEXT, expose
from shared.telemetry.metrics.families import Family
from shared.telemetry.metrics.requests import Observation, RequestMetrics

MS = 1_000_000
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def request_metrics() -> RequestMetrics:
    """A hop whose own errors are named, and that takes 401 for an attempt to get in."""
    return RequestMetrics(
        "gateway",
        error_type=lambda status, error: error or (str(status) if status >= 500 else ""),
        security_event=lambda status, _: "authentication_failed" if status == 401 else None,
    )


def observation(
    route: str = "/v1/deals",
    status: int | None = 200,
    terms: tuple[int, int, int] = (MS, MS, MS),
    *,
    method: bytes | str = b"GET",
    error: str = "",
    done_ns: int = 0,
    trace_id: int = 0,
    span_id: int = 0,
) -> Observation:
    return (method, route, status, error, *terms, done_ns, trace_id, span_id)


def scraped(families: Iterable[Family], kind: str = PROMETHEUS_TEXT) -> Samples:
    """Every sample by its name and labels."""
    return samples_of(expose(families, kind).decode(), kind)


def parsed(families: Iterable[Family], kind: str) -> list[Any]:
    """As Prometheus' own parser gives it."""
    return read(expose(families, kind).decode(), kind)


def samples_of(text: str, kind: str = PROMETHEUS_TEXT) -> Samples:
    """Every sample of a scrape."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in read(text, kind)
        for sample in family.samples
    }


def read(text: str, kind: str) -> list[Any]:
    """The families of a scrape; raises ValueError for one that is not as its format has it."""
    parser = read_open_metrics if kind == OPEN_METRICS else read_text
    return list(parser(text))


def value(samples: Samples, name: str, **labels: str) -> float:
    """The sum of all samples of a name that have these labels."""
    wanted = frozenset(labels.items())
    return sum(found for (known, have), found in samples.items() if known == name and wanted <= have)


def complaints(page: bytes) -> str:
    """What `promtool check metrics` says of a page as text; the calling test is skipped without it."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=page, capture_output=True, timeout=30, check=False
    )
    # Its only other finding on our pages: the convention's own name of a gauge, which ends as histograms do.
    known = (
        b'db_client_connection_count non-histogram and non-summary metrics should not have "_count" suffix\n'
    )
    told = checked.stderr.replace(known, b"").decode()
    return told if told or checked.returncode in (0, 3) else f"status {checked.returncode}"
