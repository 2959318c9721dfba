"""One connection to a replica: it carries one request at a time and reads the answer as it comes."""

import asyncio
import select
from time import perf_counter_ns
from typing import TYPE_CHECKING, Protocol, cast

from services.gateway.forwarding.answer_head import (
    CHUNKED,
    UNTIL_CLOSE,
    AnswerHead,
    BadAnswerError,
    parse_answer_head,
)
from services.gateway.protocol.framing import BadChunkError, ChunkedReader
from services.gateway.resilience.ledger import BROKEN, CUT_SHORT, Outcome
from services.gateway.timing.finished import FIRST, AttemptKind
from services.gateway.timing.rtt import MinRtt

if TYPE_CHECKING:
    from services.gateway.forwarding.pool import Pool

_LONGEST_HEAD = 64 * 1024

_IDLE, _HEAD, _COUNTED, _CHUNKS, _UNTIL_CLOSE, _TUNNEL, _CLOSED = range(7)


class Receiver(Protocol):
    """Who has sent the request and gets its answer. All calls come from the event loop, none may raise."""

    is_head: bool
    """HEAD was asked: the answer has no body."""

    def informed(self, connection: "UpstreamConnection", head: AnswerHead) -> None:
        """A 1xx answer other than 100 and 101."""

    def whole(self, connection: "UpstreamConnection", head: AnswerHead, body: bytes) -> None:
        """The answer in one piece; the connection is free again."""

    def wants_whole(self, head: AnswerHead) -> bool:
        """Whether an answer that is still incomplete shall be held back until it is whole."""

    def began(self, connection: "UpstreamConnection", head: AnswerHead) -> None:
        """The head of an answer whose body follows by `piece`, and ends by `ended`."""

    def piece(self, data: bytes) -> None:
        """A part of the body, not empty."""

    def ended(self, connection: "UpstreamConnection", trailers: list[bytes]) -> None:
        """The body is complete; the connection is free again."""

    def switched(self, connection: "UpstreamConnection", head: AnswerHead, data: bytes) -> None:
        """101: from now on both sides say what they like; `data` is what came right after."""

    def failed(self, connection: "UpstreamConnection", outcome: Outcome, detail: str) -> None:
        """No answer, or no more of it, will come."""

    def waited(self, connection: "UpstreamConnection", waited_ns: int) -> None:
        """So long the request has waited in the outbox: it is written now."""

    def upstream_full(self) -> None:
        """The replica does not keep up with the request's body."""

    def upstream_ready(self) -> None:
        """It does again."""


