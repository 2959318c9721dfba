"""Asking replicas for one request: a first attempt, retries, a hedge, and the books about how each ended.

What is decided by lies with the upstream (`resilience.upstream`); what becomes of the answers, with the exchange
(`exchange`), which is these attempts and the caller's side together.
"""

import asyncio
import logging
from time import perf_counter_ns
from typing import TYPE_CHECKING

from services.gateway.balancing.endpoint import Endpoint
from services.gateway.caching.coherence import tenant_of
from services.gateway.forwarding.answer_head import AnswerHead
from services.gateway.forwarding.connection import UpstreamConnection
from services.gateway.forwarding.pool import Pool
from services.gateway.limits.sizes import KEEP_BYTES
from services.gateway.protocol.framing import LAST_CHUNK, chunk
from services.gateway.resilience.concurrency import Admitted, ConcurrencyLimiter, Ticket
from services.gateway.resilience.ledger import (
    BUSY,
    CLIENT_LEFT,
    HEDGE_LOSER,
    OK,
    REFUSED,
    SERVER_ERROR,
    TIMED_OUT,
    UNAVAILABLE,
    Outcome,
    TurnedAway,
)
from services.gateway.resilience.retry_budget import RetryDecision
from services.gateway.timing.finished import FIRST, HEDGE, RETRY, AttemptKind, AttemptReadings, Decision
from services.gateway.timing.trace_ids import TraceIds
from shared.problems import Problem, unavailable
from shared.telemetry.terms import TERMS_HEADER

if TYPE_CHECKING:
    from services.gateway.app import Gateway
    from services.gateway.auth.keys import Caller
    from services.gateway.caching.fetch import Fetch
    from services.gateway.protocol.client import ClientConnection
    from services.gateway.protocol.request_head import RequestHead
    from services.gateway.resilience.upstream import Upstream
    from services.gateway.routing.destination import Destination

log = logging.getLogger("kontor.gateway")

# Outcomes that tell how long an answer takes: the loser's, too, else hedging would hide the slow from itself.
_TIMED = (OK, HEDGE_LOSER, SERVER_ERROR, UNAVAILABLE)


