"""One request on its way: from its head to the last byte of its answer, over as many attempts as it takes.

Called back by the caller's connection and by those to the replicas; it never waits. Which replicas are asked, and
when again, is in `attempts`; here is what becomes of their answers.
"""

import logging
from time import perf_counter_ns
from typing import TYPE_CHECKING

from services.gateway.attempts import Attempts, outcome_of, readings_of
from services.gateway.caching.peers.held import HeldAnswer
from services.gateway.caching.rule import LARGEST_STORED
from services.gateway.forwarding.answer_head import CHUNKED, UNTIL_CLOSE, AnswerHead
from services.gateway.forwarding.connection import UpstreamConnection
from services.gateway.protocol.framing import LAST_CHUNK, chunk
from services.gateway.protocol.request_head import VIA, VIA_LINE
from services.gateway.resilience.ledger import (
    BROKEN,
    CLIENT_LEFT,
    CUT_SHORT,
    OK,
    TIMED_OUT,
    Outcome,
    TurnedAway,
)
from services.gateway.timing.finished import Attempt, AttemptReadings, FinishedRequest, attempt_of
from services.gateway.timing.server_timing import server_timing
from services.gateway.timing.terms import components_of, terms_of
from shared.problems import Problem
from shared.telemetry.terms import read_latency

if TYPE_CHECKING:
    from services.gateway.app import Gateway
    from services.gateway.protocol.client import ClientConnection
    from services.gateway.protocol.request_head import RequestHead

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


