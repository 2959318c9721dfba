"""Traces and metrics of the suite: one SERVER span per hop, CLIENT spans for calls and statements, our own counters.

A process makes one `Telemetry` in its composition root and hands it to whatever records spans. There
is no global provider, on purpose: FastAPI traces by itself as soon as one exists, and every hop would
then have two SERVER spans.

    shared.telemetry.setup         Telemetry, configure: an outbox for spans when an endpoint is set
    shared.telemetry.server        ServerSpans: ASGI middleware, outermost; times every request, recorded or not
    shared.telemetry.terms         where a service's time went, and how it tells the gateway
    shared.telemetry.stopwatch     one request's time, each instant in one component
    shared.telemetry.driving       coroutines and tasks driven step by step, for the stopwatch
    shared.telemetry.request       the request that is being served: trace, stopwatch, spans so far
    shared.telemetry.database      waiting for connections, statements
    shared.telemetry.client        client_span, inject: one outgoing HTTP attempt
    shared.telemetry.downstream    calls side by side, and the one that was waited for
    shared.telemetry.tracecontext  W3C traceparent and tracestate
    shared.telemetry.sampling      which traces are recorded
    shared.telemetry.methods       known methods, and what stands for the others
    shared.telemetry.redaction     paths and URLs without personal data
    shared.telemetry.spans         SpanRecord, a finished span as a tuple
    shared.telemetry.outbox        finished spans on their way out, on a thread of its own
    shared.telemetry.otlp          spans as OTLP's bytes
    shared.telemetry.metrics       counters and histograms, for Prometheus and by OTLP
    shared.telemetry.exporting     the SDK and its exporter, imported only when an endpoint is configured

Without an endpoint nothing is recorded and the SDK is never imported, but a caller's trace id still
passes through to the logs and to the services behind.
"""
