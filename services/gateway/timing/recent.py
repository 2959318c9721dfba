"""The last traces that were kept, so that the gateway explains itself with no backend behind it. Pure.

Failed, slow and other requests have a buffer each, so that a flood of one kind does not wash the others out.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from typing import Final, NamedTuple

from services.gateway.timing.finished import FinishedRequest
from services.gateway.timing.keeping import SLOW
from services.gateway.timing.spans import failed
from services.gateway.timing.terms import Components

# What a request takes in memory, measured: with nothing in it, and for each attempt and each decision.
_REQUEST_BYTES: Final = 1_100
_ATTEMPT_BYTES: Final = 950
_DECISION_BYTES: Final = 400


class Kept(NamedTuple):
    """A request and what its time was made of."""

    request: FinishedRequest
    components: Components

    @property
    def failed(self) -> bool:
        """Whether it counts as an error."""
        return failed(self.request.status, self.request.error)

    @property
    def size(self) -> int:
        """About how many bytes it takes in memory."""
        request = self.request
        texts = len(request.path) + len(request.target) + len(request.trace_state) + len(request.request_id)
        details = sum(len(attempt.detail) + len(attempt.reason) for attempt in request.attempts)
        return (
            _REQUEST_BYTES
            + _ATTEMPT_BYTES * len(request.attempts)
            + _DECISION_BYTES * len(request.decisions)
            + texts
            + details
        )


@dataclass(frozen=True, slots=True)
class Question:
    """Which traces are wanted; None where it does not matter. `dominant` is a term, `route` a route's template."""

    route: str | None = None
    min_ms: float = 0.0
    status: int | None = None
    dominant: str | None = None
    kept: str | None = None
    limit: int = 50

    def wants(self, one: Kept) -> bool:
        """Whether a request is among them."""
        request = one.request
        return (
            self.route in (None, request.template)
            and self.status in (None, request.status)
            and self.kept in (None, request.kept)
            and request.total_ns >= self.min_ms * 1e6
            and self.dominant in (None, one.components.latency.dominant)
        )


class RecentTraces:
    """Holds at most `count` requests and about `size` bytes of each of the three kinds."""

    def __init__(self, count: int = 500, size: int = 2 * 1024**2) -> None:
        self._failed = _Ring(count, size)
        self._slow = _Ring(count, size)
        self._others = _Ring(count, size)

    def add(self, one: Kept) -> None:
        """Remember a request; the oldest of its kind may be forgotten for it."""
        ring = self._failed if one.failed else self._slow if one.request.kept == SLOW else self._others
        ring.add(one)

    def select(self, question: Question) -> list[Kept]:
        """The latest that answer the question, the newest first."""
        return list(islice((one for one in self._newest_first() if question.wants(one)), question.limit))

    def find(self, trace_id: int) -> list[Kept]:
        """The requests of one trace, of which a caller may have made several, in their order."""
        return [one for one in self._newest_first() if one.request.trace_id == trace_id][::-1]

    @property
    def size(self) -> int:
        """About how many bytes all of it takes."""
        return self._failed.size + self._slow.size + self._others.size

    def __len__(self) -> int:
        return len(self._failed) + len(self._slow) + len(self._others)

    def _newest_first(self) -> Iterator[Kept]:
        rings = (reversed(ring) for ring in (self._failed, self._slow, self._others))
        return merge(*rings, key=lambda one: -one.request.done_ns)


class _Ring:
    """The newest of one kind."""

    def __init__(self, count: int, size: int) -> None:
        self._most = count
        self._largest = size
        self._kept: deque[Kept] = deque()
        self.size = 0

    def add(self, one: Kept) -> None:
        self._kept.append(one)
        self.size += one.size
        while len(self._kept) > self._most or self.size > self._largest:
            self.size -= self._kept.popleft().size

    def __reversed__(self) -> Iterator[Kept]:
        return reversed(self._kept)

    def __len__(self) -> int:
        return len(self._kept)
