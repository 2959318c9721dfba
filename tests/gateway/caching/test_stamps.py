"""Stamps: what invalidates what, by one worker and by several."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from uuid import UUID

import pytest

from services.gateway.caching.stamps import CELLS, MOST_ROWS, Stamps, StampsFile, scope_of
from tests.gateway.caching.stamping import SCOPE, missed, tag

ADA, BOB = UUID(int=1), UUID(int=2)
CUSTOMERS = scope_of("customers", ADA)


@pytest.fixture
def stamps() -> Iterator[Stamps]:
    made = Stamps.private()
    yield made
    made.close()


def changed(stamps: Stamps, tags: list[bytes], since_ns: int, scope: bytes = CUSTOMERS) -> bool:
    return stamps.changed_since(stamps.slots(scope, tags), since_ns)


def test_an_entry_lives_until_one_of_its_tags_is_stamped(stamps: Stamps) -> None:
    tags = [b"contacts", b"contacts/1"]
    assert not changed(stamps, tags, 100)
    stamps.stamp(CUSTOMERS, [b"contacts/1", b"contacts/*"], 100)
    assert changed(stamps, tags, 99)
    assert changed(stamps, tags, 100)  # sent at the very instant: who knows which was first
    assert not changed(stamps, tags, 101)


@pytest.mark.parametrize(
    ("scope", "tags"),
    [
        (CUSTOMERS, [b"contacts", b"contacts/2"]),
        (scope_of("customers", BOB), [b"contacts/1"]),
        (scope_of("sales", ADA), [b"contacts/1"]),
        (scope_of("customers"), [b"contacts/1"]),
        (CUSTOMERS, []),
    ],
)
def test_others_are_left_alone(stamps: Stamps, scope: bytes, tags: list[bytes]) -> None:
    stamps.stamp(CUSTOMERS, [b"contacts/1"], 100)
    assert not changed(stamps, tags, 50, scope)


@pytest.mark.parametrize(
    ("stamped", "upstream", "tenant", "expected"),
    [
        (CUSTOMERS, "customers", ADA, True),
        (CUSTOMERS, "customers", BOB, False),
        (CUSTOMERS, "customers", None, False),
        (CUSTOMERS, "sales", ADA, False),
        (scope_of("customers"), "customers", ADA, True),
        (scope_of("customers"), "customers", None, True),
        (scope_of("customers"), "sales", ADA, False),
    ],
)
def test_a_scope_is_all_that_is_in_it(
    stamps: Stamps, stamped: bytes, upstream: str, tenant: UUID | None, expected: bool
) -> None:
    stamps.stamp_scope(stamped, 100)
    assert changed(stamps, [b"contacts/1"], 50, scope_of(upstream, tenant)) is expected
    assert changed(stamps, [], 50, scope_of(upstream, tenant)) is expected


def test_a_stamp_does_not_go_back(stamps: Stamps) -> None:
    stamps.stamp(CUSTOMERS, [b"contacts/1"], 100)
    stamps.stamp(CUSTOMERS, [b"contacts/1"], 90)
    assert changed(stamps, [b"contacts/1"], 100)


class House:
    """The workers of one machine, in one process: each has a clock of its own, which ticks when it is looked at."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.file = StampsFile()
        stack.callback(self.file.close)

    def worker(
        self, row: int | None = None, begins_ns: int = 0, clock: Iterator[int] | None = None
    ) -> Stamps:
        row = self.file.take_row() if row is None else row
        stamps = Stamps.open(self.file.descriptor, row, (clock or count(begins_ns)).__next__)
        self._stack.callback(stamps.close)
        return stamps


@pytest.fixture
def house() -> Iterator[House]:
    with ExitStack() as stack:
        yield House(stack)


def test_what_one_worker_stamps_the_others_know_by_their_own_clocks(house: House) -> None:
    one, two, three = house.worker(), house.worker(begins_ns=1_000), house.worker(begins_ns=2_000)
    one.stamp(CUSTOMERS, [b"contacts/1", b"contacts/*"], 5)
    for stamps, begun_ns in ((two, 1_000), (three, 2_000)):
        assert changed(stamps, [b"contacts/1"], begun_ns + 1)
        assert changed(stamps, [b"contacts/*"], begun_ns + 1)
        assert not changed(stamps, [b"contacts/1"], begun_ns + 2)
        assert not changed(stamps, [b"contacts/2"], begun_ns + 1)
    two.stamp_scope(scope_of("customers"), 1_005)
    assert changed(one, [b"contacts/2"], 1)


