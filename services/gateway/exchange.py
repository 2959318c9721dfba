"""One request on its way: from its head to the last byte of its answer, over as many attempts as it takes.

Called back by the caller's connection and by those to the replicas; it never waits. What it decides by lies
with the upstream (`resilience.upstream`), what it sends is put together here.
"""

import asyncio
import logging
from time import perf_counter_ns
from typing import TYPE_CHECKING

from services.gateway.balancing.endpoint import Endpoint
from services.gateway.forwarding.answer_head import CHUNKED, UNTIL_CLOSE, AnswerHead
from services.gateway.forwarding.connection import UpstreamConnection
from services.gateway.forwarding.pool import Pool
from services.gateway.limits.sizes import KEEP_BYTES
from services.gateway.protocol.framing import LAST_CHUNK, chunk
from services.gateway.protocol.request_head import VIA, VIA_LINE
from services.gateway.resilience.concurrency import Admitted, ConcurrencyLimiter, Ticket
from services.gateway.resilience.ledger import (
    BROKEN,
    BUSY,
    CLIENT_LEFT,
    CUT_SHORT,
    HEDGE_LOSER,
    OK,
    SERVER_ERROR,
    TIMED_OUT,
    UNAVAILABLE,
    Outcome,
    TurnedAway,
)
from services.gateway.resilience.retry_budget import RetryDecision
from shared.problems import Problem, unavailable

if TYPE_CHECKING:
    from services.gateway.app import Gateway
    from services.gateway.auth.keys import Caller
    from services.gateway.protocol.client import ClientConnection
    from services.gateway.protocol.request_head import RequestHead
    from services.gateway.resilience.upstream import Upstream
    from services.gateway.routing.destination import Destination
    from services.gateway.timing.trace import Trace

log = logging.getLogger("kontor.gateway")

_CLOSE_LINE = b"connection: close\r\n"
_CHUNKED_LINE = b"transfer-encoding: chunked\r\n"
# Trailers that a recipient could take for what they must not be (RFC 9110, 6.5.1).
_NO_TRAILERS = (
    b"transfer-encoding",
    b"content-",
    b"trailer",
    b"host",
    b"connection",
    b"authorization",
    b"set-cookie",
    b"x-kontor-",
    b"x-forwarded-",
    b"cache-control",
    b"te:",
    b"keep-alive",
    b"upgrade",
    b"via:",
    b"proxy-",
    b"www-authenticate",
    b"x-request-id",
    b"age:",
    b"date:",
    b"expires",
    b"location",
    b"retry-after",
    b"vary",
    b"endpoint-load-metrics",
)


# Outcomes that tell how long an answer takes: the loser's, too, else hedging would hide the slow from itself.
_TIMED = frozenset({OK, HEDGE_LOSER, SERVER_ERROR, UNAVAILABLE})


