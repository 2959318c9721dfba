"""The last traces that were kept, so that the gateway explains itself with no backend behind it. Pure.

Failed, slow and other requests have a buffer each, so that a flood of one kind does not wash the others out.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from typing import Final

from services.gateway.timing.finished import FinishedRequest
from services.gateway.timing.keeping import SLOW
from services.gateway.timing.spans import failed
from services.gateway.timing.terms import components_of

# What a request takes in memory, measured: with nothing in it, and for each attempt and each decision.
_REQUEST_BYTES: Final = 1_100
_ATTEMPT_BYTES: Final = 950
_DECISION_BYTES: Final = 400


@dataclass(frozen=True, slots=True)
class Question:
    """Which traces are wanted; None where it does not matter. `dominant` is a term, `route` a route's template."""

    route: str | None = None
    min_ms: float = 0.0
    status: int | None = None
    dominant: str | None = None
    kept: str | None = None
    limit: int = 50

    def wants(self, request: FinishedRequest) -> bool:
        """Whether a request is among them."""
        return (
            self.route in (None, request.template)
            and self.status in (None, request.status)
            and self.kept in (None, request.kept)
            and request.total_ns >= self.min_ms * 1e6
            and (self.dominant is None or self.dominant == components_of(request).latency.dominant)
        )


class RecentTraces:
    """Holds at most `count` requests and about `size` bytes of each of the three kinds."""

    def __init__(self, count: int = 500, size: int = 2 * 1024**2) -> None:
        self._failed = _Ring(count, size)
        self._slow = _Ring(count, size)
        self._others = _Ring(count, size)

    def add(self, request: FinishedRequest) -> None:
        """Remember a request; the oldest of its kind may be forgotten for it."""
        if failed(request.status, request.error):
            ring = self._failed
        else:
            ring = self._slow if request.kept == SLOW else self._others
        ring.add(request, size_of(request))

    def select(self, question: Question) -> list[FinishedRequest]:
        """The latest that answer the question, the newest first."""
        return list(islice((one for one in self._newest_first() if question.wants(one)), question.limit))

    def find(self, trace_id: int) -> list[FinishedRequest]:
        """The requests of one trace, of which a caller may have made several, in their order."""
        return [one for one in self._newest_first() if one.trace_id == trace_id][::-1]

    @property
    def size(self) -> int:
        """About how many bytes all of it takes."""
        return self._failed.size + self._slow.size + self._others.size

    def __len__(self) -> int:
        return len(self._failed) + len(self._slow) + len(self._others)

    def _newest_first(self) -> Iterator[FinishedRequest]:
        rings = (reversed(ring) for ring in (self._failed, self._slow, self._others))
        return merge(*rings, key=lambda one: -one.done_ns)


def size_of(request: FinishedRequest) -> int:
    """About how many bytes a request takes in memory."""
    size = _REQUEST_BYTES + _DECISION_BYTES * len(request.decisions)
    size += len(request.path) + len(request.target) + len(request.trace_state) + len(request.request_id)
    for attempt in request.attempts:
        size += _ATTEMPT_BYTES + len(attempt.detail) + len(attempt.reason)
    return size


class _Ring:
    """The newest of one kind."""

    def __init__(self, count: int, size: int) -> None:
        self._most = count
        self._largest = size
        self._kept: deque[tuple[FinishedRequest, int]] = deque()
        self.size = 0

    def add(self, request: FinishedRequest, size: int) -> None:
        self._kept.append((request, size))
        self.size += size
        while len(self._kept) > self._most or self.size > self._largest:
            self.size -= self._kept.popleft()[1]

    def __reversed__(self) -> Iterator[FinishedRequest]:
        return (request for request, _ in reversed(self._kept))

    def __len__(self) -> int:
        return len(self._kept)
