"""The one object through which a process records spans."""

from collections.abc import Mapping

from shared.telemetry.outbox import OutboxLimits, SpanOutbox


class Telemetry:
    """Where finished spans go: `outbox`, or None when no endpoint is configured and all work for spans is skipped.

    `share` (0 to 1) of all traces is recorded, see `shared.telemetry.sampling`.
    """

    __slots__ = ("outbox", "share")

    def __init__(self, *, outbox: SpanOutbox | None = None, share: float = 1.0) -> None:
        self.outbox = outbox
        self.share = share

    def shutdown(self, timeout_s: float = 2.0) -> None:
        """Send what is buffered and stop, giving up after `timeout_s` seconds. Blocks.

        Belongs at the end of the lifespan: on SIGTERM uvicorn ends the process by the signal itself, so
        handlers of `atexit` never run and spans still buffered would be lost.
        """
        if self.outbox is not None:
            self.outbox.shutdown(timeout_s)


def configure(service_name: str, *, version: str, instance_id: str, environ: Mapping[str, str]) -> Telemetry:
    """Make the process's telemetry from OpenTelemetry's standard variables.

    Spans are exported by OTLP over HTTP when `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` or
    `OTEL_EXPORTER_OTLP_ENDPOINT` is set, unless `OTEL_SDK_DISABLED=true` or
    `OTEL_TRACES_EXPORTER=none`. `OTEL_TRACES_SAMPLER_ARG` (0 to 1, default 1) is the share of traces
    recorded, chosen by the trace id alone so that every hop chooses alike. `OTEL_BSP_SCHEDULE_DELAY` (ms),
    `OTEL_BSP_MAX_QUEUE_SIZE` and `OTEL_BSP_MAX_EXPORT_BATCH_SIZE` bound the outbox. The remaining variables
    (headers, certificates, compression) are read by the SDK from the process's own environment.

    Raises ValueError when one of them is not usable.
    """
    endpoint = traces_endpoint(environ)
    if endpoint is None:
        return Telemetry()
    # The SDK and its exporter take 0.15 s of CPU to import, which each of the suite's processes would
    # pay at start although most installations have no collector.
    from shared.telemetry.exporting import OtlpSpanExporter  # noqa: PLC0415 - see above

    share = sampled_share(environ)
    resource = {
        "service.name": service_name,
        "service.version": version,
        "service.instance.id": instance_id,
    }
    return Telemetry(
        outbox=SpanOutbox(OtlpSpanExporter(endpoint, resource), outbox_limits(environ)), share=share
    )


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


def outbox_limits(environ: Mapping[str, str]) -> OutboxLimits:
    """The outbox's bounds, from the standard variables of the SDK's own batches."""
    usual = OutboxLimits()
    capacity = _positive(environ, "OTEL_BSP_MAX_QUEUE_SIZE", usual.capacity)
    batch = _positive(environ, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", usual.batch)
    every_ms = _positive(environ, "OTEL_BSP_SCHEDULE_DELAY", round(usual.every_s * 1_000))
    return OutboxLimits(capacity, min(batch, capacity), every_ms / 1_000)


def _positive(environ: Mapping[str, str], name: str, usual: int) -> int:
    text = environ.get(name, "").strip()
    if not text:
        return usual
    if not (text.isascii() and text.isdigit() and int(text)):
        raise ValueError(f"{name} must be a positive integer, not {text!r}")
    return int(text)
