"""Passive health: replicas that do worse than they should are kept out for a while. Pure.

Four detectors. Two look at each result: gateway errors in a row, and server errors in a row. Two look at
whole intervals and compare the replicas with one another: the share of successes (a number of standard
deviations below the mean, as Envoy has it), and the latency (a multiple of the median of the others).
Source: https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/outlier

Where this differs from Envoy: the last replica is never ejected; growth of the ejection time is taken
back only by an interval with good answers, not by the mere passing of time (Envoy issue 21142), and it never
runs ahead of the longest time (issue 37602); a replica that returns starts with clean counts (issue 40697).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import exp, log, sqrt
from statistics import median
from typing import Final

from services.gateway.resilience.ledger import OK, SERVER_ERROR, UNAVAILABLE, Outcome

_SECOND_NS: Final = 1_000_000_000
_MS_NS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class EjectionRule:
    """When a replica is ejected and for how long; a count or factor of 0 switches its detector off."""

    interval_s: float = 5.0  # what the comparisons between replicas look at
    base_ejection_s: float = 10.0  # times the number of ejections of late
    max_ejection_s: float = 300.0
    jitter_percent: int = 10  # of the ejection time, added at random: replicas should not return in step
    max_ejected_percent: int = 50  # of the set; one may always be ejected, the last one never

    consecutive_gateway_errors: int = 5  # refused, broken, cut short, timed out, 502, 503, 504
    # A run of 500s is often one caller's bug, which the next replica would answer alike: more patience.
    consecutive_server_errors: int = 10  # every 5xx and every gateway error

    success_rate_stdev_factor: float = 1.9  # how many standard deviations below the mean
    success_rate_min_gap_percent: int = 5  # and at least so many points below it
    success_rate_min_endpoints: int = 5  # among fewer, one outlier alone cannot be 1.9 deviations off
    success_rate_min_requests: int = 50  # per replica and interval

    latency_factor: float = 4.0  # how many times the median of the other replicas
    latency_floor_s: float = 0.05  # what is faster than this is never an outlier
    latency_min_endpoints: int = 3
    latency_min_requests: int = 30  # answers below 500, per replica and interval
    latency_intervals: int = 2  # in a row


@dataclass(frozen=True, slots=True)
class Change:
    """A replica left or joined the set; `reason` is a sentence for logs, the admin API and span events."""

    endpoint_id: str
    ejected: bool
    reason: str


class _Record:
    """One replica's counts of the running interval, its runs of errors, and its ejection."""

    __slots__ = (
        "ejected_until",
        "endpoint_id",
        "error_run",
        "failures",
        "gateway_error_run",
        "log_latency",
        "multiplier",
        "reason",
        "slow_intervals",
        "successes",
    )

    def __init__(self, endpoint_id: str) -> None:
        self.endpoint_id = endpoint_id
        self.multiplier = 0
        self.reason = ""
        self.start_afresh()

    def start_afresh(self) -> None:
        self.ejected_until = 0  # 0: not ejected
        self.gateway_error_run = 0
        self.error_run = 0
        self.slow_intervals = 0
        self.start_interval()

    def start_interval(self) -> None:
        self.successes = 0
        self.failures = 0
        self.log_latency = 0.0  # the sum of the logarithms of successes' nanoseconds

    def went_well(self, latency_ns: int) -> None:
        self.successes += 1
        self.gateway_error_run = self.error_run = 0
        self.log_latency += log(latency_ns + 1)

    @property
    def requests(self) -> int:
        return self.successes + self.failures

    @property
    def success_percent(self) -> float:
        return 100 * self.successes / self.requests

    @property
    def typical_latency_ns(self) -> float:
        """The geometric mean: one export of a minute among fifty reads does not make a slow replica."""
        return exp(self.log_latency / self.successes)


