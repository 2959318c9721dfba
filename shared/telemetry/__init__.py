"""Traces of the suite: one SERVER span per hop, CLIENT spans for calls and statements.

A process makes one `Telemetry` in its composition root and hands it to whatever records spans. There
is no global provider, on purpose: FastAPI traces by itself as soon as one exists, and every hop would
then have two SERVER spans.

    shared.telemetry.setup         Telemetry, configure   spans go out by OTLP/HTTP when an endpoint is set
    shared.telemetry.server        ServerSpans            ASGI middleware, outermost but for the request id
    shared.telemetry.client        client_span, inject    one outgoing HTTP attempt
    shared.telemetry.database      database_span, traced, trace_statements
    shared.telemetry.tracecontext  W3C traceparent and tracestate
    shared.telemetry.clock         readings of the monotonic clock as wall-clock times
    shared.telemetry.redaction     paths and URLs without personal data
    shared.telemetry.exporting     the SDK and its exporter, imported only when an endpoint is configured

Without an endpoint nothing is recorded and the SDK is never imported, but a caller's trace id still
passes through to the logs and to the services behind.
"""
