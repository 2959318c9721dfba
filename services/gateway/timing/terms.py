"""Where the time of one request went at the gateway: components and terms, exact in integer nanoseconds. Pure.

    response time = processing + network + system      the source formula
    G = queue + pre + pool_wait + connect + (S + R) + body + wake + post

G runs from the request's first bytes to its last answer bytes at the transport, S is what the service says of
its own time, R what is left between our write and its first byte. Every instant of G belongs to exactly one
component, so that the sum is exact whatever the readings are, and no component is negative.

processing    `pre` our own work before an attempt's write, `post` that after the answer; the service's processing
network       `connect`, `body` (first to last byte of the answer), `wire` (R up to the connection's fastest round
              trip), `upload` (waiting for the caller's bytes); the service's network
system        `queue`, `pool_wait` (a place, the end of the turn, another's fetch), `backoff` between attempts,
              `hedge_wait` before the hedge that won, `beyond` (R beyond the network), `wake`; the service's waits

Of several attempts those on the critical path count: the one that ended the waiting, and before it whatever
ended last before it was sent.

A service that says nothing of itself, or nothing readable, has S = 0: all that is not the network is then
`beyond`, a wait that nobody explains. One that claims more than the time that passed is believed in its
proportions only: its terms are scaled down to that time. While a body was still being uploaded, its waits and
the upload are one and the same, and count as the upload.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from services.gateway.resilience.ledger import HEDGE_LOSER
from services.gateway.timing.finished import FIRST, HEDGE, RETRY, Attempt, FinishedRequest
from shared.telemetry.terms import Latency, ServiceTerms

# What the time before an attempt was spent on: choosing a replica and composing the request, or waiting.
_BEFORE: Final = {FIRST: "pre", RETRY: "backoff", HEDGE: "hedge_wait"}


def terms_of(
    received: int,
    started: int,
    ready: int,
    slot: int,
    sent: int,
    first_byte: int,
    last_byte: int,
    resumed: int,
    done: int,
    processing: int,
    network: int,
    system: int,
    min_rtt: int,
) -> tuple[int, int, int]:
    """Processing, network and system (ns) of an ordinary request: one attempt, on an open connection, answered.

    `processing`, `network` and `system` are the service's own, 0 when it said nothing. Everything else is a
    reading; where two are the same instant, pass it twice. The same as `components_of`, for a tenth of its cost.
    """
    if not received <= started <= ready <= slot <= sent <= first_byte <= last_byte <= resumed <= done:
        said = ServiceTerms(system, 0, 0, processing, 0, 0, network)
        attempt = Attempt(FIRST, slot, 0, sent, first_byte, last_byte, resumed, min_rtt, said)
        return components_of(
            FinishedRequest(received, started, ready, 0, slot, resumed, done, (attempt,))
        ).latency
    beyond = first_byte - sent - processing - network - system
    if beyond < 0:
        processing, network, system = believed(processing, network, system, first_byte - sent)
        beyond = 0
    wire = min_rtt if min_rtt < beyond else beyond
    return (
        processing + ready - started + sent - slot + done - resumed,
        network + wire + last_byte - first_byte,
        system + started - received + slot - ready + beyond - wire + resumed - last_byte,
    )


class Components(NamedTuple):
    """Every component of one request, or of one attempt, in ns; they add up to its duration."""

    queue: int = 0
    pre: int = 0
    upload: int = 0
    pool_wait: int = 0
    backoff: int = 0
    hedge_wait: int = 0
    connect: int = 0
    service_processing: int = 0
    service_network: int = 0
    service_system: int = 0
    wire: int = 0
    beyond: int = 0
    body: int = 0
    wake: int = 0
    post: int = 0

    @property
    def latency(self) -> Latency:
        """The three terms."""
        queue, pre, upload, pool_wait, backoff, hedge_wait, connect = self[:7]
        service_processing, service_network, service_system, wire, beyond, body, wake, post = self[7:]
        return Latency(
            pre + service_processing + post,
            upload + connect + service_network + wire + body,
            queue + pool_wait + backoff + hedge_wait + service_system + beyond + wake,
        )


def components_of(request: FinishedRequest) -> Components:
    """Every component of a request, whatever its end. They add up to `total_ns`; the terms are `.latency`."""
    if len(request.attempts) == 1 and not (request.uploaded_ns or request.headed_ns):
        attempt = request.attempts[0]
        received_ns, started_ns, ready_ns, slot_ns = request[0], request[1], request[2], request[4]
        # What waited in the outbox was resumed later, as most answers are under load.
        last_byte_ns, done_ns = attempt.last_byte_ns, request.done_ns
        resumed_ns = request.resumed_ns or last_byte_ns
        in_order = (
            received_ns <= started_ns <= ready_ns <= slot_ns <= attempt.asked_ns
            and last_byte_ns <= resumed_ns <= done_ns
        )
        if in_order and attempt.kind is FIRST and _is_usual(attempt) and attempt.ended_ns <= done_ns:
            return Components(
                started_ns - received_ns,
                ready_ns - started_ns + attempt.sent_ns - slot_ns,
                0,
                slot_ns - ready_ns,
                0,
                0,
                0,
                *_answered(attempt, attempt.first_byte_ns - attempt.sent_ns, 0),
                last_byte_ns - attempt.first_byte_ns,
                resumed_ns - last_byte_ns,
                done_ns - resumed_ns,
            )
    return accounted(request)


def accounted(request: FinishedRequest) -> Components:
    """The same for any readings, in order or not. What is usual is known for a quarter of the time this takes."""
    account = _Account(request.received_ns, request.done_ns)
    account.until(request.headed_ns, "upload")
    account.until(request.started_ns, "queue")
    account.until(request.ready_ns or request.done_ns, "pre")
    slot, uploaded = request.slot_ns, request.uploaded_ns
    if not slot or uploaded <= slot:  # else the body was streamed, and nothing waited for its end
        account.until(uploaded, "upload")
    # What got no attempt waited for one until the end of its wait, whatever that was.
    account.until(slot if request.attempts else request.resumed_ns or request.done_ns, "pool_wait")
    for attempt in critical_path(request.attempts):
        account.until(attempt.asked_ns, _BEFORE[attempt.kind])
        _book(account, attempt, uploaded)
    account.until(request.resumed_ns, "wake")
    account.until(request.done_ns, "post")
    return Components(*account.booked.values())


def attempt_components(attempt: Attempt, uploaded_ns: int = 0) -> Components:
    """The components of one attempt by itself; they add up to the time from `asked_ns` to `ended_ns`."""
    if not uploaded_ns and _is_usual(attempt):
        pre_ns, passed_ns = attempt.sent_ns - attempt.asked_ns, attempt.first_byte_ns - attempt.sent_ns
        body_ns, post_ns = (
            attempt.last_byte_ns - attempt.first_byte_ns,
            attempt.ended_ns - attempt.last_byte_ns,
        )
        return Components(0, pre_ns, 0, 0, 0, 0, 0, *_answered(attempt, passed_ns, 0), body_ns, 0, post_ns)
    return attempt_accounted(attempt, uploaded_ns)


def attempt_accounted(attempt: Attempt, uploaded_ns: int = 0) -> Components:
    """The same for any readings."""
    account = _Account(attempt.asked_ns, attempt.ended_ns)
    _book(account, attempt, uploaded_ns)
    account.until(attempt.ended_ns, "post")
    return Components(*account.booked.values())


def _is_usual(attempt: Attempt) -> bool:
    """Whether it was made on an open connection and answered to the end, one reading after the other."""
    asked_ns, connected_ns, sent_ns, first_byte_ns, last_byte_ns, ended_ns = attempt[1:7]
    return not connected_ns and 0 < asked_ns <= sent_ns <= first_byte_ns <= last_byte_ns <= ended_ns


def _answered(attempt: Attempt, passed_ns: int, overlap_ns: int) -> tuple[int, int, int, int, int]:
    """What the wait for an answer was: the service's three terms, wire and beyond.

    For `overlap_ns` before it the service had waited for the body as well.
    """
    terms = attempt.terms
    if terms is None:
        wire = min(passed_ns, attempt.min_rtt_ns)
        return 0, 0, 0, wire, passed_ns - wire
    queue, db_wait, db, processing, sched, down_processing, network, down_system = terms
    processing += db + down_processing
    system = queue + db_wait + sched + down_system
    beyond = passed_ns - processing - network - system
    if beyond < 0:
        if overlap_ns:
            system -= min(system, overlap_ns, -beyond)
            beyond = passed_ns - processing - network - system
        if beyond < 0:
            return *believed(processing, network, system, passed_ns), 0, 0
    wire = min(beyond, attempt.min_rtt_ns)
    return processing, network, system, wire, beyond - wire


def critical_path(attempts: Sequence[Attempt]) -> list[Attempt]:
    """The attempts whose time the request took, in order; the others ran beside them."""
    if len(attempts) < 2:
        return list(attempts)
    last = max(
        range(len(attempts)), key=lambda at: (attempts[at].outcome != HEDGE_LOSER, attempts[at].ended_ns)
    )
    path = [last]
    while before := [at for at in range(path[0]) if attempts[at].ended_ns <= attempts[path[0]].asked_ns]:
        path.insert(0, max(before, key=lambda at: attempts[at].ended_ns))
    return [attempts[at] for at in path]


def believed(processing: int, network: int, system: int, passed_ns: int) -> tuple[int, int, int]:
    """A service's terms that claim more than the time that passed, scaled down to it; the sum is exact."""
    claimed = processing + network + system
    processing = processing * passed_ns // claimed
    network = network * passed_ns // claimed
    return processing, network, passed_ns - processing - network


