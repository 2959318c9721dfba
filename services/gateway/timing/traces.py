"""Kept requests on their way to the buffer and the outbox, and what the admin API is told of them.

Everything here happens in batches, after the requests.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol
from uuid import UUID

from services.gateway.timing.finished import Attempt, FinishedRequest
from services.gateway.timing.keeping import RECENT, Keeping, Recording
from services.gateway.timing.recent import Question, RecentTraces
from services.gateway.timing.spans import RequestSpans, spans_of
from services.gateway.timing.terms import components_of
from shared.telemetry.outbox import Spans
from shared.telemetry.spans import SpanRecord
from shared.telemetry.terms import Latency, ServiceTerms

Json = dict[str, Any]


class Outbox(Protocol):
    """Where spans leave the process; `shared.telemetry.outbox.SpanOutbox` is one."""

    def put(self, spans: Spans) -> None:
        """Take the spans of one request; never blocks."""


class Traces:
    """The traces of one process: what is kept, the buffer, and the way out, if there is a collector."""

    def __init__(self, keeping: Keeping, outbox: Outbox | None, recent: RecentTraces | None = None) -> None:
        self.keeping = keeping
        self.recent = recent or RecentTraces()
        self._outbox = outbox

    def take(self, requests: Iterable[FinishedRequest]) -> None:
        """Remember kept requests and export them, but for those that are kept only to be looked at here."""
        for request in requests:
            self.recent.add(request)
            if self._outbox is not None and request.kept != RECENT:
                self._outbox.put(RequestSpans(request))

    def describe(self, question: Mapping[str, Any]) -> list[Json]:
        """The latest kept requests that answer a `Question`, as JSON, the newest first."""
        return [_summary(one) for one in self.recent.select(Question(**question))]

    def explain(self, trace_id: str) -> list[Json]:
        """The kept requests of a trace as JSON, with every hop's terms and the gateway's spans."""
        return [_explanation(one) for one in self.recent.find(int(trace_id, 16))]

    def record(self, route: str | None, tenant: str | None, for_s: float, most: int, now_ns: int) -> None:
        """Keep every request of a route and a tenant (None: of any), for so long and so many at most."""
        until_ns = now_ns + int(for_s * 1e9)
        self.keeping.record(Recording(route, UUID(tenant) if tenant else None, until_ns, most))

    def forget(self, route: str | None, tenant: str | None) -> None:
        """Withdraw such an order."""
        self.keeping.forget(route, UUID(tenant) if tenant else None)

    def recordings(self, now_ns: int) -> list[Json]:
        """The orders in force, as JSON."""
        return [
            {
                "route": one.route,
                "tenant": str(one.tenant) if one.tenant else None,
                "for_s": round((one.until_ns - now_ns) / 1e9, 3),
                "left": one.left,
            }
            for one in self.keeping.recordings(now_ns)
        ]


def _summary(request: FinishedRequest) -> Json:
    return {
        "trace_id": f"{request.trace_id:032x}",
        "request_id": request.request_id.decode("latin-1"),
        "start_unix_ns": request.received_ns + request.offset_ns,
        "method": request.method.decode("latin-1"),
        "route": request.template or None,
        "upstream": request.upstream or None,
        "status": request.status or None,
        "error": request.error or None,
        "kept": request.kept,
        "attempts": len(request.attempts),
        **_terms(components_of(request).latency),
    }


def _explanation(request: FinishedRequest) -> Json:
    components = components_of(request)
    gateway = {
        "hop": "gateway",
        "address": None,
        "attempt": None,
        **_terms(components.latency),
        "components": {name: value for name, value in components._asdict().items() if value},
    }
    services = [
        _service(request.upstream, number, attempt, attempt.terms)
        for number, attempt in enumerate(request.attempts, 1)
        if attempt.terms is not None
    ]
    spans = [_span(record) for record in spans_of(request, components)]
    return {**_summary(request), "hops": [gateway, *services], "spans": spans}


def _service(upstream: str, number: int, attempt: Attempt, terms: ServiceTerms) -> Json:
    """A replica's hop, as it told of itself: its own spans go to the collector and not through here."""
    return {
        "hop": upstream,
        "address": f"{attempt.host}:{attempt.port}",
        "attempt": number,
        **_terms(terms.latency),
        "components": {name: value for name, value in terms._asdict().items() if value},
    }


def _terms(latency: Latency) -> Json:
    return {
        **latency._asdict(),
        "total_ns": latency.total_ns,
        "dominant": latency.dominant,
    }


def _span(record: SpanRecord) -> Json:
    return {
        "trace_id": f"{record.trace_id:032x}",
        "span_id": f"{record.span_id:016x}",
        "parent_span_id": f"{record.parent_id:016x}" if record.parent_id else None,
        "service": "gateway",
        "kind": record.kind.name,
        "name": record.name,
        "start_unix_ns": record.start_ns,
        "end_unix_ns": record.end_ns,
        "attributes": record.all_attributes,
        "events": [
            {"name": name, "time_unix_ns": at_ns, "attributes": dict(attributes)}
            for name, at_ns, attributes in record.events
        ],
        "error": record.error,
    }
