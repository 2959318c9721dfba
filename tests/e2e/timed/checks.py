"""What must be true of every request, held against all that was told of it: header, log, spans, metrics."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from shared.telemetry.terms import ServiceTerms
from shared.testing.otlp import ReceivedSpan
from tests.e2e.timed.traffic import Asked
from tests.shared.telemetry.metrics.recording import Samples

T = TypeVar("T")
TERMS: Final = ("processing", "network", "system")
UNTOLD: Final = "probe"
"""The kind that supervisors ask all day long: timed and counted, though neither logged nor traced."""

_LATENCY: Final = "crm.latency."
_SUMS: Final = frozenset(f"{_LATENCY}{name}_ns" for name in (*TERMS, "total"))
_MICROSECOND_NS: Final = 1_000
_OBSERVED: Final = {
    "http_server_request_duration_seconds_count": "count",
    "http_server_request_duration_seconds_sum": "duration",
    "crm_response_component_duration_seconds_sum": "",
}


@dataclass
class Verdict:
    """How many requests were compared, what was found wrong, and how close the callers' clocks came."""

    requests: int = 0
    attempts: int = 0
    served: int = 0
    """Requests as the services saw them."""
    transits_ns: list[int] = field(default_factory=list)
    """What the callers measured more than the gateway did."""
    wrong: list[str] = field(default_factory=list)


def judge(
    asked: Sequence[Asked], lines: Sequence[Mapping[str, Any]], spans: Sequence[ReceivedSpan]
) -> Verdict:
    """Hold everything against everything else."""
    verdict = Verdict()
    for span in spans:
        if any(name.startswith(_LATENCY) for name in span.attributes):
            verdict.wrong += wrong_sums(span)
    verdict.wrong += wrong_trees(spans)
    told = _Told(lines, spans)
    for one in asked:
        if one.kind != UNTOLD:
            verdict.wrong += [f"{one}: {text}" for text in told.judge(one, verdict)]
    verdict.wrong += [f"a caller took {ns} ns less than G" for ns in verdict.transits_ns if ns < 0]
    return verdict


class _Told:
    """All that was told, by request."""

    def __init__(self, lines: Sequence[Mapping[str, Any]], spans: Sequence[ReceivedSpan]) -> None:
        self._lines = _grouped(lines, lambda line: line["request_id"])
        servers = [span for span in spans if _is_server(span, "gateway")]
        self._servers = _grouped(servers, lambda span: span.attributes["crm.request.id"])
        attempts = [span for span in spans if span.service == "gateway" and span.kind == "CLIENT"]
        self._attempts = _grouped(attempts, lambda span: span.parent_span_id)
        self._services = {span.parent_span_id: span for span in spans if _is_server(span, "customers")}

    def judge(self, one: Asked, verdict: Verdict) -> Iterator[str]:
        """What is wrong about one request; counts what was compared."""
        servers, lines = self._servers[one.request_id], self._lines[one.request_id]
        if len(servers) != 1 or len(lines) != 1:
            yield f"{len(servers)} SERVER spans, {len(lines)} access lines"
            return
        (server,) = servers
        verdict.requests += 1
        yield from _wrong_of(one, lines[0], server)
        if one.took_ns is not None:
            verdict.transits_ns.append(one.took_ns - server.duration_ns)
        for attempt in self._attempts[server.span_id]:
            verdict.attempts += 1
            yield from _wrong_of_attempt(attempt, server)
            service = self._services.get(attempt.span_id)
            if service is not None:
                verdict.served += 1
                yield from _wrong_of_service(attempt, service)


def terms_of(span: ReceivedSpan) -> tuple[int, int, int]:
    """The three terms of a span, in ns."""
    processing, network, system = (span.attributes[f"{_LATENCY}{term}_ns"] for term in TERMS)
    return processing, network, system


def wrong_sums(span: ReceivedSpan) -> Iterator[str]:
    """Of one span: what is negative, or does not add up to the time between its begin and its end."""
    said = {name: ns for name, ns in span.attributes.items() if name.startswith(_LATENCY)}
    dominant = said.pop(f"{_LATENCY}dominant")
    parts = {name: ns for name, ns in said.items() if name not in _SUMS}
    terms = terms_of(span)
    if min(said.values()) < 0:
        yield f"{span.service} {span.name}: a term is negative: {said}"
    if not sum(parts.values()) == sum(terms) == said[f"{_LATENCY}total_ns"] == span.duration_ns:
        yield f"{span.service} {span.name}: {said} of a span that lasted {span.duration_ns}"
    if terms[TERMS.index(dominant)] != max(terms):
        yield f"{span.service} {span.name}: {dominant} is not the largest of {terms}"