_WAIT: Final = ("service_processing", "service_network", "service_system", "wire", "beyond")
_NOTHING: Final = dict.fromkeys(Components._fields, 0)


class _Account:
    """Books the time between two readings, instant after instant: what is behind `_at` is booked already."""

    __slots__ = ("_at", "_end", "booked")

    def __init__(self, begin_ns: int, end_ns: int) -> None:
        self._at = begin_ns
        self._end = end_ns
        self.booked = _NOTHING.copy()

    def until(self, reading_ns: int, component: str) -> None:
        """Book what lies before a reading; nothing, if it never happened or is booked already."""
        if reading_ns > self._at:
            self.booked[component] += self._pass(reading_ns)

    def service(self, reading_ns: int, attempt: Attempt, overlap_ns: int) -> None:
        """Book the wait for an answer. For `overlap_ns` before it the service had waited for the body as well."""
        answered = _answered(attempt, self._pass(reading_ns), overlap_ns)
        booked = self.booked
        for component, ns in zip(_WAIT, answered, strict=True):
            booked[component] += ns

    def _pass(self, reading_ns: int) -> int:
        begin_ns, self._at = self._at, max(self._at, min(reading_ns, self._end))
        return self._at - begin_ns


def _book(account: _Account, attempt: Attempt, uploaded_ns: int) -> None:
    """Book one attempt, up to the last byte of its answer, or to its end without one."""
    if not attempt.sent_ns:
        account.until(attempt.ended_ns, "connect")
        return
    account.until(attempt.connected_ns, "connect")
    account.until(attempt.sent_ns, "pre")
    answered_ns = attempt.first_byte_ns or attempt.ended_ns
    overlap_ns = max(0, min(uploaded_ns, answered_ns) - attempt.sent_ns)
    if overlap_ns:
        account.until(attempt.sent_ns + overlap_ns, "upload")
    account.service(answered_ns, attempt, overlap_ns)
    if attempt.first_byte_ns:
        account.until(attempt.last_byte_ns or attempt.ended_ns, "body")
