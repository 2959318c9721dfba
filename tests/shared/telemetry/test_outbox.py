import logging
from collections.abc import Iterable
from threading import Event, Thread

import pytest
from opentelemetry.trace import SpanKind

from shared.telemetry.outbox import OutboxLimits, SpanOutbox
from shared.telemetry.spans import SpanRecord

NEVER_S = 3_600.0
PATIENCE_S = 30.0


def record(number: int = 1) -> SpanRecord:
    return SpanRecord(1, number, 0, SpanKind.SERVER, "GET", 10, 20, {})


class Collector:
    """Keeps what it is sent, unless told to refuse, to raise, or to hang until it is shut down."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.refusing = False
        self.raising: Exception | None = None
        self.hanging = False
        self.hung = Event()
        self.arrived = Event()
        self.stopped = Event()

    def export(self, records: Iterable[SpanRecord]) -> bool:
        if self.hanging:
            self.hung.set()
            self.stopped.wait()
            return False
        if self.raising is not None:
            raise self.raising
        if self.refusing:
            return False
        self.batches.append([record.span_id for record in records])
        self.arrived.set()
        return True

    def shutdown(self) -> None:
        self.stopped.set()


def test_a_full_batch_goes_at_once_and_the_rest_at_the_shutdown() -> None:
    collector = Collector()
    outbox = SpanOutbox(collector, OutboxLimits(100, 4, NEVER_S))
    for number in range(1, 7):
        outbox.put([record(number)])
    assert collector.arrived.wait(PATIENCE_S)
    outbox.shutdown(PATIENCE_S)
    assert [number for batch in collector.batches for number in batch] == [1, 2, 3, 4, 5, 6]
    assert len(collector.batches[0]) >= 4
    assert (outbox.sent, outbox.failed, outbox.dropped, outbox.waiting) == (6, 0, 0, 0)
    assert collector.stopped.is_set()


def test_what_is_no_batch_goes_when_its_time_has_come() -> None:
    collector = Collector()
    outbox = SpanOutbox(collector, OutboxLimits(100, 50, 0.01))
    outbox.put([record()])
    assert collector.arrived.wait(PATIENCE_S)
    outbox.shutdown(PATIENCE_S)
    assert outbox.sent == 1


def test_a_request_finds_room_as_a_whole_or_is_dropped() -> None:
    collector = Collector()
    outbox = SpanOutbox(collector, OutboxLimits(3, 3, NEVER_S))
    collector.hanging = True
    outbox.put([record()] * 3)
    assert collector.hung.wait(PATIENCE_S)  # these three have left the queue
    outbox.put([record()] * 2)
    outbox.put([record()] * 2)
    outbox.put([record()])
    assert (outbox.dropped, outbox.waiting) == (2, 6)
    outbox.shutdown(0.01)


def test_a_shutdown_that_cannot_wait_counts_what_is_left() -> None:
    collector = Collector()
    collector.hanging = True
    outbox = SpanOutbox(collector, OutboxLimits(10, 2, NEVER_S))
    outbox.put([record()] * 2)
    assert collector.hung.wait(PATIENCE_S)
    outbox.put([record()] * 3)
    outbox.shutdown(0.01)
    outbox.put([record()] * 4)
    outbox.shutdown(0.01)
    assert (outbox.sent, outbox.failed, outbox.dropped, outbox.waiting) == (0, 2, 7, 0)


def test_refused_batches_are_failures_and_the_next_ones_go() -> None:
    collector = Collector()
    collector.refusing = True
    outbox = SpanOutbox(collector, OutboxLimits(100, 1, NEVER_S))
    outbox.put([record()])
    while outbox.waiting:
        Event().wait(0.001)
    collector.refusing = False
    outbox.put([record()])
    outbox.shutdown(PATIENCE_S)
    assert (outbox.sent, outbox.failed, outbox.dropped) == (1, 1, 0)


def test_a_defect_of_the_exporter_is_logged_and_costs_its_batch_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    collector = Collector()
    collector.raising = RuntimeError("no such encoding")
    outbox = SpanOutbox(collector, OutboxLimits(100, 1, NEVER_S))
    with caplog.at_level(logging.ERROR):
        outbox.put([record()])
        while outbox.waiting:
            Event().wait(0.001)
    assert "no such encoding" in caplog.text
    collector.raising = None
    outbox.put([record()])
    outbox.shutdown(PATIENCE_S)
    assert (outbox.sent, outbox.failed) == (1, 1)


def test_every_record_is_counted_once_whoever_puts_it() -> None:
    collector = Collector()
    outbox = SpanOutbox(collector, OutboxLimits(50, 7, 0.001))

    def put_many() -> None:
        for _ in range(2_000):
            outbox.put([record()] * 3)

    threads = [Thread(target=put_many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outbox.shutdown(PATIENCE_S)
    assert outbox.sent == sum(map(len, collector.batches))
    assert outbox.sent + outbox.dropped + outbox.failed == 4 * 2_000 * 3
