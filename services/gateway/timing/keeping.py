"""Which requests are kept as traces: those sampled, those asked for, those that failed, and the slow. Pure.

Before a request goes out, the trace id alone says whether it is sampled, so that every hop decides alike, and an
operator may have asked for its route or its tenant. The gateway passes that decision on in its `traceparent`.
When a request is over, an error or its slowness keeps it as well, with the services' part told by their terms.

What callers say has no part in it: their flags neither force recording nor stop it, and there is no header with
a secret that would, as such a header ends up in logs and can be sent again. Operators ask by the admin API.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from services.gateway.resilience.hedging import LatencyHistogram

# Why a request is kept; "" when it is not.
SAMPLED: Final = "sampled"
ASKED: Final = "asked"
ERROR: Final = "error"
SLOW: Final = "slow"
RECENT: Final = "recent"

_RANDOM_DIGITS: Final = 16
_MOST_ROUTES: Final = 1_000
_NEVER_NS: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class KeepingRule:
    """`share` (0 to 1) of the traces are sampled. A request is slow from its route's `slow_s` on, or where its route
    has none, when it is slower than `slow_percentile` percent of the route's last requests and takes `slow_min_s`.
    Routes are known by their names here.

    Besides, one request every `recent_every_s` is remembered, though not exported, so that there is always
    something to look at.
    """

    share: float = 1.0
    slow_s: Mapping[str, float] = field(default_factory=dict)
    slow_percentile: float = 99.5
    slow_min_s: float = 0.025
    min_samples: int = 200
    half_life_s: float = 60.0
    refresh_s: float = 1.0
    recent_every_s: float = 0.1


@dataclass(slots=True)
class Recording:
    """An operator wants requests to be kept: those of a route, of a tenant, or all, until then, and so many at most."""

    route: str | None
    tenant: UUID | None
    until_ns: int
    left: int

    def wants(self, route: str, tenant: UUID | None, now_ns: int) -> bool:
        """Whether it is meant for such a request."""
        return (
            self.left > 0
            and now_ns < self.until_ns
            and self.route in (None, route)
            and self.tenant in (None, tenant)
        )


class Share:
    """A share (0 to 1) of all traces, chosen by their ids alone.

    An id's 32 lower-case hexadecimal digits compare as the numbers do: the same decision as
    `shared.telemetry.sampling` makes.
    """

    __slots__ = ("_all", "_bound")

    def __init__(self, share: float) -> None:
        self._all = share >= 1.0
        self._bound = b"%016x" % round(share * (1 << 64))

    def has(self, trace_id: bytes) -> bool:
        """Whether the trace is in it."""
        return self._all or trace_id[_RANDOM_DIGITS:] < self._bound


class Keeping:
    """The decisions of one process. All times are readings of the monotonic clock in nanoseconds."""

    def __init__(self, rule: KeepingRule, now_ns: int) -> None:
        self._recordings: list[Recording] = []
        self._slow: dict[str, _Slow] = {}
        self._recent_at_ns = now_ns
        self._go_by(rule)

    def configure(self, rule: KeepingRule) -> None:
        """Go by a rule from now on; if it is another one, what was learnt of the routes is learnt anew."""
        if rule != self._rule:
            self._go_by(rule)

    def _go_by(self, rule: KeepingRule) -> None:
        self._rule = rule
        self._share = Share(rule.share)
        self._recent_every_ns = int(rule.recent_every_s * 1e9)
        self._slow.clear()

    def record(self, recording: Recording) -> None:
        """Keep what an operator asks for; an order for the same requests takes the place of the one before."""
        self.forget(recording.route, recording.tenant)
        self._recordings.append(recording)

    def forget(self, route: str | None, tenant: UUID | None) -> None:
        """Withdraw the order for these requests."""
        self._recordings = [one for one in self._recordings if (one.route, one.tenant) != (route, tenant)]

    def recordings(self, now_ns: int) -> list[Recording]:
        """The orders in force."""
        self._recordings = [one for one in self._recordings if one.left > 0 and now_ns < one.until_ns]
        return list(self._recordings)

    def before(self, trace_id: bytes, route: str, tenant: UUID | None, now_ns: int) -> str:
        """Why a request that is about to go out is kept: `ASKED`, `SAMPLED` or "". Counts against orders."""
        for one in self._recordings:
            if one.wants(route, tenant, now_ns):
                one.left -= 1
                return ASKED
        return SAMPLED if self._share.has(trace_id) else ""

    def after(self, before: str, route: str, total_ns: int, failed: bool, now_ns: int) -> str:
        """Why a request that is over is kept, or "". To be asked of every request, once: it learns from each.

        `route` is the route's name, or what stands for it where none was found; `before` is what `before` said of the
        request. Of several reasons the first counts: asked, error, slow, sampled.
        """
        known = self._slow.get(route)
        if known is None:
            known = self._learn(route, now_ns)
        slow = known.judge(total_ns, now_ns)
        if before == ASKED:
            return ASKED
        if failed:
            return ERROR
        if slow:
            return SLOW
        if not before and now_ns >= self._recent_at_ns:
            self._recent_at_ns = now_ns + self._recent_every_ns
            return RECENT
        return before

    def thresholds(self) -> dict[str, float | None]:
        """From how many seconds on a request of each route is slow; None while that is not known."""
        return {route: slow.threshold_s for route, slow in self._slow.items()}

    def _learn(self, route: str, now_ns: int) -> "_Slow":
        if len(self._slow) >= _MOST_ROUTES:
            self._slow.clear()
        slow = self._slow[route] = _Slow(self._rule, self._rule.slow_s.get(route), now_ns)
        return slow


class _Slow:
    """From when on a request of one route is slow."""

    __slots__ = ("_histogram", "_refresh_at_ns", "_rule", "_threshold_ns")

    def __init__(self, rule: KeepingRule, fixed_s: float | None, now_ns: int) -> None:
        self._rule = rule
        self._histogram = LatencyHistogram(rule.half_life_s, now_ns) if fixed_s is None else None
        self._threshold_ns = _NEVER_NS if fixed_s is None else int(fixed_s * 1e9)
        self._refresh_at_ns = now_ns + int(rule.refresh_s * 1e9)

    @property
    def threshold_s(self) -> float | None:
        return None if self._threshold_ns == _NEVER_NS else self._threshold_ns / 1e9

    def judge(self, total_ns: int, now_ns: int) -> bool:
        """Whether a request was slow by what was known before it; its own duration is learnt from."""
        histogram = self._histogram
        if histogram is not None:
            histogram.add(total_ns)
            if now_ns >= self._refresh_at_ns:
                self._refresh(histogram, now_ns)
        return total_ns >= self._threshold_ns

    def _refresh(self, histogram: LatencyHistogram, now_ns: int) -> None:
        rule = self._rule
        self._refresh_at_ns = now_ns + int(rule.refresh_s * 1e9)
        histogram.age(now_ns)
        if histogram.size() >= rule.min_samples:
            learnt_ns = histogram.percentile(rule.slow_percentile)
            self._threshold_ns = max(learnt_ns + 1, int(rule.slow_min_s * 1e9))
