"""How many requests an upstream may have under way at once, learned from its latency. Pure.

An upstream that can do `c` things at once answers no faster with more than `c` under way: the rest waits
inside it, where nobody can take it back. What is known of finding `c`:

- AIMD needs a latency to aim at, which nobody sets right. TCP Vegas' minimum latency is the cheapest request's,
  not the typical one's. Netflix' Gradient2 compares with a long average, and that creeps up with a lasting
  overload, so that the limit does too (github.com/Netflix/concurrency-limits, pull request 134).
- Envoy's gradient controller measures the latency without load every minute, by letting only three requests
  through: right, but it turns callers away meanwhile (envoy issue 8337). brpc's limiter measures in the same
  way more gently, by cutting the limit by a quarter.

So: the gradient (reference latency / latency now) shrinks the limit, and where it asks for nothing, the limit
grows by its root. Now and then, and when the gradient has halved the limit, a probe with three quarters of the
limit renews the reference: with that there is no queue, and hardly any throughput lost. Where the probe is much
faster, there was a queue, and the cut goes on until it helps no more. Where it is not, the upstream itself has
become slower: the reference follows and the limit comes back, instead of both spiralling down.
Latencies are compared as geometric means, so that one report among fifty reads moves them by little, and with
what chance may have added (one standard error) taken off.

Measured in the model of `tests/gateway/resilience/test_adaptive_limit.py`, 32 workers, means of five seeds: at
twice the capacity 96 % (exponential service times) and 97 % (log-normal) of it is used, with a p99 of 49 and
65 ms where half the load has 46 and 63; four gateways in front of one upstream use 99 % with 61 ms. While
everything takes five times as long, 97 and 93 % of what is then the capacity; with a quarter of the workers, 97
and 95 %.
"""

from dataclasses import dataclass
from math import exp, log, sqrt
from typing import Final

from services.gateway.resilience.ledger import OK, TIMED_OUT, UNAVAILABLE, Outcome

_SECOND_NS: Final = 1_000_000_000
_STEEPEST: Final = 0.7  # no window cuts the limit by more than to this
_SUSPICION: Final = 0.5  # no further down than to this share without a probe that finds a queue
_OVERLOAD_SHARE: Final = 0.1  # of a window's answers that say that it is too much ...
_OVERLOAD_CUT: Final = 0.8  # ... bring this cut
_NEVER: Final = 2**63
_PROBE_CUT: Final = 0.75
_PROBE_HELPED: Final = 0.84  # a full queue would bring the latency to _PROBE_CUT, no queue to 1
_SLOWED: Final = 1.1  # when fewer requests are slower by this, the upstream has changed meanwhile
_REFERENCE_WEIGHT: Final = 0.3  # of a new measurement
_FEWEST_SAMPLES: Final = 20
_SAMPLES_PER_SLOT: Final = 4
_PROBE_SAMPLES: Final = 30  # a probe cannot wait for more


@dataclass(frozen=True, slots=True)
class LimitRule:
    """An upstream's limit of requests under way, for one gateway process."""

    min_limit: int = 4
    initial_limit: int = 32
    max_limit: int = 1000
    tolerance_percent: int = 50  # so much above the reference, latency is still taken for normal
    window_s: float = 0.1  # the limit changes at most so often
    window_samples: int = 100  # and only after so many answers, fewer while the limit is below 25
    probe_interval_s: float = 5.0  # how often the reference is renewed while the limit is reached


