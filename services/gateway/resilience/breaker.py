"""A circuit breaker for one replica. Pure.

Closed, it counts; open, it keeps requests away; half open, it lets a few probes through and goes by how they
end. As resilience4j has it, with two differences: a probe that never reports back loses its place after
`probe_timeout_s` (there, one lost call wedges the breaker half open unless told otherwise: resilience4j
issues 903, 935 and 2028), and the result of a request from before a change of state counts for nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from services.gateway.resilience.ledger import OK, SERVER_ERROR, Outcome

_SECOND_NS: Final = 1_000_000_000
_SLICES: Final = 10
_NO_TOKEN: Final = 0  # held by an attempt whose result will count for nothing
_NEVER: Final = -1  # held by no attempt


@dataclass(frozen=True, slots=True)
class BreakerRule:
    """When a replica's breaker opens, for how long, and what closes it."""

    failure_percent: int = 50  # opens when this share of the attempts of the last `window_s` failed
    min_attempts: int = 20  # and there were at least so many
    window_s: float = 10.0
    open_s: float = 2.0  # how long it stays open; doubles each time that a probe fails
    max_open_s: float = 60.0
    jitter_percent: int = 20  # of the open time, added at random: gateways should not probe in step
    half_open_probes: int = 3  # under way at once when half open, and good ones in a row to close
    probe_timeout_s: float = 30.0  # after this a silent probe makes way for another


