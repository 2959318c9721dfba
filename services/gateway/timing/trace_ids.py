"""Which trace a request belongs to, and how the replicas are told (W3C Trace Context).

The ids are there for every request, recorded or not: the logs name them, and whether a request is worth keeping
is known only when it is over. Hexadecimal digits throughout, as they came and as they go.
"""

from typing import TYPE_CHECKING, Final

from services.gateway.timing.trace_context import onward_flags, read_traceparent, read_tracestate

if TYPE_CHECKING:
    from services.gateway.request_ids import RandomHex

DIGITS: Final = 64
"""How many random digits a request needs: a trace id, a span for the gateway's hop and one for the first attempt."""


class TraceIds:
    """`parent_id` is the caller's span, empty for a trace that begins here; `attempt_id` the latest attempt's span.

    `sampled` tells the services to record, which the pipeline decides: the caller's own flag neither forces nor
    stops it.
    """

    __slots__ = ("_flags", "attempt_id", "parent_id", "sampled", "span_id", "state", "trace_id")

    def __init__(self, found: dict[bytes, bytes], digits: bytes) -> None:
        """`digits` are `DIGITS` that nobody else was given."""
        sent = found.get(b"traceparent")
        parent = read_traceparent(sent) if sent is not None else None
        self.state = b""
        if parent is None:
            self.trace_id = digits[:32]
            self.parent_id = b""
            self._flags: bytes | None = None
        else:
            self.trace_id, self.parent_id, self._flags = parent
            state = found.get(b"tracestate")
            if state is not None:
                self.state = read_tracestate(state)
        self.span_id = digits[32:48]
        self.attempt_id = digits[48:64]
        self.sampled = False

    def next_attempt(self, random: "RandomHex") -> None:
        """Another attempt begins, with a span of its own."""
        self.attempt_id = random.take(16)

    def lines(self) -> bytes:
        """The header lines for the replica of the latest attempt."""
        flags = onward_flags(self._flags, self.sampled)
        line = b"".join((b"traceparent: 00-", self.trace_id, b"-", self.attempt_id, b"-", flags, b"\r\n"))
        return b"".join((line, b"tracestate: ", self.state, b"\r\n")) if self.state else line
