"""All workers' figures, added up: the parent's side.

Prometheus sees one gateway, whichever worker would answer, so that a count must not fall when a worker dies: it would
take the fall for a restart of all of them, and count once more what the others have. So the parent keeps what a worker
told last. One that drains tells its figures at its end, and nothing is lost; with one that is killed is lost what it
counted since the last scrape, as it is with any process. Gauges end with their process.
"""

from collections.abc import Hashable, Iterable
from typing import Any

from services.gateway.metrics.definitions import CATALOGUE
from shared.telemetry.metrics.definitions import SERVING_TIME
from shared.telemetry.metrics.families import Family, Number, from_json, lasting, merged
from shared.telemetry.metrics.health import ServingTime


class FleetFigures:
    """A process is whatever the caller knows it by. Readings are nanoseconds of a monotonic clock."""

    def __init__(self) -> None:
        self._latest: dict[Hashable, list[Family]] = {}
        self._departed: list[Family] = []
        self._ready: set[Hashable] = set()
        self._serving = ServingTime()

    def began(self, process: Hashable, now_ns: int) -> None:
        """A worker serves."""
        self._ready.add(process)
        self._serving.found(True, now_ns)

    def told(self, process: Hashable, document: Iterable[Any]) -> None:
        """What a worker has counted so far, as JSON."""
        self._latest[process] = from_json(document, CATALOGUE)

    def stopped(self, process: Hashable, now_ns: int) -> None:
        """A worker serves no more; it may still have something to tell."""
        self._ready.discard(process)
        self._serving.found(bool(self._ready), now_ns)

    def ended(self, process: Hashable, last_words: Iterable[Any] | None, now_ns: int) -> None:
        """A worker's process has ended, after its last words or without any. May be told again."""
        self.stopped(process, now_ns)
        if last_words is not None:
            self.told(process, last_words)
        self._departed = merged([self._departed, lasting(self._latest.pop(process, []))])

    def families(self, now_ns: int) -> list[Family]:
        """Everything together. The gateway serves as long as any worker does."""
        together = [
            family
            for family in merged([self._departed, *self._latest.values()])
            if family.metric != SERVING_TIME
        ]
        return [
            *together,
            Family(SERVING_TIME, [Number(("gateway",), self._serving.served_ns(now_ns) / 1e9)]),
        ]