class OutlierDetector:
    """Watches the replicas of one upstream. `random` gives floats in [0, 1).

    `on_result` is for every attempt, `sweep` for a periodic timer (a few times per `interval_s` or oftener:
    it notices itself when an interval is over). What either returns is news for the balancer and the log.
    """

    __slots__ = ("_interval_ends", "_interval_ns", "_random", "_records", "_rule")

    def __init__(
        self, rule: EjectionRule, endpoint_ids: Iterable[str], now: int, random: Callable[[], float]
    ) -> None:
        self._rule = rule
        self._random = random
        self._interval_ns = int(rule.interval_s * _SECOND_NS)
        self._interval_ends = now + self._interval_ns
        self._records = {endpoint_id: _Record(endpoint_id) for endpoint_id in endpoint_ids}

    def set_endpoints(self, endpoint_ids: Iterable[str]) -> None:
        """The set has changed: who stays keeps their record, who leaves is forgotten."""
        self._records = {one: self._records.get(one) or _Record(one) for one in endpoint_ids}

    def went_well(self, endpoint_id: str, latency_ns: int) -> None:
        """An attempt ended with `OK`: as `on_result`, in fewer steps."""
        record = self._records.get(endpoint_id)
        if record is not None and not record.ejected_until:
            record.went_well(latency_ns)

    def on_result(self, endpoint_id: str, now: int, outcome: Outcome, latency_ns: int) -> Change | None:
        """Take note of how an attempt ended, `latency_ns` after it began (only successes' latency is used)."""
        record = self._records.get(endpoint_id)
        if record is None or record.ejected_until:
            return None  # what was under way when the replica left says nothing new
        if outcome is OK:
            record.went_well(latency_ns)
            return None
        if outcome < SERVER_ERROR:
            return None  # nothing that would tell of the replica
        return self._on_failure(record, now, outcome)

    def sweep(self, now: int) -> list[Change]:
        """Return those whose time is up; after each interval, compare the replicas with one another."""
        changes = [
            self._return(record, "its time is up")
            for record in self._ejected()
            if now >= record.ejected_until
        ]
        soonest_first = sorted(self._ejected(), key=lambda one: one.ejected_until)
        for record in soonest_first[: max(0, len(soonest_first) - self._allowed())]:
            changes.append(self._return(record, "the set has become too small to do without it"))
        if now >= self._interval_ends:
            self._interval_ends = now + self._interval_ns
            changes += self._compare(now)
        return changes

    def restore(self, endpoint_id: str, reason: str) -> Change | None:
        """Let a replica return before its time: an operator says so, or an active check is good again."""
        record = self._records.get(endpoint_id)
        return self._return(record, reason) if record and record.ejected_until else None

    def is_ejected(self, endpoint_id: str) -> bool:
        """Whether a replica is kept out at present."""
        record = self._records.get(endpoint_id)
        return record is not None and record.ejected_until != 0

    def describe(self, now: int) -> dict[str, dict[str, object]]:
        """Every replica's state as JSON, for the admin API; `returns_in_s` is `None` unless it is ejected."""
        return {
            record.endpoint_id: {
                "ejected": record.ejected_until != 0,
                "returns_in_s": max(0, record.ejected_until - now) / _SECOND_NS
                if record.ejected_until
                else None,
                "reason": record.reason,
                "recent_ejections": record.multiplier,
                "gateway_errors_in_a_row": record.gateway_error_run,
                "server_errors_in_a_row": record.error_run,
            }
            for record in self._records.values()
        }

    def _on_failure(self, record: _Record, now: int, outcome: Outcome) -> Change | None:
        rule = self._rule
        record.failures += 1
        record.error_run += 1
        if outcome >= UNAVAILABLE:
            record.gateway_error_run += 1
            if 0 < rule.consecutive_gateway_errors <= record.gateway_error_run:
                run = f"{record.gateway_error_run} gateway errors in a row, the last {outcome.label}"
                return self._eject(record, now, run)
        else:
            record.gateway_error_run = 0
        if 0 < rule.consecutive_server_errors <= record.error_run:
            return self._eject(record, now, f"{record.error_run} server errors in a row")
        return None

    def _compare(self, now: int) -> list[Change]:
        present = [record for record in self._records.values() if not record.ejected_until]
        found = [*self._failing(present), *self._slow(present)]
        ejections = [self._eject(record, now, why) for record, why in found if not record.ejected_until]
        for record in present:
            if not record.ejected_until and record.successes > record.failures:
                record.multiplier = max(0, record.multiplier - 1)
            record.start_interval()
        return [change for change in ejections if change is not None]

    def _failing(self, present: list[_Record]) -> list[tuple[_Record, str]]:
        """Who succeeds too rarely, the worst first."""
        rule = self._rule
        judged = [record for record in present if record.requests >= rule.success_rate_min_requests]
        if not rule.success_rate_stdev_factor or len(judged) < max(2, rule.success_rate_min_endpoints):
            return []
        mean = sum(record.success_percent for record in judged) / len(judged)
        deviation = sqrt(sum((record.success_percent - mean) ** 2 for record in judged) / len(judged))
        gap = max(rule.success_rate_stdev_factor * deviation, rule.success_rate_min_gap_percent)
        return [
            (
                record,
                f"{record.success_percent:.1f} % of {record.requests} requests succeeded, "
                f"the mean of the set is {mean:.1f} %",
            )
            for record in sorted(judged, key=lambda one: one.success_percent)
            if record.success_percent < mean - gap
        ]

    def _slow(self, present: list[_Record]) -> list[tuple[_Record, str]]:
        """Who has been slow for long enough, the slowest first."""
        rule = self._rule
        judged = [record for record in present if record.successes >= max(1, rule.latency_min_requests)]
        if not rule.latency_factor or len(judged) < max(2, rule.latency_min_endpoints):
            return []
        outliers = []
        for record in sorted(judged, key=lambda one: -one.typical_latency_ns):
            others = median(one.typical_latency_ns for one in judged if one is not record)
            typical = record.typical_latency_ns
            slow = typical >= max(rule.latency_factor * others, rule.latency_floor_s * _SECOND_NS)
            record.slow_intervals = record.slow_intervals + 1 if slow else 0
            if slow and record.slow_intervals >= rule.latency_intervals:
                why = (
                    f"its typical latency of {typical / _MS_NS:.1f} ms is {typical / others:.1f} times "
                    f"the median of the others ({others / _MS_NS:.1f} ms)"
                )
                outliers.append((record, why))
        return outliers

    def _eject(self, record: _Record, now: int, why: str) -> Change | None:
        if len(self._ejected()) >= self._allowed():
            return None
        rule = self._rule
        time_s = min(rule.base_ejection_s * (record.multiplier + 1), rule.max_ejection_s)
        if time_s < rule.max_ejection_s:
            record.multiplier += 1
        time_ns = int(time_s * _SECOND_NS * (1 + self._random() * rule.jitter_percent / 100))
        record.ejected_until = now + time_ns
        record.reason = f"Ejected for {time_ns / _SECOND_NS:.1f} s: {why}."
        return Change(record.endpoint_id, ejected=True, reason=record.reason)

    def _ejected(self) -> list[_Record]:
        return [record for record in self._records.values() if record.ejected_until]

    def _allowed(self) -> int:
        """How many of the set may be out at once."""
        size = len(self._records)
        return min(size - 1, max(1, size * self._rule.max_ejected_percent // 100))

    def _return(self, record: _Record, why: str) -> Change:
        record.start_afresh()
        record.reason = f"Returned: {why}."
        return Change(record.endpoint_id, ejected=False, reason=record.reason)