def test_what_was_before_a_worker_began_is_not_known(house: House) -> None:
    house.worker().stamp(CUSTOMERS, [b"contacts/1"], 5)
    late = house.worker(begins_ns=1_000)
    assert changed(late, [b"contacts/2"], 1_000)
    assert not changed(late, [b"contacts/1"], 1_001)


def test_a_successor_goes_on_in_its_row(house: House) -> None:
    reader, row = house.worker(), house.file.take_row()
    for life in range(3):
        worker = house.worker(row)
        worker.stamp(CUSTOMERS, [b"contacts/%d" % life], 0)
        assert changed(reader, [b"contacts/%d" % life], 1)
    assert reader.lapped == 0


def test_who_is_a_whole_ring_behind_takes_everything_for_changed(house: House) -> None:
    reader, writer = house.worker(), house.worker()
    writer.stamp(CUSTOMERS, (b"contacts/%d" % n for n in range(CELLS)), 5)
    assert not changed(reader, [b"accounts/1"], 1, scope_of("sales", BOB))
    assert reader.lapped == 0
    writer.stamp(CUSTOMERS, (b"contacts/%d" % n for n in range(CELLS + 1)), 5)
    assert changed(reader, [b"accounts/1"], 2, scope_of("sales", BOB))
    assert reader.lapped == 1
    reader.catch_up()
    writer.stamp(CUSTOMERS, [b"contacts/1"], 5)
    since_ns = 10
    assert not changed(reader, [b"accounts/1"], since_ns, scope_of("sales", BOB))
    assert reader.lapped == 1


def test_catching_up_in_time_leaves_the_rest_alone(house: House) -> None:
    reader, writer = house.worker(), house.worker()
    for _ in range(4):
        writer.stamp(CUSTOMERS, (b"contacts/%d" % n for n in range(CELLS // 2)), 5)
        reader.catch_up()
    assert reader.lapped == 0
    assert changed(reader, [b"contacts/0"], 4)
    assert not changed(reader, [b"accounts"], 1)


def test_a_row_has_one_worker_at_a_time(house: House) -> None:
    assert [house.file.take_row() for _ in range(3)] == [0, 1, 2]
    house.file.give_back(1)
    assert [house.file.take_row() for _ in range(2)] == [1, 3]


def test_there_is_an_end_to_rows(house: House) -> None:
    for _ in range(MOST_ROWS):
        house.file.take_row()
    with pytest.raises(ValueError, match="512"):
        house.file.take_row()


def test_without_nameless_memory_a_file_that_has_no_name_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with ExitStack() as stack:
        house = House(stack)
        assert os.fstat(house.file.descriptor).st_nlink == 0
        one, two = house.worker(), house.worker()
        one.stamp(CUSTOMERS, [b"contacts/1"], 5)
        assert changed(two, [b"contacts/1"], 1)


@contextmanager
def stamping(file: StampsFile, row: int, number: int) -> Iterator["subprocess.Popen[str]"]:
    """A process that is about to stamp."""
    command = [sys.executable, "-m", "tests.gateway.caching.stamping"]
    process = subprocess.Popen(
        [*command, str(file.descriptor), str(row), str(number)],
        pass_fds=[file.descriptor],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert line(process) == "ready"
            yield process
        finally:
            process.kill()


def line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.process
def test_of_what_two_processes_stamp_at_once_nothing_is_lost(house: House) -> None:
    number = CELLS - 1  # so that nobody can be lapped, however long he is kept waiting
    rows = [house.file.take_row(), house.file.take_row()]
    reader = house.worker()
    with stamping(house.file, rows[0], number) as one, stamping(house.file, rows[1], number) as two:
        tell(one)
        tell(two)
        for expected in range(number):
            for row, process in zip(rows, (one, two), strict=True):
                assert line(process) == str(expected)
                assert changed(reader, [tag(row, expected)], 1, SCOPE)
        tell(one)
        tell(two)
        assert [line(one), line(two)] == ["0 0", "0 0"]
    assert [missed(reader, row, number, 1) for row in rows] == [[], []]
    assert reader.lapped == 0


@pytest.mark.process
def test_what_a_process_has_stamped_outlives_it(house: House) -> None:
    row, clock = house.file.take_row(), count()
    reader = house.worker(clock=clock)
    for _ in range(2):
        since_ns = next(clock) + 1
        with stamping(house.file, row, 5_000) as process:
            tell(process)
            last = [int(line(process)) for _ in range(200)][-1]
            process.kill()
            assert process.stdout is not None
            printed = process.stdout.read().split("\n")[:-1]  # a line that was begun is none
            last = int(printed[-1]) if printed else last
        assert missed(reader, row, last + 1, since_ns) == []
    assert reader.lapped == 0
