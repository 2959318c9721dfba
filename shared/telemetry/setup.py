"""The one object through which a process records spans."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, get_current_span
from opentelemetry.util.types import AttributeValue

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

Attributes = Mapping[str, AttributeValue]


class Telemetry:
    """Starts spans, or says that there is nothing to record to.

    `recording` is false when no endpoint is configured: the caller then skips all work for spans.
    """

    __slots__ = ("_stop", "_tracer", "recording")

    def __init__(
        self, tracer: "Tracer | None" = None, *, stop: Callable[[float], None] | None = None
    ) -> None:
        self._tracer = tracer
        self._stop = stop
        self.recording = tracer is not None

    def start_span(
        self,
        name: str,
        kind: SpanKind,
        attributes: Attributes,
        *,
        start_time: int,
        context: Context | None = None,
    ) -> Span:
        """Start a span under the context's current one, at a wall-clock time in ns; the caller ends it.

        Call it only when `recording`.
        """
        if self._tracer is None:
            raise RuntimeError("no span can start: telemetry is not configured")
        return self._tracer.start_span(name, context, kind, attributes, start_time=start_time)

    def records_here(self) -> bool:
        """Whether a span started now would become the child of a recorded one."""
        return self.recording and get_current_span().is_recording()

    def shutdown(self, timeout_s: float = 2.0) -> None:
        """Send what is buffered and stop, giving up after `timeout_s` seconds. Blocks.

        Belongs at the end of the lifespan: on SIGTERM uvicorn ends the process by the signal itself, so
        handlers of `atexit` never run and spans still buffered would be lost.
        """
        if self._stop is not None:
            stop, self._stop = self._stop, None
            stop(timeout_s)


def configure(service_name: str, *, version: str, instance_id: str, environ: Mapping[str, str]) -> Telemetry:
    """Make the process's telemetry from OpenTelemetry's standard variables.

    Spans are exported by OTLP over HTTP when `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` or
    `OTEL_EXPORTER_OTLP_ENDPOINT` is set, unless `OTEL_SDK_DISABLED=true` or
    `OTEL_TRACES_EXPORTER=none`. `OTEL_TRACES_SAMPLER_ARG` (0 to 1, default 1) is the share of traces
    recorded, chosen by the trace id alone so that every hop chooses alike. The remaining variables
    (batching, headers, certificates) are read by the SDK from the process's own environment.

    Raises ValueError when the endpoint or the share is not usable.
    """
    endpoint = traces_endpoint(environ)
    if endpoint is None:
        return Telemetry()
    # The SDK and its exporter take 0.15 s of CPU to import, which each of the suite's processes would
    # pay at start although most installations have no collector.
    from shared.telemetry.exporting import make_tracer  # noqa: PLC0415 - see above

    tracer, stop = make_tracer(
        endpoint,
        share=sampled_share(environ),
        resource={
            "service.name": service_name,
            "service.version": version,
            "service.instance.id": instance_id,
        },
    )
    return Telemetry(tracer, stop=stop)


def traces_endpoint(environ: Mapping[str, str]) -> str | None:
    """The URL spans are posted to, or None when tracing is off."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    if environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none":
        return None
    own = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "").strip()
    base = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip()
    # Only the base variable gets the signal's path appended; the other one is the whole URL.
    url = own or (f"{base.rstrip('/')}/v1/traces" if base else "")
    if url and not url.startswith(("http://", "https://")):
        raise ValueError(f"the OTLP endpoint must be an http or https URL, not {url!r}")
    return url or None


def sampled_share(environ: Mapping[str, str]) -> float:
    """The share of traces to record, from `OTEL_TRACES_SAMPLER_ARG`."""
    text = environ.get("OTEL_TRACES_SAMPLER_ARG", "").strip() or "1"
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1, not {text!r}")
    return share
