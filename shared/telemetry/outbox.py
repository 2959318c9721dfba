"""Finished spans on their way out: a bounded queue and the thread that empties it.

Whoever records a span pays for an append. Encoding and sending are the thread's, in batches, and a collector that is
slow or away costs spans, counted, and never a request.
"""

import logging
from collections import deque
from collections.abc import Sequence
from threading import Event, Lock, Thread
from typing import NamedTuple, Protocol

from shared.telemetry.spans import SpanRecord

_logger = logging.getLogger(__name__)


class SpanExporter(Protocol):
    """Where batches go; called on the outbox's thread."""

    def export(self, records: Sequence[SpanRecord]) -> bool:
        """Send a batch, trying again where that may help; False when it was given up."""

    def shutdown(self) -> None:
        """Give up what is being sent, from any thread. May be called more than once."""


class OutboxLimits(NamedTuple):
    """`capacity` records wait at most, besides the batch being sent. They go in batches of `batch`, as soon as there
    are so many and at the latest every `every_s` seconds."""

    capacity: int = 8_192
    batch: int = 512
    every_s: float = 1.0


class SpanOutbox:
    """Takes records from any thread. Each is counted exactly once in the end: `sent`, `failed` or `dropped`.

    dropped   did not fit in, came too late, or was still waiting when time was up at the shutdown
    failed    was in a batch that the exporter gave up
    """

    def __init__(self, exporter: SpanExporter, limits: OutboxLimits | None = None) -> None:
        self._exporter = exporter
        self._limits = limits or OutboxLimits()
        self.sent = 0
        self.failed = 0
        self.dropped = 0
        self._waiting: deque[SpanRecord] = deque()
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
        """Records that are neither sent nor lost yet."""
        return len(self._waiting) + self._under_way

    def put(self, records: Sequence[SpanRecord]) -> None:
        """Take the spans of one request; all of them, or none when there is no room. Never blocks, never raises."""
        with self._putting:
            waiting = len(self._waiting) + len(records)
            if self._closed or waiting > self._limits.capacity:
                self.dropped += len(records)
                return
            self._waiting.extend(records)
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
            self.dropped += len(self._waiting)
            self._waiting.clear()

    def _run(self) -> None:
        while not self._closed:
            self._due.wait(self._limits.every_s)
            self._due.clear()
            batch = self._take()
            while batch:
                self._send(batch)
                # A rest that is no batch waits for company.
                batch = self._take() if len(self._waiting) >= self._limits.batch else []
        while batch := self._take():
            self._send(batch)

    def _take(self) -> list[SpanRecord]:
        with self._counting:
            if self._abandoned:
                return []
            number = min(len(self._waiting), self._limits.batch)
            self._under_way = number  # first, so that nothing is ever in neither place
            return [self._waiting.popleft() for _ in range(number)]

    def _send(self, batch: Sequence[SpanRecord]) -> None:
        try:
            accepted = self._exporter.export(batch)
        except Exception:  # the thread must go on: the next batch may be in better shape
            _logger.exception("A batch of %d spans could not be exported.", len(batch))
            accepted = False
        with self._counting:
            if self._abandoned:
                return
            self._under_way = 0
            if accepted:
                self.sent += len(batch)
            else:
                self.failed += len(batch)