class Exchange(Attempts):
    """Times are `perf_counter_ns` readings, 0 for what has not happened.

    `latency` is processing, network and system in ns, which add up to `done_ns - received_ns`; None until it is over,
    and where nobody has asked yet.
    """

    __slots__ = (
        "_chunked_out",
        "_held",
        "_moved_ns",
        "_tunnel",
        "_untold",
        "close",
        "done_ns",
        "is_head",
        "latency",
        "own_lines",
        "resumed_ns",
    )

    def __init__(
        self,
        gateway: "Gateway",
        client: "ClientConnection",
        head: "RequestHead",
        received_ns: int,
        started_ns: int,
    ) -> None:
        Attempts.__init__(self, gateway, client, head, received_ns, started_ns)
        self.is_head = head.method == b"HEAD"
        self.close = head.http10 or head.fields.close
        self.own_lines = b""
        self.done_ns = self.resumed_ns = 0
        self.latency: tuple[int, int, int] | None = None
        self._chunked_out = False
        self._tunnel = False
        self._held: HeldAnswer | None = None
        self._untold: tuple[AnswerHead, bytes, bytes] | None = None

    def admit(self) -> bool:
        """Take it through the pipeline up to the replicas; False when it was answered instead."""
        return self._gateway.admit(self)

    # The answer

    def wants_whole(self, head: AnswerHead) -> bool:
        """A short answer is told the time of all of it, and one that breaks off is no answer; nor can it be stored."""
        most = self.upstream.plan.hold_bytes if self.fetch is None else LARGEST_STORED
        return head.length <= most

    def informed(self, connection: UpstreamConnection, head: AnswerHead) -> None:
        if not self.head.http10 and not self._began:
            self.client.transport.write(head.status_line + b"\r\n" + head.onward + b"\r\n")

    def whole(self, connection: UpstreamConnection, head: AnswerHead, body: bytes) -> None:
        now_ns = perf_counter_ns()
        if head.status >= 500 and self._better_luck(connection, head, now_ns):
            return
        about = b""
        told = head
        if self.unsafe:
            if self._written(head, now_ns):
                # Its caller learns of it by `others_know`.
                self._put_aside(connection, head, (head, body, b""), now_ns)
                return
            now_ns = perf_counter_ns()  # that is part of its time
        elif self.fetch is not None:
            settled = self.fetch.cache.settle(self, self.fetch, head, body, now_ns)
            if settled is None:
                self._ask_again(connection, head, now_ns)
                return
            told, body, about = settled
            now_ns = perf_counter_ns()
        self._put_aside(connection, head, (told, body, about), now_ns)
        self._gateway.outbox.put(self)

    def _put_aside(
        self,
        connection: UpstreamConnection,
        head: AnswerHead,
        untold: tuple[AnswerHead, bytes, bytes],
        now_ns: int,
    ) -> None:
        """Book the attempt, which is over, and keep what its caller will be told."""
        self._untold = untold
        self.answered = readings_of(connection, now_ns, outcome_of(head.status), "", head)
        self._accept(connection, head, now_ns)
        self.connection = None
        self._leave(now_ns, outcome_of(head.status))

    def others_know(self) -> None:
        """Other gateways know what this request has changed: its caller may be told that it has."""
        if self._held is not None:
            held, self._held = self._held, None
            held.release()
            return
        if self.over or self._untold is None:
            return  # it took too long, or the caller has left
        self.resumed_ns = perf_counter_ns()
        self.post(0)

    def post(self, waited_ns: int) -> None:
        """Tell the caller what was put aside so long ago."""
        if self.over or self._untold is None or self.answered is None:
            return  # it took too long, or the caller has left
        head, body, more = self._untold
        self._untold = None
        self.status = head.status
        if waited_ns:
            self.resumed_ns = self.answered[5] + waited_ns
        now_ns = self.done_ns = perf_counter_ns()
        self.latency = latency = self._latency(self.answered, now_ns)
        client = self.client
        # Whether the rest of a request that is answered already ever comes is not known.
        close = self.close or client.closing or (self.fields.body_length != 0 and client.unread)
        if close:
            more += _CLOSE_LINE
        timing = server_timing(*latency)
        client.transport.write(self._answer(head, timing, more, b"" if self.is_head else body))
        self._finish(now_ns, close)

    def _latency(self, answered: AttemptReadings, now_ns: int) -> tuple[int, int, int]:
        """The three terms up to now."""
        if self.attempts > 1 or answered[2] or self.uploaded_ns or self.headed_ns:
            return components_of(self.finished()).latency
        said = answered[8]
        service = read_latency(said) if said is not None else None
        processing, network, system = service if service is not None else (0, 0, 0)
        sent_ns, first_byte_ns, last_byte_ns = answered[3:6]
        return terms_of(
            self.received_ns,
            self.started_ns,
            self.ready_ns,
            self.slot_ns,
            sent_ns,
            first_byte_ns,
            last_byte_ns,
            self.resumed_ns or last_byte_ns,
            now_ns,
            processing,
            network,
            system,
            answered[7],
        )

    def waited(self, connection: UpstreamConnection, waited_ns: int) -> None:
        """Its request has waited for others' in the outbox: like any wait before a first attempt."""
        if self.attempts == 1:
            self.slot_ns += waited_ns

    def _answer(self, head: AnswerHead, timing: bytes, more: bytes, body: bytes = b"") -> bytes:
        """The answer's head as the caller gets it, and what is here of its body; `more` are lines of ours, or none."""
        via = VIA_LINE if head.via is None else b"via: " + head.via + b", " + VIA + b"\r\n"
        return b"".join(
            (head.status_line, b"\r\n", head.onward, via, self.own_lines, timing, more, b"\r\n", body)
        )

    def _measure(self, connection: UpstreamConnection, head: AnswerHead, now_ns: int) -> bytes:
        """Where the time up to now went, as the caller is told."""
        self.done_ns = now_ns
        self.status = head.status
        self.answered = answered = readings_of(connection, now_ns, outcome_of(head.status), "", head)
        if not answered[5]:  # the end of the body is still to come: up to now this is all
            answered = (*answered[:5], answered[4], *answered[6:])
        self.latency = latency = self._latency(answered, now_ns)
        return server_timing(*latency)

    def began(self, connection: UpstreamConnection, head: AnswerHead) -> None:
        now_ns = perf_counter_ns()
        if head.status >= 500 and self._better_luck(connection, head, now_ns):
            connection.abandon()
            return
        if self.fetch is not None and self.fetch.cache.too_large(self, self.fetch, head.status, now_ns):
            self._ask_again(connection, head, now_ns)
            connection.abandon()
            return
        self._began = True
        self._moved_ns = now_ns
        timing = self._measure(connection, head, now_ns)  # as far as can be told before the end
        self._note(connection, head, now_ns)
        self._drop_loser(connection, now_ns)
        self.connection = connection
        self._leave(now_ns, outcome_of(head.status))  # how long the body takes says nothing of the load
        if self.client.unread:
            self.close = True  # whether the rest of the request ever comes is not known
        more = b""
        if self.unsafe:
            self._hold_back(head, now_ns)
        elif self.fetch is not None:
            more = self.fetch.cache.passed(self.fetch)
        if head.length in (CHUNKED, UNTIL_CLOSE):
            if self.head.http10:
                self.close = True
            else:
                self._chunked_out = True
                more += _CHUNKED_LINE
        if self.close or self.client.closing:
            self.close = True
            more += _CLOSE_LINE
        self.client.transport.write(self._answer(head, timing, more))
        if self.client.full:  # the answer before this one is not through yet
            self.client_full()

    def piece(self, data: bytes) -> None:
        self._moved_ns = perf_counter_ns()
        self.client.transport.write(chunk(data) if self._chunked_out else data)

    def ended(self, connection: UpstreamConnection, trailers: list[bytes]) -> None:
        # Of what ends with its last piece the caller may have had all since that was written.
        now_ns = perf_counter_ns() if self._chunked_out or self._tunnel else self._moved_ns
        if self._chunked_out:
            passed = [line for line in trailers if not line.lower().startswith(_NO_TRAILERS)]
            self.client.transport.write(b"\r\n".join([b"0", *passed, b"", b""]) if passed else LAST_CHUNK)
        if self.client.full and not connection.transport.is_closing():
            connection.transport.resume_reading()  # it is the pool's again
        connection.last_byte_ns = now_ns
        outcome = outcome_of(self.status)
        if self.answered is not None:  # it was so of the head, as was the latency
            self.answered = (*self.answered[:5], now_ns, now_ns, *self.answered[7:])
        self.latency = None  # the head's ended earlier
        self._book(connection, now_ns, outcome)
        self._finish(now_ns, self.close)

    def _accept(self, connection: UpstreamConnection, head: AnswerHead, now_ns: int) -> None:
        """This is the answer: book it, and let go of whoever else was asked."""
        self._note(connection, head, now_ns)
        self._book(connection, now_ns, outcome_of(head.status))
        if self._rival is not None:
            self._drop_loser(connection, now_ns)

    def _note(self, connection: UpstreamConnection, head: AnswerHead, now_ns: int) -> None:
        load = head.found.get(b"endpoint-load-metrics")
        if load is not None:
            self.upstream.reported(connection.pool, load, now_ns)

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
        elif silent_ns > self.route.timeout_ns and self.connection is not None:
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
        if problem.status >= 500 and self.fetch is not None:
            fetch, self.fetch = self.fetch, None
            fetch.cache.land(fetch)
            if fetch.cache.rescue(self, fetch, now_ns):
                return
        self.status = problem.status
        self.error = problem.code
        close = self.close or self.client.closing or self.client.unread
        timing = self._measure_refusal(now_ns)
        self.client.transport.write(self._gateway.problem(self, problem, timing, close))
        self._finish(now_ns, close)

    def answer(self, status: int, content_type: bytes, body: bytes) -> None:
        """Answer it ourselves with one of our own pages."""
        now_ns = perf_counter_ns()
        self.status = status
        close = self.close or self.client.closing or self.client.unread
        timing = self._measure_refusal(now_ns)
        self.client.transport.write(self._gateway.page(self, status, content_type, body, timing, close))
        self._finish(now_ns, close)

    def serve(self, status: int, head: bytes, more: bytes, content: bytes) -> None:
        """Answer it with what is stored: status line and header lines as they were, and lines of ours about it."""
        now_ns = perf_counter_ns()
        self.status = status
        client = self.client
        close = self.close or client.closing or client.unread
        timing = self._measure_refusal(now_ns)
        if close:
            more += _CLOSE_LINE
        body = b"" if self.is_head else content
        client.transport.write(b"".join((head, VIA_LINE, self.own_lines, timing, more, b"\r\n", body)))
        self._finish(now_ns, close)

    def aside(self, now_ns: int) -> "Exchange":
        """A request like this one that nobody waits for; it is sent by `send_aside`."""
        return self._gateway.aside(self, now_ns)

    def send_aside(self) -> None:
        """Send it."""
        self._gateway.send_aside(self)

    def look_again(self) -> None:
        """Whoever fetched the same is through."""
        self._gateway.resume(self)

    def _written(self, head: AnswerHead, now_ns: int) -> bool:
        """Before its caller learns of it, nothing that it changed is served any more; whether that is still to come
        in other gateways."""
        coherence = self.upstream.coherence
        return coherence is not None and coherence.written(self, head, now_ns)

    def _hold_back(self, head: AnswerHead, now_ns: int) -> None:
        """The same of an answer that is passed on as it comes: `others_know` lets it go."""
        if self._written(head, now_ns):
            self._held = HeldAnswer(self.client)

    def _measure_refusal(self, now_ns: int) -> bytes:
        """Where the time went of a request that we answer ourselves."""
        self.done_ns = now_ns
        if self.past is None and not self.ready_ns and self.started_ns == self.received_ns:
            self.latency = (now_ns - self.received_ns, 0, 0)
        else:
            self.latency = components_of(self.finished()).latency
        return server_timing(*self.latency)

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
        if self.unsafe:
            self._written(head, now_ns)
        timing = self._measure(connection, head, now_ns)
        self._note(connection, head, now_ns)
        self._drop_loser(connection, now_ns)
        self.connection = connection
        self._leave(now_ns, OK)
        self._began = self._tunnel = True
        upgrade = head.found.get(b"upgrade", self.fields.upgrade)
        more = b"Connection: Upgrade\r\nUpgrade: " + upgrade + b"\r\n"
        self.client.transport.write(self._answer(head, timing, more, data))
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

    def _finish(self, now_ns: int, close: bool) -> None:
        self._end(now_ns)
        self.client.over(close, now_ns)

    def _end(self, now_ns: int) -> None:
        self.over = True
        if self.done_ns != now_ns:
            self.done_ns = now_ns
            self.latency = None  # it was that of an answer's head
        self._give_up_place(now_ns)
        self.connection = None
        if self.fetch is not None:
            self.fetch.cache.land(self.fetch)
        self._gateway.finished(self)

    def finished(self, offset_ns: int = 0, kept: str = "") -> FinishedRequest:
        """All that is remembered of it; `offset_ns` is the wall clock minus the monotonic one."""
        head, ids = self.head, self.trace
        readings = [*(self.past or ()), self.answered] if self.answered is not None else self.past or []
        attempts = sorted(map(attempt_of, readings), key=_asked)
        here = self.client.transport.get_extra_info("sockname")
        address, port = here[:2] if isinstance(here, tuple) else ("", 0)
        return FinishedRequest(
            self.received_ns,
            self.started_ns,
            self.ready_ns,
            self.uploaded_ns or (self.done_ns if self.fields.body_length else 0),
            self.slot_ns,
            self.resumed_ns,
            self.done_ns,
            tuple(attempts),
            offset_ns,
            int(ids.trace_id, 16),
            int(ids.span_id, 16),
            int(ids.parent_id or b"0", 16),
            ids.state.decode("latin-1"),
            kept,
            head.method,
            head.path,
            self.target,
            head.http10,
            self.request_id,
            self.template,
            self.upstream_name,
            self.status,
            self.error,
            address,
            port,
            tuple(self.decisions or ()),
            self.headed_ns,
        )


def _asked(attempt: Attempt) -> int:
    return attempt.asked_ns