class UpstreamConnection:
    """An `asyncio.Protocol`, made by its pool, which knows it until it is closed. Times are `perf_counter_ns` readings.

    `sent_ns` is taken before the request is handed to the transport, `first_byte_ns` when the first byte of its
    answer arrived, `last_byte_ns` when the last one did, `connected_ns` when the connection came about, 0 for one that
    was there already.
    """

    __slots__ = (
        "_buffer",
        "_chunks",
        "_head",
        "_held",
        "_left",
        "_phase",
        "_poll",
        "_unsent",
        "asked_ns",
        "candidates",
        "connected_ns",
        "first_byte_ns",
        "idle_since_ns",
        "kind",
        "last_byte_ns",
        "min_rtt",
        "pool",
        "receiver",
        "request_complete",
        "sent_ns",
        "span_id",
        "token",
        "transport",
        "why",
    )

    def __init__(self, pool: "Pool") -> None:
        self.pool = pool
        self.receiver: Receiver | None = None
        self.request_complete = True
        self.asked_ns = self.connected_ns = self.sent_ns = self.first_byte_ns = self.last_byte_ns = 0
        self.idle_since_ns = 0
        self.min_rtt: MinRtt | None = None
        # Of the attempt under way: its kind, its span, and why this replica was chosen among how many.
        self.kind: AttemptKind = FIRST
        self.span_id = b""
        self.why = ""
        self.candidates = 0
        self.token = 0
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)  # until connected
        self._phase = _IDLE
        self._unsent = b""
        self._buffer = b""
        self._head: AnswerHead | None = None
        self._held: list[bytes] | None = None
        self._left = 0
        self._chunks: ChunkedReader | None = None
        self._poll: select.poll | None = None

    # What the receiver calls

    def send(self, receiver: Receiver, data: bytes, *, complete: bool, now_ns: int) -> None:
        """Begin a request with these bytes; `complete` tells that they are all of it."""
        self.receiver = receiver
        self.request_complete = complete
        self.asked_ns = now_ns
        self.sent_ns = self.first_byte_ns = self.last_byte_ns = 0
        self._phase = _HEAD
        self._unsent = data
        if self.transport is not None:
            self.connected_ns = 0
            self.pool.outbox.put(self)

    def post(self, waited_ns: int) -> None:
        """Write what has waited in the outbox."""
        data, self._unsent = self._unsent, b""
        if self.receiver is None:
            return  # given up meanwhile
        if waited_ns:
            self.asked_ns += waited_ns
            self.receiver.waited(self, waited_ns)
        # Before the write: after it, answers came before their questions.
        self.sent_ns = perf_counter_ns()
        self.transport.write(data)

    def send_more(self, data: bytes, *, complete: bool) -> None:
        """Go on with the request's body, or with what a tunnel carries."""
        self.request_complete = complete
        if self.transport is None or self._unsent:
            self._unsent += data
        elif data:
            self.transport.write(data)

    def abandon(self) -> None:
        """Nobody waits for the answer any more: cut the connection, for nothing else can end the work there."""
        self.receiver = None
        self._phase = _CLOSED
        if self.transport is not None:
            self.transport.abort()

    def answer_is_here(self) -> bool:
        """Whether part of the answer, or the connection's end, waits for us to read it."""
        return self.transport is not None and (self.first_byte_ns != 0 or self._has_unread())

    def stale(self) -> bool:
        """Whether an idle connection has ended, which the event loop has not told yet."""
        return self._has_unread()

    def _has_unread(self) -> bool:
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(self._poll.poll(0))

    def close(self) -> None:
        """End an idle connection."""
        self._phase = _CLOSED
        self.transport.close()

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own class is no subclass
        data, self._unsent = self._unsent, b""
        if self.receiver is None:  # given up meanwhile
            self.transport.abort()
            return
        self.min_rtt = MinRtt(transport.get_extra_info("socket"))
        self.connected_ns = self.sent_ns = perf_counter_ns()
        self.transport.write(data)
        self.receiver.upstream_ready()

    def connection_lost(self, exc: Exception | None) -> None:
        phase, self._phase = self._phase, _CLOSED
        self.pool.lost(self)
        receiver, self.receiver = self.receiver, None
        if receiver is None:
            return
        if phase in (_UNTIL_CLOSE, _TUNNEL) and exc is None:
            receiver.ended(self, [])
        else:
            outcome = BROKEN if phase == _HEAD else CUT_SHORT
            receiver.failed(self, outcome, str(exc) if exc else "the connection was closed")

    def eof_received(self) -> None:
        """Nothing more will come: the event loop closes the connection."""

    def pause_writing(self) -> None:
        if self.receiver is not None:
            self.receiver.upstream_full()

    def resume_writing(self) -> None:
        if self.receiver is not None:
            self.receiver.upstream_ready()

    def data_received(self, data: bytes) -> None:
        phase = self._phase
        if phase == _HEAD:
            if not self.sent_ns:
                self._fail(BROKEN, "the replica spoke before it was asked")
                return
            if not self.first_byte_ns:
                self.first_byte_ns = perf_counter_ns()
            self._take_head(data)
        elif phase == _COUNTED:
            self._take_counted(data)
        elif phase == _CHUNKS:
            self._take_chunks(data)
        elif phase in (_UNTIL_CLOSE, _TUNNEL):
            if self.receiver is not None:
                self.receiver.piece(data)
        elif phase == _IDLE:
            # Nobody has asked for anything: whatever this answers, it is not the next request.
            self.pool.drop(self)

    # Reading the answer

    def _take_head(self, data: bytes) -> None:
        receiver = self.receiver
        if receiver is None:
            return
        in_pieces = len(self._buffer) > 0
        head, body = self._next_head(receiver, self._buffer + data if in_pieces else data)
        while head is not None and head.status < 200:
            self._take_interim(receiver, head, body)
            if head.status == 101:
                return
            in_pieces = False
            head, body = self._next_head(receiver, body)
            if head is None and not self._buffer:
                self.first_byte_ns = 0  # the answer proper is still to come
        if head is None:
            return
        length = head.length
        if 0 <= length <= len(body):
            if len(body) > length:
                body, head.close = body[:length], True
            self.last_byte_ns = perf_counter_ns() if in_pieces else self.first_byte_ns
            self._free(head)
            receiver.whole(self, head, body)
        else:
            self._begin_body(receiver, head, body)

    def _next_head(self, receiver: Receiver, data: bytes) -> tuple[AnswerHead | None, bytes]:
        """The next head, once all of it is here, and what follows it."""
        end = data.find(b"\r\n\r\n")
        if end > _LONGEST_HEAD or (end < 0 and len(data) > _LONGEST_HEAD):
            self._fail(BROKEN, "the head of the answer is too long")
            return None, b""
        if end < 0:
            self._buffer = data
            return None, b""
        self._buffer = b""
        try:
            return parse_answer_head(data[:end], receiver.is_head), data[end + 4 :]
        except BadAnswerError as error:
            self._fail(BROKEN, str(error))
            return None, b""

    def _take_interim(self, receiver: Receiver, head: AnswerHead, rest: bytes) -> None:
        if head.status == 101:
            self._phase = _TUNNEL
            receiver.switched(self, head, rest)
            return
        if head.status != 100:  # we never wait for 100, so it tells nothing
            receiver.informed(self, head)

    def _begin_body(self, receiver: Receiver, head: AnswerHead, body: bytes) -> None:
        self._head = head
        if head.length >= 0:
            self._phase = _COUNTED
            self._left = head.length
            if receiver.wants_whole(head):
                self._held = []
            else:
                receiver.began(self, head)
            if body:
                self._take_counted(body)
            return
        receiver.began(self, head)
        if head.length == CHUNKED:
            self._phase = _CHUNKS
            self._chunks = ChunkedReader()
        elif head.length == UNTIL_CLOSE:
            self._phase = _UNTIL_CLOSE
        if body and self.receiver is not None:
            self.data_received(body)

    def _take_counted(self, data: bytes) -> None:
        receiver, head, held = self.receiver, self._head, self._held
        if receiver is None or head is None:
            return
        left = self._left - len(data)
        if left < 0:
            data, head.close = data[:left], True
        self._left = left
        if held is None:
            receiver.piece(data)
            if left <= 0 and self.receiver is receiver:
                self._free(head)
                receiver.ended(self, [])
            return
        held.append(data)
        if left <= 0:
            self._held = None
            self.last_byte_ns = perf_counter_ns()
            self._free(head)
            receiver.whole(self, head, b"".join(held))

    def _take_chunks(self, data: bytes) -> None:
        receiver, head, chunks = self.receiver, self._head, self._chunks
        if receiver is None or head is None or chunks is None:
            return
        try:
            pieces = chunks.feed(data)
        except BadChunkError as error:
            self._fail(BROKEN, str(error))
            return
        if pieces:
            receiver.piece(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if chunks.ended and self.receiver is receiver:
            if chunks.rest:
                head.close = True
            self._chunks = None
            self._free(head)
            receiver.ended(self, chunks.trailers)

    def _free(self, head: AnswerHead) -> None:
        """The answer is through: back to the pool, unless one of the two sides has not finished with it."""
        self.receiver = None
        self._head = None
        if head.close or not self.request_complete:
            self._phase = _CLOSED
            self.transport.close() if self.request_complete else self.transport.abort()
        else:
            self._phase = _IDLE
            self.pool.keep(self)

    def _fail(self, outcome: Outcome, detail: str) -> None:
        receiver = self.receiver
        began = self._phase != _HEAD
        self.abandon()
        if receiver is not None:
            receiver.failed(self, CUT_SHORT if began else outcome, detail)
