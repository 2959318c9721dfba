"""What is remembered of one request when it is over: readings, attempts, decisions. Plain tuples, made once.

All times are readings of the monotonic clock in nanoseconds (`perf_counter_ns`), 0 for what has not happened.
"""

from typing import Final, Literal, NamedTuple, TypeAlias

from opentelemetry.util.types import AttributeValue

from services.gateway.balancing.policy import Replica
from services.gateway.resilience.ledger import OK, Outcome
from shared.telemetry.terms import ServiceTerms, read_terms

FIRST: Final = "first"
RETRY: Final = "retry"
HEDGE: Final = "hedge"
AttemptKind: TypeAlias = Literal["first", "retry", "hedge"]

Decision: TypeAlias = tuple[str, int, dict[str, AttributeValue]]
"""What was decided on the way (`retry`, `no_retry`, `hedge`, `refused` …), when, and why."""


class Attempt(NamedTuple):
    """One attempt at one replica, in the order in which they were made.

    asked         the request was handed to the pool
    connected     a connection came about; 0 when it was there already, or never was
    sent          just before the write; 0 when no connection came about
    first_byte    the answer's first byte was here
    last_byte     its last byte was here; 0 when it broke off or was given up
    ended         the attempt was booked, however it ended

    `min_rtt_ns` is the connection's round trip at its fastest, 0 when unknown; `terms` what the service said of its
    own time. `span_id` is the one it was told to continue, 0 when nothing was sent. `reason` says why this replica,
    among so many `candidates`, as far as somebody asked.
    """

    kind: AttemptKind
    asked_ns: int
    connected_ns: int
    sent_ns: int
    first_byte_ns: int
    last_byte_ns: int
    ended_ns: int
    min_rtt_ns: int = 0
    terms: ServiceTerms | None = None
    malformed_terms: bool = False
    outcome: Outcome = OK
    status: int = 0
    detail: str = ""
    span_id: int = 0
    host: str = ""
    port: int = 0
    reason: str = ""
    candidates: int = 0


AttemptReadings: TypeAlias = tuple[
    AttemptKind, int, int, int, int, int, int, int, bytes | None, Outcome, int, str, bytes, Replica, str, int
]
"""The same as it is noted on the way, in the same order, but for what takes time: the terms as the service wrote
them, the span's id in hexadecimal, and the replica, which has host and port."""


def attempt_of(readings: AttemptReadings) -> Attempt:
    """For whoever asks."""
    said = readings[8]
    terms = read_terms(said) if said is not None else None
    outcome, status, detail, span_id, replica, reason, candidates = readings[9:]
    return Attempt(
        *readings[:8],
        terms,
        said is not None and terms is None,
        outcome,
        status,
        detail,
        int(span_id, 16),
        replica.host,
        replica.port,
        reason,
        candidates,
    )


class FinishedRequest(NamedTuple):
    """One request through the gateway, from its first byte to the last byte of its answer.

    received      the request's first bytes were here
    headed        its head was complete; 0 where that is the same, or nobody waited for it
    started       our code began with it
    ready         routed and authorised, and not answered from the cache; 0 when it was answered before that
    uploaded      the last byte of its body was here, or we stopped waiting for it; 0 without a body
    slot          it had its place within the upstream's limit; equal to `ready` when nothing limits
    resumed       our code was told the end of what it waited for; 0 where that is the arrival itself
    done          just before the last bytes of the answer were handed to the transport, or it was given up

    `offset_ns` is the wall clock minus the monotonic one. `kept` says why it is remembered (`timing.keeping`).
    `path` is the caller's, without a query, `target` what the replicas were asked for; `template` is the route's,
    empty when there was none; `error` the problem's code.
    """

    received_ns: int
    started_ns: int
    ready_ns: int
    uploaded_ns: int
    slot_ns: int
    resumed_ns: int
    done_ns: int
    attempts: tuple[Attempt, ...] = ()
    offset_ns: int = 0
    trace_id: int = 0
    span_id: int = 0
    parent_id: int = 0
    trace_state: str = ""
    kept: str = ""
    method: bytes = b"GET"
    path: bytes = b"/"
    target: bytes = b"/"
    http10: bool = False
    request_id: bytes = b""
    template: str = ""
    upstream: str = ""
    status: int = 0
    error: str = ""
    server_address: str = ""
    server_port: int = 0
    decisions: tuple[Decision, ...] = ()
    headed_ns: int = 0

    @property
    def total_ns(self) -> int:
        """The response time at the gateway."""
        return self.done_ns - self.received_ns