class BreakerState(StrEnum):
    """As logs and the admin API spell it."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


_CLOSED: Final = BreakerState.CLOSED
_OPEN: Final = BreakerState.OPEN
_HALF_OPEN: Final = BreakerState.HALF_OPEN


class CircuitBreaker:
    """For each attempt: `allows`, then `on_start`, then `on_result` with what `on_start` gave.

    `random` gives floats in [0, 1). `state` is as of the last call: an open breaker whose time is up becomes
    half open when it is next asked.
    """

    __slots__ = (
        "_attempts",
        "_closed_at",
        "_failures",
        "_good_probes",
        "_index",
        "_last_token",
        "_open_ns",
        "_open_until",
        "_probes",
        "_random",
        "_rule",
        "_slice_attempts",
        "_slice_ends_ns",
        "_slice_failures",
        "_slice_ns",
        "_slices",
        "_token",
        "opened_count",
        "state",
    )

    def __init__(self, rule: BreakerRule, now: int, random: Callable[[], float]) -> None:
        self._rule = rule
        self._random = random
        self._slice_ns = max(1, int(rule.window_s * _SECOND_NS) // _SLICES)
        self._last_token = _NO_TOKEN
        self._probes: dict[int, int] = {}  # when each probe under way began, by its token
        self._open_ns = 0
        self._open_until = now
        self._closed_at = now
        self.opened_count = 0  # since the process began
        self.state: BreakerState = _CLOSED
        self._close(now)

    def allows(self, now: int) -> bool:
        """Whether an attempt may be made now. Asking takes nothing: `on_start` does."""
        if self.state is _CLOSED:
            return True
        if self.state is _OPEN:
            if now < self._open_until:
                return False
            self.state = _HALF_OPEN
        return self._has_room_for_a_probe(now)

    def on_start(self, now: int) -> int:
        """An attempt begins (allowed or not: panic may overrule a breaker). Returns its token."""
        if self.state is _CLOSED:
            return self._token
        if self.state is _OPEN or not self._has_room_for_a_probe(now):
            return _NO_TOKEN
        self._last_token += 1
        self._probes[self._last_token] = now
        return self._last_token

    def went_well(self, now: int, token: int) -> str | None:
        """An attempt ended with `OK`: what `on_result` says of it, for most of all attempts in fewer steps."""
        if token != self._token or now >= self._slice_ends_ns:
            return self.on_result(now, token, OK)
        self._slice_attempts += 1
        return None

    def on_result(self, now: int, token: int, outcome: Outcome) -> str | None:
        """An attempt ended. Returns a sentence for the log when that changed the state."""
        if token != self._token:
            return self._on_probe(now, token, outcome)
        if now >= self._slice_ends_ns:
            self._turn(now)
        if outcome is OK:
            self._slice_attempts += 1
            return None
        if outcome < SERVER_ERROR:
            return None  # nothing that would tell of the replica
        self._slice_attempts += 1
        self._slice_failures += 1
        attempts, failures = self._attempts + self._slice_attempts, self._failures + self._slice_failures
        if attempts < self._rule.min_attempts or failures * 100 < attempts * self._rule.failure_percent:
            return None
        return self._open(now, f"{failures} of the last {attempts} attempts failed")

    def describe(self, now: int) -> dict[str, object]:
        """The state as JSON, for the admin API; `retry_in_s` is when an open breaker lets a probe through."""
        if now >= self._slice_ends_ns:
            self._turn(now)
        waits_ns = max(0, self._open_until - now) if self.state is _OPEN else 0
        return {
            "state": self.state.value,
            "attempts": self._attempts + self._slice_attempts,
            "failures": self._failures + self._slice_failures,
            "probes": len(self._probes),
            "retry_in_s": waits_ns / _SECOND_NS,
            "opened_count": self.opened_count,
        }

    def _on_probe(self, now: int, token: int, outcome: Outcome) -> str | None:
        if self._probes.pop(token, None) is None:
            return None  # of an attempt from before a change of state, or of a probe given up for lost
        if outcome >= SERVER_ERROR:
            return self._open(now, f"a probe failed ({outcome.label})")
        self._good_probes += outcome is OK
        if self._good_probes < self._rule.half_open_probes:
            return None
        self._close(now)
        return f"Circuit closed: {self._rule.half_open_probes} probes in a row went well."

    def _has_room_for_a_probe(self, now: int) -> bool:
        if len(self._probes) < self._rule.half_open_probes:
            return True
        lost_before = now - int(self._rule.probe_timeout_s * _SECOND_NS)
        self._probes = {token: began for token, began in self._probes.items() if began > lost_before}
        return len(self._probes) < self._rule.half_open_probes

    def _open(self, now: int, why: str) -> str:
        rule = self._rule
        calm_ns = max(int(rule.window_s * _SECOND_NS), self._open_ns)
        if self.state is _CLOSED and now - self._closed_at >= calm_ns:
            self._open_ns = 0  # long enough well to be trusted as at first
        doubled_ns = 2 * self._open_ns or int(rule.open_s * _SECOND_NS)
        self._open_ns = min(doubled_ns, int(rule.max_open_s * _SECOND_NS))
        jitter_ns = int(self._open_ns * self._random() * rule.jitter_percent / 100)
        self._open_until = now + self._open_ns + jitter_ns
        self.state = _OPEN
        self._token = _NEVER
        self._probes = {}
        self._good_probes = 0
        self.opened_count += 1
        return f"Circuit opened for {(self._open_until - now) / _SECOND_NS:.1f} s: {why}."

    def _close(self, now: int) -> None:
        self.state = _CLOSED
        self._closed_at = now
        self._last_token += 1
        self._token = self._last_token
        self._probes = {}
        self._good_probes = 0
        self._slice_ends_ns = now + self._slice_ns
        self._slices = [(0, 0)] * _SLICES
        self._index = 0
        self._attempts = self._failures = 0  # of all slices but the running one
        self._slice_attempts = self._slice_failures = 0

    def _turn(self, now: int) -> None:
        passed = 1 + (now - self._slice_ends_ns) // self._slice_ns
        self._slice_ends_ns += passed * self._slice_ns
        self._attempts += self._slice_attempts
        self._failures += self._slice_failures
        self._slices[self._index] = self._slice_attempts, self._slice_failures
        self._slice_attempts = self._slice_failures = 0
        for _ in range(min(passed, _SLICES)):
            self._index = (self._index + 1) % _SLICES
            attempts, failures = self._slices[self._index]
            self._attempts -= attempts
            self._failures -= failures
            self._slices[self._index] = (0, 0)
