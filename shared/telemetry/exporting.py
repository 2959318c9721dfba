"""The OpenTelemetry SDK with its OTLP/HTTP exporter. Import only when an endpoint is configured."""

import logging
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Thread
from time import monotonic, sleep
from typing import Final, overload

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, Tracer, TraceState

from shared.telemetry.spans import SpanRecord

_SPANS_AT_A_TIME: Final = 8
_PAUSE_S: Final = 0.0005
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_FINE: Final = Status()
_MACHINE_IDS = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
_LOGGERS = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
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


class OtlpSpanExporter:
    """Turns records into the SDK's spans and posts them by OTLP/HTTP; an outbox's exporter."""

    def __init__(self, endpoint: str, resource: Mapping[str, str]) -> None:
        quieten_loggers()
        self._exporter = _OnceStoppedExporter(endpoint=endpoint)
        self._resource = whole_resource(resource)
        self._scope = InstrumentationScope("kontor", resource.get("service.version"))

    def export(self, records: Sequence[SpanRecord]) -> bool:
        """Post them, with the SDK's retries; False when it has given up."""
        spans = _SpansInPassing(records, self._span)
        return self._exporter.export(spans) is SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Give up whatever is being retried."""
        self._exporter.shutdown()

    def _span(self, record: SpanRecord) -> ReadableSpan:
        state = TraceState.from_header([record.trace_state]) if record.trace_state else None
        parent = None
        if record.parent_id:
            remote = record.kind is SpanKind.SERVER
            parent = SpanContext(record.trace_id, record.parent_id, remote, _SAMPLED, state)
        return ReadableSpan(
            record.name,
            context=SpanContext(record.trace_id, record.span_id, False, _SAMPLED, state),
            parent=parent,
            resource=self._resource,
            attributes=record.attributes,
            events=[Event(name, attributes, at_ns) for name, at_ns, attributes in record.events],
            kind=record.kind,
            status=_FINE if record.error is None else Status(StatusCode.ERROR, record.error or None),
            start_time=record.start_ns,
            end_time=record.end_ns,
            instrumentation_scope=self._scope,
        )


class _SpansInPassing(Sequence[ReadableSpan]):
    """Makes each span when the exporter comes to it, and sleeps for a moment after every few.

    The exporter encodes a batch in one go, in Python. Without the pauses it would keep the interpreter from the event
    loop for the 5 ms after which a thread must let go of it, every time that the loop has polled.
    """

    def __init__(self, records: Sequence[SpanRecord], make: Callable[[SpanRecord], ReadableSpan]) -> None:
        self._records = records
        self._make = make

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, index: int) -> ReadableSpan: ...

    @overload
    def __getitem__(self, index: slice) -> "_SpansInPassing": ...

    def __getitem__(self, index: int | slice) -> "ReadableSpan | _SpansInPassing":
        if isinstance(index, slice):
            return _SpansInPassing(self._records[index], self._make)
        return self._make(self._records[index])

    def __iter__(self) -> Iterator[ReadableSpan]:
        for number, record in enumerate(self._records, 1):
            yield self._make(record)
            if not number % _SPANS_AT_A_TIME:
                sleep(_PAUSE_S)


def make_tracer(
    endpoint: str, *, share: float, resource: Mapping[str, str]
) -> tuple[Tracer, Callable[[float], None]]:
    """A tracer that exports to `endpoint` in the background, and the function that flushes and stops it.

    That function takes the longest time it may block, in seconds.
    """
    quieten_loggers()
    exporter = _OnceStoppedExporter(endpoint=endpoint)
    provider = TracerProvider(
        # Not parent-based: a caller's flags neither force recording nor switch it off.
        sampler=TraceIdRatioBased(share),
        resource=whole_resource(resource),
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
