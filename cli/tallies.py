"""What the metrics of one window say of each route and of each hop."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from cli.scraping import REQUESTS, TERMS, Labels, Window, failed
from shared.telemetry.formulas import error_rate, histogram_quantile, throughput

COMPONENTS: Final = ("processing", "network", "system")


def _numbers() -> dict[str, float]:
    return defaultdict(float)


@dataclass(slots=True)
class Tally:
    """The requests of one route, or of one hop, in one window of `seconds`."""

    seconds: float
    requests: float = 0.0
    failed: float = 0.0
    duration_s: float = 0.0
    """Of all requests together."""
    buckets: dict[float, float] = field(default_factory=lambda: defaultdict(float))
    term_sums_s: dict[str, float] = field(default_factory=_numbers)
    term_counts: dict[str, float] = field(default_factory=_numbers)

    @property
    def rate(self) -> float:
        """Requests per second."""
        return throughput(self.requests, self.seconds) or 0.0

    @property
    def error_rate(self) -> float | None:
        """The share that failed."""
        return error_rate(self.failed, self.requests)

    @property
    def mean_s(self) -> float | None:
        """The mean response time."""
        return self.duration_s / self.requests if self.requests else None

    def quantile_s(self, quantile: float) -> float | None:
        """The response time that so large a share does not exceed, as Prometheus estimates it."""
        return histogram_quantile(quantile, self.buckets)

    def term_s(self, component: str) -> float | None:
        """The mean of one of the three terms."""
        count = self.term_counts.get(component)
        return self.term_sums_s.get(component, 0.0) / count if count else None

    @property
    def dominant(self) -> str | None:
        """The largest of the three terms; of equal ones the first."""
        known = {name: mean for name in COMPONENTS if (mean := self.term_s(name)) is not None}
        return max(known, key=known.__getitem__, default=None)


def tallies(window: Window, label: str, hop: str | None = None) -> dict[str, Tally]:
    """The requests of a window by a label, the busiest first; of one hop, or of all of them.

    A label that is not told is empty, as a request's route is when none fits.
    """
    found: dict[str, Tally] = defaultdict(lambda: Tally(window.seconds))

    def grown(name: str) -> Iterator[tuple[Tally, Labels, float]]:
        for labels, increase in window.increases(name):
            if increase and "hop" in labels and hop in (None, labels["hop"]):
                yield found[labels.get(label, "")], labels, increase

    for tally, labels, increase in grown(f"{REQUESTS}_count"):
        tally.requests += increase
        tally.failed += increase if failed(labels) else 0.0
    for tally, _, increase in grown(f"{REQUESTS}_sum"):
        tally.duration_s += increase
    for tally, labels, increase in grown(f"{REQUESTS}_bucket"):
        tally.buckets[float(labels["le"])] += increase
    for tally, labels, increase in grown(f"{TERMS}_sum"):
        tally.term_sums_s[labels["component"]] += increase
    for tally, labels, increase in grown(f"{TERMS}_count"):
        tally.term_counts[labels["component"]] += increase
    return dict(sorted(found.items(), key=lambda one: (-one[1].rate, one[0])))