class Exchange:
    """Times are `perf_counter_ns` readings, 0 for what has not happened."""

    __slots__ = (
        "_began",
        "_chunked_in",
        "_chunked_out",
        "_complete",
        "_gateway",
        "_kept",
        "_kept_bytes",
        "_limiter",
        "_moved_ns",
        "_rival",
        "_slot",
        "_slot_ns",
        "_ticket",
        "_timer",
        "_tried",
        "_tunnel",
        "asked_timeout",
        "attempt_deadline_ns",
        "attempts",
        "caller",
        "client",
        "close",
        "connection",
        "deadline_ns",
        "done_ns",
        "error",
        "fields",
        "forwarded",
        "head",
        "id_line",
        "idempotent",
        "is_head",
        "key",
        "over",
        "own_lines",
        "peer",
        "received_ns",
        "request_id",
        "retries",
        "route",
        "status",
        "target",
        "template",
        "trace",
        "trace_line",
        "upstream",
        "vouched",
    )

    def __init__(
        self, gateway: "Gateway", client: "ClientConnection", head: "RequestHead", received_ns: int
    ) -> None:
        self._gateway = gateway
        self.client = client
        self.head = head
        self.fields = fields = head.fields
        self.received_ns = received_ns
        self.is_head = head.method == b"HEAD"
        self.close = head.http10 or fields.close
        # Set by the pipeline
        self.peer = client.peer
        self.forwarded = b""
        self.asked_timeout: bytes | None = None
        self.route: Destination
        self.caller: Caller | None = None
        self.template: str | None = None
        self.target = head.target
        self.request_id = b""
        self.id_line = self.own_lines = b""
        self.trace: Trace | None = None
        self.upstream: Upstream
        self.idempotent: bool
        self.deadline_ns = 0
        self.attempt_deadline_ns = 0
        self.key: bytes
        self.trace_line = b""
        self.vouched: bytes
        # Set while it runs
        self.connection: UpstreamConnection | None = None
        self.status = 0
        self.error = ""
        self.over = False
        self.attempts = 0
        self.retries = 0
        self._ticket: Ticket | None = None
        self._slot: ConcurrencyLimiter | None = None
        self._slot_ns = 0
        self.done_ns = 0
        self._timer: asyncio.TimerHandle | None = None
        self._rival: UpstreamConnection | None = None
        self._tried: tuple[Endpoint, ...] = ()
        self._began = False
        self._chunked_out = False
        self._tunnel = False

    def trace_id(self) -> str | None:
        """Of the trace it belongs to, in hexadecimal; None of a request that was refused before it had one."""
        if self.trace is not None:
            return self.trace.trace_id
        line = self.trace_line  # "traceparent: 00-" and the id
        return line[16:48].decode("ascii") if line else None

    # The request

    def admit(self) -> bool:
        """Take it through the pipeline up to the replicas; False when it was answered instead."""
        return self._gateway.admit(self)

    def start(self, body: bytes, complete: bool) -> None:
        """Begin; `body` is all of it when `complete`, else more comes by `feed`."""
        self._kept: list[bytes] | None = [body] if body else []
        self._kept_bytes = len(body)
        self._complete = complete
        self._chunked_in = self.fields.body_length < 0
        if self.fields.body_length:
            # How long its body took to arrive is not the replica's time.
            self.deadline_ns += perf_counter_ns() - self.received_ns
        upstream = self.upstream
        upstream.budget.on_request(self.received_ns)
        limiter = upstream.limiter
        if limiter is None or self._enter(limiter):
            self.go()

    def _enter(self, limiter: ConcurrencyLimiter) -> bool:
        """Whether the upstream has a place at once; else `_granted` or a refusal follows."""
        now_ns = perf_counter_ns() if self.fields.body_length else self.received_ns
        self._limiter = limiter  # the upstream may have another before we are through
        answer = limiter.try_acquire(now_ns, self.route.priority, self._granted)
        if isinstance(answer, Admitted):
            self._slot, self._slot_ns = limiter, now_ns
            return True
        if isinstance(answer, Ticket):
            self._ticket = answer
        else:
            self._turn_away(TurnedAway.OVERLOADED, self._overloaded(answer.retry_after_s))
        return False

    def _granted(self, granted: bool) -> None:
        self._ticket = None
        if granted:
            self._slot, self._slot_ns = self._limiter, perf_counter_ns()
            self.go()
        else:
            self._turn_away(TurnedAway.OVERLOADED, self._overloaded(1))

    def _leave(self, now_ns: int, outcome: Outcome) -> None:
        """Give the place back."""
        slot, self._slot = self._slot, None
        if slot is not None:
            slot.release(now_ns, now_ns - self._slot_ns, outcome)

    def go(self) -> None:
        """The upstream has a place for it."""
        now_ns = perf_counter_ns()
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
        self.deadline_ns = perf_counter_ns() + self._timeout_ns
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
    def _timeout_ns(self) -> int:
        return self.route.timeout_ns

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
        if self.attempts:
            self._enter_further_attempt()
        else:
            self.upstream.ledger.first()
        self.attempts += 1
        self.attempt_deadline_ns = self.route.deadlines.attempt_deadline(now_ns, self.deadline_ns)
        self._send(pool, now_ns)
        return True

    def _enter_further_attempt(self) -> None:
        if self.connection is None:
            self.upstream.ledger.retry()
        else:
            self.upstream.ledger.hedge()  # another attempt is still under way

    def _send(self, pool: Pool, now_ns: int) -> None:
        span_id = b""
        if self.trace is not None:
            span_id, self.trace_line = self.trace.attempt(pool, self, now_ns)
        if not self._complete:
            self.client.resume()  # it may have been made to wait until there is a connection
        token = pool.breaker.on_start(now_ns)
        connection = pool.send(
            self,
            self._request(pool, now_ns),
            complete=self._complete,
            fresh=not self.idempotent,
            now_ns=now_ns,
        )
        if connection is None:
            self._found_no_connection(pool, token, span_id, now_ns)
            return
        connection.span_id = span_id
        connection.token = token
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
                self.trace_line,
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

    def _found_no_connection(self, pool: Pool, token: int, span_id: bytes, now_ns: int) -> None:
        detail = "all connections are in use"
        self.upstream.ended(pool, token, now_ns, 0, BUSY)
        if self.trace is not None:
            self.trace.attempt_ended(span_id, now_ns, 0, BUSY, detail)
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
            if self.trace is not None:
                self.trace.event(
                    "hedge", now_ns, {"crm.hedge.after_ms": (now_ns - connection.asked_ns) / 1e6}
                )

    def _others(self, tried: tuple[Endpoint, ...]) -> bool:
        return any(one not in tried for one in self.route.balancer.candidates)

    # The answer

    def wants_whole(self, head: AnswerHead) -> bool:
        return self.idempotent and self.replayable and head.length <= self.upstream.plan.hold_bytes

    def informed(self, connection: UpstreamConnection, head: AnswerHead) -> None:
        if not self.head.http10 and not self._began:
            self.client.transport.write(head.status_line + b"\r\n" + head.onward + b"\r\n")

    def whole(self, connection: UpstreamConnection, head: AnswerHead, body: bytes) -> None:
        now_ns = perf_counter_ns()
        if head.status >= 500 and self._better_luck(connection, head, now_ns):
            return
        self._accept(connection, head, now_ns)
        # Whether the rest of a request that is answered already ever comes is not known.
        client = self.client
        close = self.close or client.closing or (self.fields.body_length != 0 and client.unread)
        client.transport.write(self._answer(head, _CLOSE_LINE if close else b"", body))
        self._finish(now_ns, close)

    def _answer(self, head: AnswerHead, more: bytes, body: bytes = b"") -> bytes:
        """The answer's head as the caller gets it, and what is here of its body; `more` are lines of ours, or none."""
        via = VIA_LINE if head.via is None else b"via: " + head.via + b", " + VIA + b"\r\n"
        return b"".join((head.status_line, b"\r\n", head.onward, via, self.own_lines, more, b"\r\n", body))

    def began(self, connection: UpstreamConnection, head: AnswerHead) -> None:
        now_ns = perf_counter_ns()
        if head.status >= 500 and self._better_luck(connection, head, now_ns):
            connection.abandon()
            return
        self._began = True
        self._moved_ns = now_ns
        self._note(connection, head, now_ns)
        self._drop_loser(connection, now_ns)
        self.connection = connection
        self._leave(now_ns, _outcome(head.status))  # how long the body takes says nothing of the load
        if self.client.unread:
            self.close = True  # whether the rest of the request ever comes is not known
        more = b""
        if head.length in (CHUNKED, UNTIL_CLOSE):
            if self.head.http10:
                self.close = True
            else:
                self._chunked_out = True
                more = _CHUNKED_LINE
        if self.close or self.client.closing:
            self.close = True
            more += _CLOSE_LINE
        self.client.transport.write(self._answer(head, more))
        if self.client.full:  # the answer before this one is not through yet
            self.client_full()

    def piece(self, data: bytes) -> None:
        self._moved_ns = perf_counter_ns()
        self.client.transport.write(chunk(data) if self._chunked_out else data)

    def ended(self, connection: UpstreamConnection, trailers: list[bytes]) -> None:
        now_ns = perf_counter_ns()
        if self._chunked_out:
            passed = [line for line in trailers if not line.lower().startswith(_NO_TRAILERS)]
            self.client.transport.write(b"\r\n".join([b"0", *passed, b"", b""]) if passed else LAST_CHUNK)
        if self.client.full and not connection.transport.is_closing():
            connection.transport.resume_reading()  # it is the pool's again
        self._settle(connection, now_ns, _outcome(self.status), "", self.status)
        self._finish(now_ns, self.close)

    def _accept(self, connection: UpstreamConnection, head: AnswerHead, now_ns: int) -> None:
        """This is the answer: book it, and let go of whoever else was asked."""
        self._note(connection, head, now_ns)
        if head.status < 500 and self.trace is None:
            latency_ns = connection.first_byte_ns - connection.asked_ns
            self.upstream.went_well(connection.pool, connection.token, now_ns, latency_ns)
            if self.route.hedging is not None:
                self.route.hedging.on_latency(latency_ns)
        else:
            self._settle(connection, now_ns, _outcome(head.status), "", head.status)
        if self._rival is not None:
            self._drop_loser(connection, now_ns)

    def _note(self, connection: UpstreamConnection, head: AnswerHead, now_ns: int) -> None:
        self.status = head.status
        load = head.found.get(b"endpoint-load-metrics")
        if load is not None:
            self.upstream.reported(connection.pool, load, now_ns)

    def _drop_loser(self, winner: UpstreamConnection, now_ns: int) -> None:
        for loser in (self.connection, self._rival):
            if loser is not None and loser is not winner:
                self._settle(loser, now_ns, HEDGE_LOSER)
                loser.abandon()
        self._rival = None

    # What goes wrong

    def failed(self, connection: UpstreamConnection, outcome: Outcome, detail: str) -> None:
        now_ns = perf_counter_ns()
        self._settle(connection, now_ns, outcome, detail)
        if self._began:
            self._cut(detail, now_ns)
            return
        self._tried += (connection.pool.endpoint,)
        if self._forget(connection):
            return  # the other attempt is still under way
        # What was held back has not begun for the caller.
        self._after_failure(BROKEN if outcome == CUT_SHORT else outcome, detail)

    def _forget(self, connection: UpstreamConnection) -> bool:
        """Whether another attempt is left."""
        if connection is self._rival:
            self._rival = None
        elif connection is self.connection:
            self.connection, self._rival = self._rival, None
        return self.connection is not None

    def _better_luck(self, connection: UpstreamConnection, head: AnswerHead, now_ns: int) -> bool:
        """Whether this answer is left unused because another attempt is, or will be, under way."""
        outcome = _outcome(head.status)
        endpoint = connection.pool.endpoint
        decision = None
        if self._rival is None:
            if not self._others((*self._tried, endpoint)):
                return False
            decision = self._decide(outcome, now_ns)
            if not decision.allowed:
                return False
        self._settle(connection, now_ns, outcome, "", head.status)
        self._tried += (endpoint,)
        if not self._forget(connection) and decision is not None:
            self._retry_in(decision)
        return True

    def _after_failure(self, outcome: Outcome, detail: str) -> None:
        decision = self._decide(outcome, perf_counter_ns())
        if decision.allowed:
            self._retry_in(decision)
        else:
            log.debug("%s (%s)", decision.reason, detail)
            if self.trace is not None:
                self.trace.event("no_retry", perf_counter_ns(), {"crm.retry.reason": decision.reason})
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

    def _retry_in(self, decision: RetryDecision) -> None:
        if self.trace is not None:
            self.trace.event("retry", perf_counter_ns(), {"crm.retry.reason": decision.reason})
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

    def expire(self, now_ns: int) -> None:
        """Called several times a second: has it taken too long?"""
        if self._tunnel:
            return
        if self._began:
            self._expire_answer(now_ns - self._moved_ns, now_ns)
        elif self.client.unread and not self.client.held_up:
            return  # the time runs from the end of the request
        elif now_ns > self.deadline_ns:
            self._abandon_all(now_ns, TIMED_OUT)
            if self._ticket is not None:
                self._turn_away(TurnedAway.TOO_LATE, self._problem(TIMED_OUT))
            else:
                self.refuse(self._problem(TIMED_OUT))
        elif now_ns > self.attempt_deadline_ns and self.connection is not None:
            self._tried += (self.connection.pool.endpoint,)
            if self._rival is not None:
                self._tried += (self._rival.pool.endpoint,)
            self._abandon_all(now_ns, TIMED_OUT)
            self._after_failure(TIMED_OUT, "the attempt took too long")

    def _expire_answer(self, silent_ns: int, now_ns: int) -> None:
        if self.client.full:
            if silent_ns > self._gateway.timeouts.idle_ns:
                self.client.abort()  # whoever takes nothing for so long has left
        elif silent_ns > self._timeout_ns and self.connection is not None:
            connection = self.connection
            self._settle(connection, now_ns, TIMED_OUT)
            connection.abandon()
            self._cut("the replica fell silent in the middle of its answer", now_ns)

    def client_left(self) -> None:
        """The caller has gone: stop the work for it at once."""
        now_ns = perf_counter_ns()
        self.error = "client_left"
        self._abandon_all(now_ns, CLIENT_LEFT)
        self._end(now_ns)

    def refuse(self, problem: Problem) -> None:
        """Answer it ourselves with a problem."""
        now_ns = perf_counter_ns()
        if self.over:
            return
        self._abandon_all(now_ns, CLIENT_LEFT)
        if self._began:
            self._cut(problem.title, now_ns)
            return
        self.status = problem.status
        self.error = problem.code
        close = self.close or self.client.closing or self.client.unread
        self.client.transport.write(self._gateway.problem(self, problem, close))
        self._finish(now_ns, close)

    def answer(self, status: int, content_type: bytes, body: bytes) -> None:
        """Answer it ourselves with one of our own pages."""
        now_ns = perf_counter_ns()
        self.status = status
        close = self.close or self.client.closing or self.client.unread
        self.client.transport.write(self._gateway.page(self, status, content_type, body, close))
        self._finish(now_ns, close)

    def _turn_away(self, reason: TurnedAway, problem: Problem) -> None:
        self._withdraw()
        self.upstream.ledger.turned_away(reason)
        self.refuse(problem)

    def _withdraw(self) -> bool:
        """Leave the queue; whether it was in it."""
        ticket, self._ticket = self._ticket, None
        return ticket is not None and self._limiter.cancel(ticket)

    def _abandon_all(self, now_ns: int, outcome: Outcome) -> None:
        for connection in (self.connection, self._rival):
            if connection is not None:
                self._settle(connection, now_ns, outcome)
                connection.abandon()
        self.connection = self._rival = None

    def _cut(self, detail: str, now_ns: int) -> None:
        """Part of the answer is with the caller already: nobody may take it for the whole."""
        log.warning("the answer ended before its end: %s", detail)
        self.error = "cut_short"
        self.connection = None
        self._end(now_ns)
        self.client.cut()

    # Back-pressure

    def client_full(self) -> None:
        """The caller does not keep up with the answer."""
        if self._began and self.connection is not None and not self.connection.transport.is_closing():
            self.connection.transport.pause_reading()

    def client_ready(self) -> None:
        """It does again."""
        self._moved_ns = perf_counter_ns()
        if self._began and self.connection is not None and not self.connection.transport.is_closing():
            self.connection.transport.resume_reading()

    def upstream_full(self) -> None:
        self.client.pause()

    def upstream_ready(self) -> None:
        self.client.resume()

    # Tunnels

    def switched(self, connection: UpstreamConnection, head: AnswerHead, data: bytes) -> None:
        """101: from here on the bytes are the two ends' own (RFC 9110, 7.8)."""
        now_ns = perf_counter_ns()
        if self.fields.upgrade is None:
            self.failed(connection, BROKEN, "the replica switched protocols without being asked")
            connection.abandon()
            return
        self._note(connection, head, now_ns)
        self._drop_loser(connection, now_ns)
        self.connection = connection
        self._leave(now_ns, OK)
        self._began = self._tunnel = True
        upgrade = head.found.get(b"upgrade", self.fields.upgrade)
        more = b"Connection: Upgrade\r\nUpgrade: " + upgrade + b"\r\n"
        self.client.transport.write(self._answer(head, more, data))
        self.client.become_tunnel()

    def tunnel(self, data: bytes) -> None:
        """What the caller says through the tunnel."""
        if self.connection is not None:
            self.connection.send_more(data, complete=False)

    def tunnel_ended(self) -> None:
        """The caller says no more."""
        if self.connection is not None:
            self.connection.transport.write_eof()

    # The end

    def _settle(
        self, connection: UpstreamConnection, now_ns: int, outcome: Outcome, detail: str = "", status: int = 0
    ) -> None:
        """Book the end of one attempt."""
        # To the first byte: how long a stream lasts says nothing of how fast its replica is.
        latency_ns = (connection.first_byte_ns or now_ns) - connection.asked_ns
        self.upstream.ended(connection.pool, connection.token, now_ns, latency_ns, outcome)
        hedging = self.route.hedging
        if hedging is not None and outcome in _TIMED:
            hedging.on_latency(latency_ns)
        if self.trace is not None:
            self.trace.attempt_ended(connection.span_id, now_ns, status, outcome, detail)

    def _finish(self, now_ns: int, close: bool) -> None:
        self._end(now_ns)
        self.client.over(close, now_ns)

    def _end(self, now_ns: int) -> None:
        self.over = True
        self.done_ns = now_ns
        if self._slot is not None:
            self._leave(now_ns, _outcome(self.status) if self.status else CLIENT_LEFT)
        elif self._ticket is not None and self._withdraw():
            # Its caller left, or sent what is no request after all: the place it waited for is not for it any more.
            self.upstream.ledger.turned_away(TurnedAway.CLIENT_LEFT)
        if self._timer is not None:
            self._timer.cancel()
        self.connection = None
        self._gateway.finished(self)

    def _overloaded(self, retry_after_s: int) -> Problem:
        detail = f"{self.upstream.name} has as much to do as it can."
        return unavailable(detail, retry_after_s=retry_after_s)

    def _problem(self, outcome: Outcome) -> Problem:
        name = self.upstream.name
        if outcome == TIMED_OUT:
            return Problem(504, "upstream_timeout", "Gateway timeout", f"{name} did not answer in time.")
        if outcome == BUSY:
            return unavailable(f"All connections to {name} are in use.")
        if outcome == Outcome.REFUSED:
            return self._nobody()
        return Problem(
            502,
            "upstream_broke",
            "Bad gateway",
            f"{name} closed the connection before its answer.",
        )

    def _nobody(self) -> Problem:
        return unavailable(f"No replica of {self.upstream.name} can take requests at the moment.")


def _outcome(status: int) -> Outcome:
    if status < 500:
        return OK
    return UNAVAILABLE if status in (502, 503, 504) else SERVER_ERROR
