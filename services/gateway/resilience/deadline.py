"""One deadline per request: an instant, fixed when the request arrives, that everything after keeps to. Pure.

A caller may ask for less than the route allows, and each hop tells the next how much is left, in
milliseconds: a duration, because the clocks of two hosts do not agree. The header does for our services what
`x-envoy-expected-rq-timeout-ms` does behind Envoy, and that one is read too, so that the gateway may stand
behind Envoy. Deadlines are plain integers rather than objects: one is made for every request.
"""

from dataclasses import dataclass
from typing import Final

TIMEOUT_HEADER: Final = b"x-kontor-timeout-ms"
"""How long the receiver has for its answer; passed on to services, and heeded from trusted callers."""

ACCEPTED_HEADERS: Final = (TIMEOUT_HEADER, b"x-envoy-expected-rq-timeout-ms")
"""Heeded from trusted callers, the first that is there; from others, removed unread."""

_MS_NS: Final = 1_000_000
_SECOND_NS: Final = 1_000_000_000
_LONGEST: Final = 9  # digits: eleven days


@dataclass(frozen=True, slots=True)
class DeadlineRule:
    """How long a route's requests may take, retries and hedges and waiting included."""

    timeout_s: float = 30.0
    attempt_timeout_s: float | None = None  # for one attempt; `None`: all that is left of the request's time


class Deadlines:
    """Makes the deadlines of one route's requests; all instants are nanoseconds of one monotonic clock."""

    __slots__ = ("_attempt_ns", "_timeout_ns")

    def __init__(self, rule: DeadlineRule) -> None:
        self._timeout_ns = int(rule.timeout_s * _SECOND_NS)
        attempt_s = rule.timeout_s if rule.attempt_timeout_s is None else rule.attempt_timeout_s
        self._attempt_ns = int(attempt_s * _SECOND_NS)

    def deadline(self, received: int, asked: bytes | None = None) -> int:
        """The instant at which a request that arrived at `received` is out of time.

        `asked` is the value of one of `ACCEPTED_HEADERS` of a trusted caller. The smaller time wins; a value
        that is no whole number of milliseconds above zero asks for nothing.
        """
        if asked is None:
            return received + self._timeout_ns
        return received + min(self._timeout_ns, parse_timeout(asked) or self._timeout_ns)

    def attempt_deadline(self, now: int, deadline: int) -> int:
        """The instant at which an attempt that begins now must have its answer's first byte."""
        attempt = now + self._attempt_ns
        return attempt if attempt < deadline else deadline


def parse_timeout(value: bytes) -> int | None:
    """Milliseconds in ASCII digits to nanoseconds; `None` for anything else and for zero.

    Zero is how Envoy spells "no limit"; a caller that has no time left does not ask.
    """
    # int() would also take signs, underscores and blanks.
    if not value.isdigit() or len(value) > _LONGEST:
        return None
    return int(value) * _MS_NS or None
