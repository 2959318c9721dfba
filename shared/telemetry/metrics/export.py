"""Metrics on their way out by OTLP: from time to time, on a thread of their own, when an endpoint is configured.

What is sent are sums since the process began: a snapshot that never arrives is made up for by the next one, so only
the newest one ever waits.
"""

import logging
from collections.abc import Iterable, Mapping
from threading import Condition, Thread
from time import time_ns
from typing import Final, Protocol

from shared.telemetry.metrics.families import Family

_logger = logging.getLogger(__name__)
_USUAL_INTERVAL_MS: Final = 60_000


class MetricsExporter(Protocol):
    """Where snapshots go; called on the export's thread."""

    def export(self, told: Iterable[Family], time_ns: int) -> bool:
        """Send one, as of this wall-clock time; False when it was given up."""

    def shutdown(self) -> None:
        """Give up what is being sent, from any thread. May be called more than once."""


class MetricsExport:
    """Takes a snapshot every `every_s` seconds from whoever counts, and sends it. `sent` and `failed` count them."""

    def __init__(self, exporter: MetricsExporter, every_s: float) -> None:
        self.every_s = every_s
        self.sent = 0
        self.failed = 0
        self._exporter = exporter
        self._newest: tuple[list[Family], int] | None = None
        self._closed = False
        self._changed = Condition()
        self._thread = Thread(target=self._run, name="metrics-export", daemon=True)
        self._thread.start()

    def put(self, told: Iterable[Family]) -> None:
        """Send this next, in place of what still waits. Never blocks for longer than taking note takes."""
        snapshot = list(told), time_ns()
        with self._changed:
            self._newest = snapshot
            self._changed.notify()

    def shutdown(self, timeout_s: float) -> None:
        """Send what waits, for at most about `timeout_s` seconds, and stop. Blocks. May be called again."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout_s)
        self._exporter.shutdown()

    def _run(self) -> None:
        while (snapshot := self._next()) is not None:
            if self._send(*snapshot):
                self.sent += 1
            else:
                self.failed += 1

    def _next(self) -> tuple[list[Family], int] | None:
        with self._changed:
            while self._newest is None and not self._closed:
                self._changed.wait()
            snapshot, self._newest = self._newest, None
            return snapshot

    def _send(self, told: list[Family], at_ns: int) -> bool:
        try:
            return self._exporter.export(told, at_ns)
        except Exception:  # the thread must go on: the next snapshot holds everything of this one
            _logger.exception("Metrics could not be exported.")
            return False


def configure_metrics_export(
    service_name: str, *, version: str, instance_id: str, environ: Mapping[str, str]
) -> MetricsExport | None:
    """The process's export by OpenTelemetry's standard variables, or None when none is wanted.

    `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT` or `OTEL_EXPORTER_OTLP_ENDPOINT` switches it on, unless
    `OTEL_SDK_DISABLED=true` or `OTEL_METRICS_EXPORTER=none`. `OTEL_METRIC_EXPORT_INTERVAL` is in milliseconds (60,000).
    Headers, certificates, compression and time-outs are read by the SDK from the process's own environment.

    Raises ValueError when one of them is not usable.
    """
    endpoint = metrics_endpoint(environ)
    if endpoint is None:
        return None
    every_s = export_interval_s(environ)
    from shared.telemetry.metrics.otlp import OtlpMetricsExporter  # noqa: PLC0415 - 0.15 s of CPU that few need

    resource = {
        "service.name": service_name,
        "service.version": version,
        "service.instance.id": instance_id,
    }
    return MetricsExport(OtlpMetricsExporter(endpoint, resource), every_s)


def metrics_endpoint(environ: Mapping[str, str]) -> str | None:
    """The URL metrics are posted to, or None when none are."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    if environ.get("OTEL_METRICS_EXPORTER", "").strip().lower() == "none":
        return None
    own = environ.get("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "").strip()
    base = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip()
    url = own or (f"{base.rstrip('/')}/v1/metrics" if base else "")
    if url and not url.startswith(("http://", "https://")):
        raise ValueError(f"the OTLP endpoint must be an http or https URL, not {url!r}")
    return url or None


def export_interval_s(environ: Mapping[str, str]) -> float:
    """Seconds between two exports, from `OTEL_METRIC_EXPORT_INTERVAL`."""
    text = environ.get("OTEL_METRIC_EXPORT_INTERVAL", "").strip() or str(_USUAL_INTERVAL_MS)
    if not (text.isascii() and text.isdigit() and int(text)):
        raise ValueError(f"OTEL_METRIC_EXPORT_INTERVAL must be a positive integer, not {text!r}")
    return int(text) / 1_000
