"""The caller's side of a connection: requests come in one after the other, answers go out in the same order.

One object per connection, driven by the event loop's callbacks alone: a request makes no task and waits for no
future. Requests that arrive while another is answered (pipelining) wait in a bounded buffer.
"""

import asyncio
from time import perf_counter_ns
from typing import TYPE_CHECKING, cast

from services.gateway.exchange import Exchange
from services.gateway.limits.sizes import KEEP_BYTES, body_too_large
from services.gateway.protocol.framing import BadChunkError, ChunkedReader
from services.gateway.protocol.request_head import RequestHead, malformed, parse_request_head
from shared.problems import Problem

if TYPE_CHECKING:
    from services.gateway.app import Gateway

_LINGER_NS = 2_000_000_000

_HEAD, _SMALL_BODY, _BODY, _CHUNKS, _BUSY, _TUNNEL, _DISCARD, _CLOSED = range(8)

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class ClientConnection:
    """An `asyncio.Protocol`, though not by inheritance: see docs/adr/0010.

    `peer` is the address of whoever connected, as the socket says.
    """

    __slots__ = (
        "_arrived_ns",
        "_buffer",
        "_chunks",
        "_draining",
        "_gateway",
        "_left",
        "_newest_ns",
        "_parts",
        "_paused",
        "_phase",
        "_since_ns",
        "_taken",
        "counts_as",
        "exchange",
        "forwarded_line",
        "full",
        "peer",
        "transport",
        "trusted",
    )

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)  # until connected
        self.peer = "unknown"
        self.counts_as = ""
        self.trusted = False
        self.forwarded_line = b""
        self.exchange: Exchange | None = None
        self.full = False
        self._phase = _HEAD
        self._buffer = b""
        self._since_ns = 0
        # Of what waits in the buffer: until when at the latest its first byte came (0: just now), and when its last.
        self._arrived_ns = self._newest_ns = 0
        self._left = 0
        self._taken = 0
        self._parts: list[bytes] = []
        self._chunks: ChunkedReader | None = None
        self._paused = False
        self._draining = False

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own class is no subclass
        address = transport.get_extra_info("peername")
        if isinstance(address, tuple):
            self.peer = address[0]
        # But for the host, which each request brings.
        self.forwarded_line = (
            b"x-forwarded-for: %b\r\nx-forwarded-proto: http\r\nx-forwarded-host: "
            % self.peer.encode("ascii")
        )
        self._since_ns = perf_counter_ns()
        self.trusted = self._gateway.trusts(self.peer)
        if not self._gateway.connected(self):
            self.reject(_too_many(), self._since_ns)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._phase = _CLOSED
        self._gateway.disconnected(self)
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.client_left()

    def eof_received(self) -> bool:
        # The rest of a tunnel may still flow the other way; anyone else who hangs up has left.
        if self._phase == _TUNNEL and self.exchange is not None:
            self.exchange.tunnel_ended()
            return True
        return False

    def pause_writing(self) -> None:
        self.full = True
        if self.exchange is not None:
            self.exchange.client_full()

    def resume_writing(self) -> None:
        self.full = False
        if self.exchange is not None:
            self.exchange.client_ready()
        elif self._phase == _HEAD:
            self.resume()
            self._go_on()

    def data_received(self, data: bytes) -> None:
        phase = self._phase
        if phase == _HEAD:
            self._take_head(self._buffer + data if self._buffer else data, False)
        elif phase == _BUSY:
            self._keep(data)
        elif phase == _TUNNEL:
            if self.exchange is not None:
                self.exchange.tunnel(data)
        elif phase in (_SMALL_BODY, _BODY, _CHUNKS):
            self._since_ns = self._newest_ns = perf_counter_ns()
            self._take_body(data)

    # Reading requests

    def _take_head(self, data: bytes, held: bool) -> None:
        """`held`: it has waited in the buffer, and nothing of it comes just now."""
        end = data.find(b"\r\n\r\n")
        if end < 0 or end > self._gateway.longest_head:
            self._wait_for_head(data, end)
            return
        now_ns = perf_counter_ns()
        self._since_ns = now_ns
        if not held:
            self._newest_ns = now_ns
        try:
            head = parse_request_head(data[:end])
        except Problem as problem:
            # One empty line before a request is forgiven (RFC 9112, 2.2).
            if data.startswith(b"\r\n") and not data.startswith(b"\r\n\r\n"):
                self._take_head(data[2:], held)
                return
            self.reject(problem, now_ns)
            return
        rest = data[end + 4 :]
        received_ns = self._arrived_ns or now_ns
        exchange = self.exchange = Exchange(self._gateway, self, head, received_ns, now_ns)
        if not held and received_ns != now_ns:
            exchange.headed_ns = now_ns  # it came in pieces
        self._arrived_ns = self._newest_ns if rest else 0
        if head.fields.body_length:
            self._take_head_with_body(exchange, head, rest)
            return
        self._phase = _BUSY
        self._buffer = rest
        if exchange.admit():
            exchange.start(b"", True)

    def _wait_for_head(self, data: bytes, end: int) -> None:
        now_ns = perf_counter_ns()
        if end >= 0 or len(data) > self._gateway.longest_head:
            self.reject(_too_long(data, self._gateway.longest_head), now_ns)
        elif b"\n" in data.replace(b"\r\n", b""):
            self.reject(malformed("a line ends in a bare LF"), now_ns)
        else:
            if not self._buffer:
                # The head's first byte: what follows does not start the clock anew.
                self._since_ns = self._arrived_ns = now_ns
            self._buffer = data

    def _take_head_with_body(self, exchange: Exchange, head: RequestHead, rest: bytes) -> None:
        self._taken = 0
        self._buffer = b""
        length = head.fields.body_length
        self._phase = _CHUNKS if length < 0 else _SMALL_BODY if length <= KEEP_BYTES else _BODY
        self._left = length
        self._parts = []
        self._chunks = ChunkedReader() if length < 0 else None
        if not exchange.admit():
            return
        exchange.ready_ns = perf_counter_ns()  # what follows is the caller's time
        if head.fields.expects_continue and not head.http10 and not rest:
            self.transport.write(_CONTINUE)
        if length < 0 or length > KEEP_BYTES:
            exchange.start(b"", False)
        if rest and self.exchange is exchange:
            self._take_body(rest)

    def _take_body(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            return
        if self._chunks is not None:
            self._take_chunks(exchange, self._chunks, data)
            return
        left = self._left - len(data)
        rest = b""
        if left < 0:
            data, rest = data[:left], data[left:]
        self._left = left
        if left <= 0:
            small = self._phase == _SMALL_BODY
            self._phase = _BUSY
            self._buffer = rest
            self._arrived_ns = self._newest_ns if rest else 0
            if small:
                self._parts.append(data)
                exchange.start(b"".join(self._parts), True)
            else:
                exchange.feed(data, True)
        elif self._phase == _SMALL_BODY:
            self._parts.append(data)
        else:
            exchange.feed(data, False)

    def _take_chunks(self, exchange: Exchange, chunks: ChunkedReader, data: bytes) -> None:
        try:
            pieces = chunks.feed(data)
        except BadChunkError as error:
            exchange.refuse(malformed(str(error)))
            return
        content = b"".join(pieces)
        self._taken += len(content)
        if self._taken > self._gateway.largest_body:
            exchange.refuse(body_too_large(self._gateway.largest_body))
            return
        if chunks.ended:
            self._phase = _BUSY
            self._buffer = chunks.rest
            self._arrived_ns = self._newest_ns if chunks.rest else 0
            self._chunks = None
        if content or chunks.ended:
            exchange.feed(content, chunks.ended)

    def _keep(self, data: bytes) -> None:
        self._newest_ns = perf_counter_ns()
        if not self._buffer:
            self._arrived_ns = self._newest_ns
        self._buffer += data
        if len(self._buffer) > self._gateway.most_pipelined:
            self.pause()

    def _go_on(self) -> None:
        """Take the request that has been waiting, since its bytes arrived."""
        if self._phase == _HEAD and self._buffer:
            self._since_ns = perf_counter_ns()
            self._take_head(self._buffer, True)

    # What the exchange calls

    @property
    def unread(self) -> bool:
        """Whether part of the request under way has not arrived yet."""
        return self._phase in (_SMALL_BODY, _BODY, _CHUNKS)

    @property
    def held_up(self) -> bool:
        """Whether it is made to wait with the rest of its request."""
        return self._paused

    @property
    def closing(self) -> bool:
        """Whether the answer under way shall be the connection's last."""
        return self._draining

    def pause(self) -> None:
        """Read no more for now: whoever takes the bytes does not keep up."""
        if not self._paused and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Go on reading."""
        if self._paused and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()

    def over(self, close: bool, now_ns: int) -> None:
        """The exchange has ended, its answer is with the transport."""
        self.exchange = None
        self._since_ns = now_ns
        phase = self._phase
        if phase == _CLOSED:
            return
        if self._paused:
            self.resume()
        if close or self._draining or phase != _BUSY:
            self._close(linger=phase in (_SMALL_BODY, _BODY, _CHUNKS) or bool(self._buffer))
            return
        self._phase = _HEAD
        if self.full:
            self.pause()  # whoever does not take one answer gets no other
        elif self._buffer:
            # Not at once: a thousand requests refused one after the other would be a thousand calls deep.
            asyncio.get_running_loop().call_soon(self._go_on)

    def become_tunnel(self) -> None:
        """From now on every byte is the other side's."""
        self._phase = _TUNNEL
        self.resume()
        if self._buffer and self.exchange is not None:
            data, self._buffer = self._buffer, b""
            self.exchange.tunnel(data)

    def cut(self) -> None:
        """End the connection in the middle of an answer, so that nobody takes it for complete."""
        self.exchange = None
        self._phase = _CLOSED
        self.transport.abort()

    def reject(self, problem: Problem, now_ns: int) -> None:
        """Answer what is no request, or not a whole one, and close."""
        self._phase = _DISCARD
        self._buffer = b""
        self.transport.write(self._gateway.rejection(self, problem, now_ns))
        self._close(linger=True)

    def _close(self, linger: bool) -> None:
        """`linger`: the caller may still be sending; closing at once could destroy the answer on its way."""
        if not linger:
            self._phase = _CLOSED
            self.transport.close()
            return
        self._phase = _DISCARD
        self._buffer = b""
        self._since_ns = perf_counter_ns()
        if self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()

    # What the worker calls

    def drain(self) -> bool:
        """Take no further request; True when nothing is under way and the connection can go."""
        self._draining = True
        return self._phase == _HEAD and not self._buffer

    def close(self) -> None:
        """Close an idle connection."""
        self._phase = _CLOSED
        self.transport.close()

    def abort(self) -> None:
        """End the connection without waiting for what the caller has not taken."""
        self._phase = _CLOSED
        self.transport.abort()

    def sweep(self, now_ns: int) -> None:
        """Called about once a second: end what takes too long."""
        phase, age = self._phase, now_ns - self._since_ns
        timeouts = self._gateway.timeouts
        if phase == _HEAD:
            self._sweep_waiting(age, now_ns)
        elif phase in (_SMALL_BODY, _BODY, _CHUNKS):
            # A caller who is made to wait cannot send.
            if age > timeouts.body_ns and not self._paused and self.exchange is not None:
                self.exchange.refuse(_too_slow("the request's body"))
        elif phase == _DISCARD:
            patience = timeouts.idle_ns if self.transport.get_write_buffer_size() else _LINGER_NS
            if age > patience:
                self.abort()

    def _sweep_waiting(self, age: int, now_ns: int) -> None:
        timeouts = self._gateway.timeouts
        if self.full:
            # The request in the buffer waits until the answer before it is taken: it is not slow itself.
            if age > timeouts.idle_ns:
                self.abort()
        elif self._buffer:
            if age > timeouts.head_ns:
                self.reject(_too_slow("the request's head"), now_ns)
        elif age > timeouts.idle_ns:
            self.close()


def _too_long(data: bytes, longest: int) -> Problem:
    if data.find(b"\r\n", 0, longest) < 0:
        return Problem(414, "target_too_long", "URI too long", f"At most {longest} bytes.")
    return Problem(431, "headers_too_large", "Request header fields too large", f"At most {longest} bytes.")


def _too_many() -> Problem:
    detail = "Too many connections are open."
    return Problem(503, "too_many_connections", "Service Unavailable", detail, headers={"Retry-After": "1"})


def _too_slow(what: str) -> Problem:
    return Problem(408, "request_timeout", "Request timeout", f"{what.capitalize()} took too long.")
