"""The OpenTelemetry SDK with its OTLP/HTTP exporter. Import only when an endpoint is configured."""

import logging
import platform
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from time import monotonic, sleep
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource

from shared.telemetry.otlp import OtlpEncoder, span
from shared.telemetry.spans import SpanRecord

_SPANS_AT_A_TIME: Final = 64
_PAUSE_S: Final = 0.0005
_MACHINE_IDS = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
_LOGGERS = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
)


class OncePerMinute(logging.Filter):
    """Lets one record a minute through, over all loggers that share it.

    A collector that is down makes the exporters log every attempt.
    """

    def __init__(self) -> None:
        super().__init__()
        self._next = float("-inf")

    def filter(self, record: logging.LogRecord) -> bool:
        now = monotonic()
        if now < self._next:
            return False
        self._next = now + 60.0
        return True


class _OnceStoppedExporter(OTLPSpanExporter):
    """Can be told to stop twice: when time is up, and again when all is sent or given up.

    And it posts what is encoded already, by the client that it has made from the environment (endpoint, headers,
    certificates, compression, time-outs) and that retries.
    """

    def post(self, request: bytes) -> bool:
        """Send an ExportTraceServiceRequest; False when it was given up. Its own client is private: a test holds it."""
        return not self._shutdown and self._client.export(request).success

    def shutdown(self) -> None:
        if not self._shutdown:
            super().shutdown()  # type: ignore[no-untyped-call]  # the SDK leaves it without annotations


class OtlpSpanExporter:
    """Writes records as OTLP and posts them by HTTP as the SDK does; an outbox's exporter."""

    def __init__(self, endpoint: str, resource: Mapping[str, str]) -> None:
        quieten_loggers()
        self._exporter = _OnceStoppedExporter(endpoint=endpoint)
        version = resource.get("service.version", "")
        self._encoder = OtlpEncoder(whole_resource(resource).attributes, "kontor", version)

    def export(self, records: Iterable[SpanRecord]) -> bool:
        """Post them, with the SDK's retries; False when it has given up."""
        return self._exporter.post(self._encoder.request(_written(records)))

    def shutdown(self) -> None:
        """Give up whatever is being retried."""
        self._exporter.shutdown()


def _written(records: Iterable[SpanRecord]) -> Iterator[bytes]:
    """The spans one by one, with a moment's sleep after every few.

    A thread that computes keeps the interpreter for 5 ms at a time from an event loop that comes back from polling.
    With the pauses the loop waits for a few spans at most.
    """
    for number, record in enumerate(records, 1):
        yield span(record)
        if not number % _SPANS_AT_A_TIME:
            sleep(_PAUSE_S)


def whole_resource(resource: Mapping[str, str]) -> Resource:
    """These attributes, the SDK's own, those of `OTEL_RESOURCE_ATTRIBUTES`, and the machine."""
    return Resource.create({**resource, "host.id": host_id()})


def host_id() -> str:
    """The machine's id, or its name where it has none (as in most containers)."""
    for path in _MACHINE_IDS:
        if path.is_file() and (text := path.read_text(encoding="ascii").strip()):
            return text
    return platform.node()


def quieten_loggers() -> None:
    """A line a minute from all of the SDK's exporters together."""
    throttle = OncePerMinute()
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(present, OncePerMinute) for present in logger.filters):
            logger.addFilter(throttle)