class AdaptiveLimit:
    """Learns the limit from answers. `limit` is the limit now; the other attributes are for the admin API.

    Probes begin at the multiples of `probe_interval_s` of `now + epoch_ns`: gateways that share an upstream
    must probe together, for one alone would measure the queue that the others keep up. Processes of one host
    share the monotonic clock; for several hosts, `epoch_ns` is the wall clock less the monotonic clock.
    """

    __slots__ = (
        "_chance",
        "_epoch_ns",
        "_limited",
        "_log_latency",
        "_log_squares",
        "_needed",
        "_overloads",
        "_peak",
        "_probe_at",
        "_probe_from",
        "_probe_latency",
        "_rule",
        "_samples",
        "_shrinking_from",
        "_size",
        "_tolerance",
        "_window_ends",
        "_window_ns",
        "_window_starts",
        "latency_ns",
        "limit",
        "reference_ns",
    )

    def __init__(self, rule: LimitRule, now: int, epoch_ns: int = 0) -> None:
        self._rule = rule
        self._epoch_ns = epoch_ns
        self._tolerance = 1 + rule.tolerance_percent / 100
        self._window_ns = int(rule.window_s * _SECOND_NS)
        self._size = float(rule.initial_limit)
        self.limit = rule.initial_limit
        self.latency_ns = 0.0  # typical, of the last window
        self.reference_ns = 0.0  # typical, without a queue
        self._peak = 0  # the most under way at once in this window
        self._log_latency = self._log_squares = 0.0
        self._chance = 1.0  # by what factor the last latency may be off (one standard error)
        self._needed = rule.window_samples
        self._limited = False  # whether the last window reached the limit
        self._shrinking_from = 0.0  # the limit before the gradient began to cut it; 0: it does not cut
        self._probe_from: float | None = None  # the limit to come back to; `None`: no probe is under way
        self._probe_latency = 0.0  # of the step before
        self._probe_at = _NEVER
        self._schedule_probe(now, _SECOND_NS)
        self._start_window(now, self._window_ns)

    def on_result(self, now: int, latency_ns: int, outcome: Outcome, in_flight: int) -> None:
        """Learn from an attempt that ended; `in_flight` counts it still."""
        if now >= self._probe_at:
            self._begin_probe(now)
        if now < self._window_starts:
            return
        if in_flight > self._peak:  # noqa: PLR1730  # max() costs 60 ns, which every request would pay
            self._peak = in_flight
        if outcome is not OK:
            if outcome is UNAVAILABLE:
                self._overloads += 1  # says that it is too much, but its latency says nothing
                return
            if outcome is not TIMED_OUT:
                return
            self._overloads += 1
        log_latency = log(latency_ns + 1)
        self._samples += 1
        self._log_latency += log_latency
        self._log_squares += log_latency * log_latency
        if now >= self._window_ends and self._samples >= self._needed:
            self._end_window(now)

    def _end_window(self, now: int) -> None:
        mean = self._log_latency / self._samples
        latency = exp(mean)
        variance = max(0.0, self._log_squares / self._samples - mean * mean)
        self._chance = exp(sqrt(variance / self._samples))
        first = not self.latency_ns
        self.latency_ns = latency
        self._limited = self._peak >= self.limit
        if first:
            pass  # it saw only what could end within it
        elif not self.reference_ns:
            self.reference_ns = latency
        elif self._probe_from is not None:
            self._end_probe_step(now, latency, self._probe_from)
            return
        elif self._overloads > _OVERLOAD_SHARE * (self._samples + self._overloads):
            self._resize(self._size * _OVERLOAD_CUT)
        elif self._limited:
            self._follow_gradient(now, latency)
        else:
            self._shrinking_from = 0.0
            if self._peak * 2 <= self.limit or latency < self.reference_ns:
                self._refer_to(latency)
        # What was sent under the old limit must not be counted for the new one.
        self._start_window(now + int(latency), self._window_ns)

    def _follow_gradient(self, now: int, latency: float) -> None:
        gradient = self._tolerance * self.reference_ns * self._chance / latency
        if gradient >= 1:
            self._resize(self._size + sqrt(self._size))
            if latency * self._tolerance**2 < self.reference_ns:
                self.reference_ns = latency  # far below: a slow spell is over
            if self._size >= self._shrinking_from:
                self._shrinking_from = 0.0
            return
        self._shrinking_from = self._shrinking_from or self._size
        lowest = self._shrinking_from * _SUSPICION
        if self._size > max(lowest, self._rule.min_limit):
            self._resize(max(self._size * max(gradient, _STEEPEST), lowest))
        else:
            self._schedule_probe(now, _SECOND_NS)

    def _begin_probe(self, now: int) -> None:
        began = self._probe_at
        self._probe_at = _NEVER
        self._schedule_probe(now, int(self._rule.probe_interval_s * _SECOND_NS))
        if self._limited and self.reference_ns and self._probe_from is None:
            self._start_probe_step(began, self.latency_ns)

    def _start_probe_step(self, start: int, latency: float) -> None:
        self._probe_from = self._size
        self._probe_latency = latency
        self._resize(self._size * _PROBE_CUT)
        # The same length for all who probe together, though their latencies differ a little.
        step_ns = self._window_ns
        while step_ns < latency:
            step_ns *= 2
        self._start_window(start + step_ns, 2 * step_ns)
        self._needed = min(self._needed, _PROBE_SAMPLES)

    def _end_probe_step(self, now: int, latency: float, came_from: float) -> None:
        if latency < _PROBE_HELPED * self._probe_latency and self._size > self._rule.min_limit:
            self._shrinking_from = 0.0
            self._start_probe_step(self._window_ends, latency)
            return
        if latency < _SLOWED * self._probe_latency:
            self._refer_to(latency)
        # Where cuts have not helped, it was not our queue: all that they took comes back.
        self._resize(max(came_from, self._shrinking_from))
        self._shrinking_from = 0.0
        self._probe_from = None
        self._start_window(now + int(latency), self._window_ns)

    def _schedule_probe(self, now: int, interval_ns: int) -> None:
        self._probe_at = min(self._probe_at, now + interval_ns - (now + self._epoch_ns) % interval_ns)

    def _refer_to(self, latency: float) -> None:
        """Smooth what may be chance, take over at once what cannot be."""
        usual = self.reference_ns / self._tolerance <= latency <= self.reference_ns * self._tolerance
        self.reference_ns += (_REFERENCE_WEIGHT if usual else 1) * (latency - self.reference_ns)

    def _resize(self, size: float) -> None:
        self._size = min(max(size, self._rule.min_limit), self._rule.max_limit)
        self.limit = int(self._size)

    def _start_window(self, start: int, length_ns: int) -> None:
        self._window_starts = start
        self._window_ends = start + length_ns
        # Fewer while few may be under way: they would take too long to come together.
        self._needed = min(self._rule.window_samples, max(_FEWEST_SAMPLES, _SAMPLES_PER_SLOT * self.limit))
        self._samples = 0
        self._overloads = 0
        self._peak = 0
        self._log_latency = self._log_squares = 0.0
