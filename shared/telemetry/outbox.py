"""Finished spans on their way out: a bounded queue and the thread that empties it.

Whoever records a span pays for an append. Encoding and sending are the thread's, in batches, and a collector that is
slow or away costs spans, counted, and never a request.
"""

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain
from threading import Event, Lock, Thread
from typing import NamedTuple, Protocol

from shared.telemetry.spans import SpanRecord

_logger = logging.getLogger(__name__)


class Spans(Protocol):
    """The spans of one request: a list of records, or something that makes them when the thread comes to it."""

    def __len__(self) -> int:
        """How many there are, known before they are made."""

    def __iter__(self) -> Iterator[SpanRecord]:
        """Each once."""


class SpanExporter(Protocol):
    """Where batches go; called on the outbox's thread."""

    def export(self, records: Iterable[SpanRecord]) -> bool:
        """Send a batch, trying again where that may help; False when it was given up."""

    def shutdown(self) -> None:
        """Give up what is being sent, from any thread. May be called more than once."""


class OutboxLimits(NamedTuple):
    """`capacity` spans wait at most, besides the batch being sent. They go in batches of at most `batch`, or of one
    request that has more, as soon as there are so many and at the latest every `every_s` seconds."""

    capacity: int = 8_192
    batch: int = 512
    every_s: float = 1.0


class SpanOutbox:
    """Takes spans from any thread. Each is counted exactly once in the end: `sent`, `failed` or `dropped`.

    dropped   did not fit in, came too late, or was still waiting when time was up at the shutdown
    failed    was in a batch that the exporter gave up
    """

    def __init__(self, exporter: SpanExporter, limits: OutboxLimits | None = None) -> None:
        self._exporter = exporter
        self._limits = limits or OutboxLimits()
        self.sent = 0
        self.failed = 0
        self.dropped = 0
        self._waiting: deque[Spans] = deque()
        self._put = 0
        self._taken = 0
        # Only those who put share this one. The exporting thread takes from the other end, which is atomic, so that an
        # event loop never waits for it.
        self._putting = Lock()
        self._due = Event()
        self._closed = False
        # Of the batch under way: who counts it, the thread or a shutdown that could not wait for it.
        self._counting = Lock()
        self._under_way = 0
        self._abandoned = False
        self._thread = Thread(target=self._run, name="span-outbox", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Spans that are neither sent nor lost yet."""
        return self._put - self._taken + self._under_way

    def put(self, spans: Spans) -> None:
        """Take the spans of one request; all of them, or none when there is no room. Never blocks, never raises.

        Their number changes no more.
        """
        number = len(spans)
        with self._putting:
            waiting = self._put + number - self._taken
            if self._closed or waiting > self._limits.capacity:
                self.dropped += number
                return
            self._put += number
            self._waiting.append(spans)
        if waiting >= self._limits.batch and not self._due.is_set():
            self._due.set()

    def shutdown(self, timeout_s: float) -> None:
        """Send what is waiting, for at most about `timeout_s` seconds, and stop. Blocks. May be called again."""
        with self._putting:
            closed, self._closed = self._closed, True
        self._due.set()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            self._abandon()
        self._exporter.shutdown()
        if not closed and self.failed + self.dropped:
            _logger.warning(
                "Of the spans %d were sent; %d failed, %d dropped.", self.sent, self.failed, self.dropped
            )

    def _abandon(self) -> None:
        """Count what the thread did not get to; nothing is put any more."""
        with self._counting:
            self._abandoned = True
            self.failed += self._under_way
            self._under_way = 0
            self.dropped += self._put - self._taken
            self._taken = self._put
            self._waiting.clear()

    def _run(self) -> None:
        while not self._closed:
            self._due.wait(self._limits.every_s)
            self._due.clear()
            self._send_batch()
            while self._put - self._taken >= self._limits.batch:  # a rest that is no batch waits for company
                self._send_batch()
        while self._waiting:
            self._send_batch()

    def _send_batch(self) -> None:
        batch = self._take()
        if not batch:
            return
        try:
            accepted = self._exporter.export(chain.from_iterable(batch))
        except Exception:  # the thread must go on: the next batch may be in better shape
            _logger.exception("A batch of %d spans could not be exported.", self._under_way)
            accepted = False
        with self._counting:
            if self._abandoned:
                return
            if accepted:
                self.sent += self._under_way
            else:
                self.failed += self._under_way
            self._under_way = 0

    def _take(self) -> list[Spans]:
        batch: list[Spans] = []
        with self._counting:
            while self._waiting and not self._abandoned:
                number = len(self._waiting[0])
                if batch and self._under_way + number > self._limits.batch:
                    break
                batch.append(self._waiting.popleft())
                self._under_way += number  # first, so that nothing is ever in neither place
                self._taken += number
        return batch