class Attempts:
    """The half of an exchange that faces the replicas; only ever part of one.

    Times are `perf_counter_ns` readings, 0 for what has not happened.
    `answered` is the attempt whose answer the caller gets, `past` are the others as far as they are over.
    """

    __slots__ = (
        "_began",
        "_chunked_in",
        "_complete",
        "_gateway",
        "_kept",
        "_kept_bytes",
        "_limiter",
        "_rival",
        "_slot",
        "_ticket",
        "_timer",
        "_tried",
        "answered",
        "asked_timeout",
        "attempt_deadline_ns",
        "attempts",
        "caller",
        "client",
        "connection",
        "deadline_ns",
        "decisions",
        "error",
        "fetch",
        "fields",
        "forwarded",
        "head",
        "headed_ns",
        "id_line",
        "idempotent",
        "kept",
        "key",
        "over",
        "past",
        "peer",
        "ready_ns",
        "received_ns",
        "request_id",
        "retries",
        "route",
        "slot_ns",
        "started_ns",
        "status",
        "target",
        "template",
        "trace",
        "unsafe",
        "uploaded_ns",
        "upstream",
        "upstream_name",
        "vouched",
    )

    def __init__(
        self,
        gateway: "Gateway",
        client: "ClientConnection",
        head: "RequestHead",
        received_ns: int,
        started_ns: int,
    ) -> None:
        self._gateway = gateway
        self.client = client
        self.head = head
        self.fields = head.fields
        self.received_ns = received_ns
        self.started_ns = started_ns
        # Set by the pipeline
        self.peer = client.peer
        self.forwarded = b""
        self.asked_timeout: bytes | None = None
        self.route: Destination
        self.caller: Caller | None = None
        self.template = ""
        self.target = head.target
        self.request_id = b""
        self.id_line = b""
        self.trace: TraceIds
        self.kept = ""
        self.fetch: Fetch | None = None
        self.unsafe = False
        self.upstream: Upstream
        self.upstream_name = ""
        self.idempotent: bool
        self.deadline_ns = 0
        self.attempt_deadline_ns = 0
        self.key: bytes
        self.vouched: bytes
        # Set while it runs
        self.headed_ns = self.ready_ns = self.slot_ns = self.uploaded_ns = 0
        self.over = False
        self.connection: UpstreamConnection | None = None
        self.status = 0
        self.error = ""
        self.attempts = 0
        self.retries = 0
        self.answered: AttemptReadings | None = None
        self.past: list[AttemptReadings] | None = None
        self.decisions: list[Decision] | None = None
        self._ticket: Ticket | None = None
        self._slot: ConcurrencyLimiter | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._rival: UpstreamConnection | None = None
        self._tried: tuple[Endpoint, ...] = ()
        self._began = False

    # The request

    def start(self, body: bytes, complete: bool) -> None:
        """Begin; `body` is all of it when `complete`, else more comes by `feed`."""
        self._kept: list[bytes] | None = [body] if body else []
        self._kept_bytes = len(body)
        self._complete = complete
        self._chunked_in = self.fields.body_length < 0
        if self.fields.body_length:
            # How long its body took to arrive is not the replica's time.
            now_ns = perf_counter_ns()
            self.deadline_ns += now_ns - self.received_ns
            if complete:
                self.uploaded_ns = now_ns
        elif self.headed_ns:
            self.deadline_ns += self.headed_ns - self.received_ns  # nor is that of its head
        upstream = self.upstream
        upstream.budget.on_request(self.received_ns)
        limiter = upstream.limiter
        if limiter is None:
            self.go(perf_counter_ns())
        else:
            self._enter(limiter)

    def _enter(self, limiter: ConcurrencyLimiter) -> None:
        """Go on if the upstream has a place at once; else `_granted` or a refusal follows."""
        now_ns = perf_counter_ns()
        if not self.ready_ns:
            self.ready_ns = now_ns
        self._limiter = limiter  # the upstream may have another before we are through
        answer = limiter.try_acquire(now_ns, self.route.priority, self._granted)
        if isinstance(answer, Admitted):
            self._slot = limiter
            self.go(now_ns)
        elif isinstance(answer, Ticket):
            self._ticket = answer
        else:
            self._turn_away(TurnedAway.OVERLOADED, self._overloaded(answer.retry_after_s))

    def _granted(self, granted: bool) -> None:
        self._ticket = None
        if granted:
            self._slot = self._limiter
            self.go(perf_counter_ns())
        else:
            self._turn_away(TurnedAway.OVERLOADED, self._overloaded(1))

    def _leave(self, now_ns: int, outcome: Outcome) -> None:
        """Give the place back."""
        slot, self._slot = self._slot, None
        if slot is not None:
            slot.release(now_ns, now_ns - self.slot_ns, outcome)

    def go(self, now_ns: int) -> None:
        """The upstream has a place for it."""
        self.slot_ns = now_ns
        if not self.ready_ns:
            self.ready_ns = now_ns
        if not self._attempt(now_ns):
            self._turn_away(TurnedAway.NO_REPLICA, self._nobody())
            return
        hedging = self.route.hedging
        if hedging is not None:
            hedging.on_request(now_ns)
            if self.idempotent and self._complete:
                delay_ns = hedging.delay_ns(now_ns)
                if delay_ns is not None:
                    self.upstream.timer.add(now_ns + delay_ns, self)

    def feed(self, data: bytes, complete: bool) -> None:
        """More of the body, which is kept for another attempt while it is small."""
        self._complete = complete
        now_ns = perf_counter_ns()
        self.deadline_ns = now_ns + self.route.timeout_ns
        if complete:
            self.uploaded_ns = now_ns
        connection = self.connection
        waiting = connection is None or connection.transport is None
        if self._kept is not None:
            self._kept.append(data)
            self._kept_bytes += len(data)
            if self._kept_bytes > KEEP_BYTES:
                if waiting:
                    self.client.pause()
                if connection is not None:
                    self._kept = None  # too much to be sent a second time
        if connection is not None:
            connection.send_more(self._framed(data, complete), complete=complete)

    def _framed(self, data: bytes, complete: bool) -> bytes:
        if not self._chunked_in:
            return data
        framed = chunk(data) if data else b""
        return framed + LAST_CHUNK if complete else framed

    @property
    def replayable(self) -> bool:
        """Whether everything of the body that has arrived is still here."""
        return self._kept is not None

    @property
    def open_attempts(self) -> int:
        """How many attempts are under way at this instant."""
        return (self.connection is not None) + (self._rival is not None)

    # Attempts

    def _attempt(self, now_ns: int) -> bool:
        """Send it to a replica that was not tried yet; False when there is none."""
        endpoint = self.route.balancer.pick(now_ns, self.key, self._tried)
        if endpoint is None:
            return False
        pool = self.upstream.pools.get(endpoint)
        if pool is None:  # it has left, which a route of an earlier configuration does not know
            self._tried += (endpoint,)
            return self._attempt(now_ns)
        endpoint.began(now_ns)
        kind: AttemptKind = FIRST
        if self.attempts:
            kind = self._enter_further_attempt()
        else:
            self.upstream.ledger.first()
        self.attempts += 1
        self.attempt_deadline_ns = self.route.deadlines.attempt_deadline(now_ns, self.deadline_ns)
        self._send(pool, kind, now_ns)
        return True

    def _enter_further_attempt(self) -> AttemptKind:
        self.trace.next_attempt(self._gateway.random)
        if self.connection is not None:
            self.upstream.ledger.hedge()  # another attempt is still under way
            return HEDGE
        if self.past is not None and self.past[-1][9] is OK:
            self.upstream.ledger.first()  # nothing failed: it is asked for something else
            return FIRST
        self.upstream.ledger.retry()
        return RETRY

    def _send(self, pool: Pool, kind: AttemptKind, now_ns: int) -> None:
        if not self._complete:
            self.client.resume()  # it may have been made to wait until there is a connection
        token = pool.breaker.on_start(now_ns)
        connection = pool.send(
            self,  # type: ignore[arg-type] # as part of an exchange, which has the other methods
            self._request(pool, now_ns),
            complete=self._complete,
            fresh=not self.idempotent,
            now_ns=now_ns,
        )
        if connection is None:
            self._found_no_connection(pool, kind, token, now_ns)
            return
        connection.token = token
        connection.kind = kind
        connection.span_id = self.trace.attempt_id
        connection.why, connection.candidates = "", 0
        if self.kept:
            # Whoever asks later why can only be told as it was at this instant.
            balancer = self.route.balancer
            connection.why = balancer.why(pool.endpoint, now_ns)
            connection.candidates = len(balancer.candidates)
        if self.connection is None:
            self.connection = connection
        else:
            self._rival = connection
        if not self._complete:
            self._make_way(connection)

    def _request(self, pool: Pool, now_ns: int) -> bytes:
        """The head, and as much of the body as is here."""
        data = b"".join(
            (
                self.head.method,
                b" ",
                self.target,
                b" HTTP/1.1\r\n",
                pool.host_line,
                self.trace.lines(),
                self.fields.onward,
                self.forwarded,
                self.id_line,
                self.vouched,
                # How long an upload takes is the caller's affair: nobody counts before its end.
                self._timeout_line(now_ns) if self._complete else b"",
                b"\r\n",
            )
        )
        kept = self._kept
        if kept:
            return data + self._framed(b"".join(kept), self._complete)
        return data + LAST_CHUNK if self._complete and self._chunked_in else data

    def _timeout_line(self, now_ns: int) -> bytes:
        left_ms = (self.attempt_deadline_ns - now_ns) // 1_000_000
        return b"x-kontor-timeout-ms: %d\r\n" % (left_ms if left_ms > 0 else 1)

    def _make_way(self, connection: UpstreamConnection) -> None:
        """What has arrived of the body is on its way: more may come."""
        if self._kept_bytes > KEEP_BYTES:
            self._kept = None
        if connection.transport is not None:
            self.client.resume()

    def _found_no_connection(self, pool: Pool, kind: AttemptKind, token: int, now_ns: int) -> None:
        detail = "all connections are in use"
        self.upstream.ended(pool, token, now_ns, 0, BUSY)
        replica = pool.endpoint.replica
        self._remember((kind, now_ns, 0, 0, 0, 0, now_ns, 0, None, BUSY, 0, detail, b"0", replica, "", 0))
        self._tried += (pool.endpoint,)
        if self.connection is None:
            self._after_failure(BUSY, detail)

    def hedge(self) -> None:
        """The answer takes longer than most: ask another replica as well."""
        connection, hedging = self.connection, self.route.hedging
        if hedging is None or self._began or connection is None or self._rival is not None:
            return
        if connection.answer_is_here():
            return  # it is we who are late, and another attempt would make us later
        now_ns = perf_counter_ns()
        tried = (*self._tried, connection.pool.endpoint)
        limiter = self.upstream.limiter
        if hedging.may_hedge(
            now_ns,
            idempotent=self.idempotent,
            replayable=self.replayable,
            other_replica=self._others(tried),
            saturated=limiter is not None and limiter.waiting > 0,
        ):
            self._tried = tried
            self._attempt(now_ns)
            after_ms = (now_ns - connection.asked_ns) / 1e6
            self._decided(("hedge", now_ns, {"crm.hedge.after_ms": after_ms}))

    def _others(self, tried: tuple[Endpoint, ...]) -> bool:
        return any(one not in tried for one in self.route.balancer.candidates)

    # How they end

    def _drop_loser(self, winner: UpstreamConnection, now_ns: int) -> None:
        for loser in (self.connection, self._rival):
            if loser is not None and loser is not winner:
                self._settle(loser, now_ns, HEDGE_LOSER)
                loser.abandon()
        self._rival = None

    def _forget(self, connection: UpstreamConnection) -> bool:
        """Whether another attempt is left."""
        if connection is self._rival:
            self._rival = None
        elif connection is self.connection:
            self.connection, self._rival = self._rival, None
        return self.connection is not None

    def _better_luck(self, connection: UpstreamConnection, head: AnswerHead, now_ns: int) -> bool:
        """Whether this answer is left unused because another attempt is, or will be, under way."""
        outcome = outcome_of(head.status)
        endpoint = connection.pool.endpoint
        decision = None
        if self._rival is None:
            if not self._others((*self._tried, endpoint)):
                self._decided(
                    ("no_retry", now_ns, {"crm.retry.reason": "Not retried: no other replica is left."})
                )
                return False
            decision = self._decide(outcome, now_ns)
            if not decision.allowed:
                self._decided(("no_retry", now_ns, {"crm.retry.reason": decision.reason}))
                return False
        self._settle(connection, now_ns, outcome, "", head)
        self._tried += (endpoint,)
        if not self._forget(connection) and decision is not None:
            self._retry_in(decision)
        return True

    def _after_failure(self, outcome: Outcome, detail: str) -> None:
        now_ns = perf_counter_ns()
        decision = self._decide(outcome, now_ns)
        if decision.allowed:
            self._retry_in(decision)
        else:
            log.debug("%s (%s)", decision.reason, detail)
            self._decided(("no_retry", now_ns, {"crm.retry.reason": decision.reason}))
            self.refuse(self._problem(outcome))

    def _decide(self, outcome: Outcome, now_ns: int) -> RetryDecision:
        return self.route.retries.decide(
            now_ns,
            outcome,
            retries=self.retries,
            idempotent=self.idempotent,
            replayable=self.replayable,
            answer_begun=self._began,
            remaining_ns=self.deadline_ns - now_ns,
            other_replica=self._others(self._tried),
        )

    def _decided(self, decision: Decision) -> None:
        """For whoever asks later why."""
        if self.decisions is None:
            self.decisions = []
        self.decisions.append(decision)

    def _retry_in(self, decision: RetryDecision) -> None:
        self._decided(("retry", perf_counter_ns(), {"crm.retry.reason": decision.reason}))
        if decision.wait_ns:
            self._timer = asyncio.get_running_loop().call_later(decision.wait_ns / 1e9, self._retry)
        else:
            self._retry()

    def _retry(self) -> None:
        self._timer = None
        self.retries += 1
        now_ns = perf_counter_ns()
        if self._attempt(now_ns):
            return
        # The same replica again is better than nobody: it may have closed just that connection.
        self._tried = ()
        if not self._attempt(now_ns):
            self.refuse(self._nobody())

    def _ask_again(self, connection: UpstreamConnection, head: AnswerHead, now_ns: int) -> None:
        """Send it once more, as its fields are now, though nothing failed: the answer was no use to its caller."""
        self._drop_loser(connection, now_ns)
        self._settle(connection, now_ns, outcome_of(head.status), "", head)
        self.connection = None
        self._retry()

    def _abandon_all(self, now_ns: int, outcome: Outcome) -> None:
        for connection in (self.connection, self._rival):
            if connection is not None:
                self._settle(connection, now_ns, outcome)
                connection.abandon()
        self.connection = self._rival = None

    def _settle(
        self,
        connection: UpstreamConnection,
        now_ns: int,
        outcome: Outcome,
        detail: str = "",
        head: AnswerHead | None = None,
    ) -> None:
        """Book the end of one attempt whose answer nobody gets, or not all of it."""
        if self.unsafe and self.upstream.coherence is not None and not self._began:
            # What it may have done, or may still do, nobody knows.
            self.upstream.coherence.everything_changed(tenant_of(self.caller), now_ns)
        readings = readings_of(connection, now_ns, outcome, detail, head)
        begun = self.answered
        if begun is not None and begun[12] == connection.span_id:
            # What the head of its answer said remains true.
            readings = (*readings[:8], begun[8], outcome, begun[10], *readings[11:])
            self.answered = None
        self._remember(readings)
        self._book(connection, now_ns, outcome)

    def _book(self, connection: UpstreamConnection, now_ns: int, outcome: Outcome) -> None:
        # To the first byte: how long a stream lasts says nothing of how fast its replica is.
        latency_ns = (connection.first_byte_ns or now_ns) - connection.asked_ns
        hedging = self.route.hedging
        if outcome is OK:
            self.upstream.went_well(connection.pool, connection.token, now_ns, latency_ns)
            if hedging is not None:
                hedging.on_latency(latency_ns)
            return
        self.upstream.ended(connection.pool, connection.token, now_ns, latency_ns, outcome)
        if hedging is not None and outcome in _TIMED:
            hedging.on_latency(latency_ns)

    def _remember(self, attempt: AttemptReadings) -> None:
        if self.past is None:
            self.past = []
        self.past.append(attempt)

    # What is told the caller when it comes to nothing

    def refuse(self, problem: Problem) -> None:
        """Answer it ourselves with a problem."""
        raise NotImplementedError

    def _turn_away(self, reason: TurnedAway, problem: Problem) -> None:
        self._withdraw()
        self.upstream.ledger.turned_away(reason)
        self.refuse(problem)

    def _withdraw(self) -> bool:
        """Leave the queue; whether it was in it."""
        ticket, self._ticket = self._ticket, None
        return ticket is not None and self._limiter.cancel(ticket)

    def _give_up_place(self, now_ns: int) -> None:
        """It is over: whatever it holds of the upstream is free."""
        if self._slot is not None:
            self._leave(now_ns, outcome_of(self.status) if self.status else CLIENT_LEFT)
        elif self._ticket is not None and self._withdraw():
            # Its caller left, or sent what is no request after all: the place it waited for is not for it any more.
            self.upstream.ledger.turned_away(TurnedAway.CLIENT_LEFT)
        if self._timer is not None:
            self._timer.cancel()

    def _overloaded(self, retry_after_s: int) -> Problem:
        detail = f"{self.upstream.name} has as much to do as it can."
        return unavailable(detail, retry_after_s=retry_after_s)

    def _problem(self, outcome: Outcome) -> Problem:
        name = self.upstream.name
        if outcome == TIMED_OUT:
            return Problem(504, "upstream_timeout", "Gateway timeout", f"{name} did not answer in time.")
        if outcome == BUSY:
            return unavailable(f"All connections to {name} are in use.")
        if outcome == REFUSED:
            return self._nobody()
        return Problem(
            502,
            "upstream_broke",
            "Bad gateway",
            f"{name} closed the connection before its answer.",
        )

    def _nobody(self) -> Problem:
        return unavailable(f"No replica of {self.upstream.name} can take requests at the moment.")


def outcome_of(status: int) -> Outcome:
    """How an attempt ended that brought this status."""
    if status < 500:
        return OK
    return UNAVAILABLE if status in (502, 503, 504) else SERVER_ERROR


def readings_of(
    connection: UpstreamConnection,
    now_ns: int,
    outcome: Outcome,
    detail: str = "",
    head: AnswerHead | None = None,
) -> AttemptReadings:
    """What is known of the attempt that a connection carries, and that ends now; `head` is its answer's.

    To be read before the connection carries another one; made into an `Attempt` only for whoever asks.
    """
    return (
        connection.kind,
        connection.asked_ns,
        connection.connected_ns,
        connection.sent_ns,
        connection.first_byte_ns,
        connection.last_byte_ns,
        now_ns,
        connection.min_rtt.at(now_ns) if connection.min_rtt is not None else 0,
        head.found.get(TERMS_HEADER) if head is not None else None,
        outcome,
        head.status if head is not None else 0,
        detail,
        connection.span_id,
        connection.pool.endpoint.replica,
        connection.why,
        connection.candidates,
    )