def wrong_trees(spans: Sequence[ReceivedSpan]) -> Iterator[str]:
    """Spans without their parent, and hops that have told twice."""
    known = {span.span_id for span in spans}
    if len(known) != len(spans):
        yield f"{len(spans) - len(known)} spans came twice"
    callers: set[tuple[str, str]] = set()
    for span in spans:
        if span.parent_span_id and span.parent_span_id not in known:
            yield f"{span.service} {span.name} is an orphan"
        if span.kind == "SERVER":
            caller = span.trace_id, span.parent_span_id
            if caller in callers and span.attributes["http.route"] != "/faults/database":
                yield f"{span.service} {span.name}: its call has two SERVER spans"
            callers.add(caller)


def wrong_histograms(samples: Samples, spans: Sequence[ReceivedSpan]) -> Iterator[str]:
    """The gateway's histograms, whose sums are the spans' to the microsecond. Needs every span."""
    wanted: dict[tuple[str, str], int] = defaultdict(int)
    for span in spans:
        if _is_server(span, "gateway"):
            route = span.attributes.get("http.route", "")
            wanted[route, "count"] += 1
            wanted[route, "duration"] += span.duration_ns
            for term, ns in zip(TERMS, terms_of(span), strict=True):
                wanted[route, term] += ns
    found: dict[tuple[str, str], float] = defaultdict(float)
    for (name, labels), observed in samples.items():
        said = dict(labels)
        if name in _OBSERVED and said["hop"] == "gateway":
            found[said.get("http_route", ""), said.get("component", _OBSERVED[name])] += observed
    for (route, what), amount in wanted.items():
        if what == "count" and found[route, what] != amount:
            yield f"{route!r}: {found[route, what]} requests are counted, {amount} traced"
        if what != "count" and abs(found[route, what] * 1e9 - amount) > _MICROSECOND_NS:
            yield f"{route!r}: {what} is {found[route, what]} s in the histogram, {amount} ns in the spans"


def _wrong_of(one: Asked, line: Mapping[str, Any], server: ReceivedSpan) -> Iterator[str]:
    terms = terms_of(server)
    logged = tuple(line[f"{term}_ns"] for term in TERMS)
    if logged != terms:
        yield f"the log says {logged}, the span {terms}"
    if abs(line["duration_ms"] * 1e6 - server.duration_ns) > _MICROSECOND_NS:
        yield f"the log says {line['duration_ms']} ms, the span {server.duration_ns} ns"
    if one.took_ns is not None:
        if line["status"] != one.status or server.attributes["http.response.status_code"] != one.status:
            yield f"the log says {line['status']}"
        if one.timing is None:
            yield "there was no Server-Timing"
    if one.timing is not None and one.whole:
        for told_ms, ns in zip(one.timing, terms, strict=True):
            if abs(told_ms * 1e6 - ns) > _MICROSECOND_NS:
                yield f"Server-Timing says {one.timing}, the span {terms}"


def _wrong_of_attempt(attempt: ReceivedSpan, server: ReceivedSpan) -> Iterator[str]:
    if not server.start_ns <= attempt.start_ns <= attempt.end_ns <= server.end_ns:
        yield f"an attempt from {attempt.start_ns} to {attempt.end_ns} outside of its request"


def _wrong_of_service(attempt: ReceivedSpan, service: ReceivedSpan) -> Iterator[str]:
    """What the service said with its answer's head is the gateway's, and no more than what its span says later."""
    said = attempt.attributes
    told = said.get("crm.service.terms")
    if told is None:
        return  # it was given up before it said anything
    if told != "told":
        yield f"its terms were {told}"
    said_ns = sum(said[f"crm.service.{name}_ns"] for name in ServiceTerms._fields)
    booked_ns = sum(said.get(f"{_LATENCY}service_{term}_ns", 0) for term in TERMS)
    # Waiting for a body that is still being uploaded is the upload, for whoever waits.
    if booked_ns != said_ns and f"{_LATENCY}upload_ns" not in said:
        yield f"the service said {said_ns} ns, of which the attempt has {booked_ns} ns"
    if said_ns > service.duration_ns:
        yield f"the service said {said_ns} ns, and its span {service.duration_ns} ns"


def _is_server(span: ReceivedSpan, service: str) -> bool:
    return span.kind == "SERVER" and span.service == service


def _grouped(found: Iterable[T], key: Callable[[T], str]) -> defaultdict[str, list[T]]:
    groups: defaultdict[str, list[T]] = defaultdict(list)
    for one in found:
        groups[key(one)].append(one)
    return groups
