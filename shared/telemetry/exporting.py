"""The OpenTelemetry SDK with its OTLP/HTTP exporter. Import only when an endpoint is configured."""

import logging
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Thread
from time import monotonic

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import Tracer

_MACHINE_IDS = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
_LOGGERS = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.sdk._shared_internal",
)


class OncePerMinute(logging.Filter):
    """Lets one record a minute through, over all loggers that share it.

    A collector that is down makes the exporter log every attempt and the queue every span it drops.
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
    """Can be told to stop twice: by us when time is up, and by the processor when it gets there."""

    def shutdown(self) -> None:
        if not self._shutdown:
            super().shutdown()  # type: ignore[no-untyped-call]  # the SDK leaves it without annotations


def make_tracer(
    endpoint: str, *, share: float, resource: Mapping[str, str]
) -> tuple[Tracer, Callable[[float], None]]:
    """A tracer that exports to `endpoint` in the background, and the function that flushes and stops it.

    That function takes the longest time it may block, in seconds.
    """
    _quieten_loggers()
    exporter = _OnceStoppedExporter(endpoint=endpoint)
    provider = TracerProvider(
        # Not parent-based: a caller's flags neither force recording nor switch it off.
        sampler=TraceIdRatioBased(share),
        resource=Resource.create({**resource, "host.id": host_id()}),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))

    def stop(timeout_s: float) -> None:
        # The provider's own shutdown waits up to 30 s for an export that is being retried.
        flush = Thread(target=provider.shutdown, name="telemetry-flush", daemon=True)
        flush.start()
        flush.join(timeout_s)
        if flush.is_alive():
            exporter.shutdown()

    return provider.get_tracer("kontor", resource.get("service.version")), stop


def host_id() -> str:
    """The machine's id, or its name where it has none (as in most containers)."""
    for path in _MACHINE_IDS:
        if path.is_file() and (text := path.read_text(encoding="ascii").strip()):
            return text
    return platform.node()


def _quieten_loggers() -> None:
    throttle = OncePerMinute()
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(present, OncePerMinute) for present in logger.filters):
            logger.addFilter(throttle)
