"""Numbers by name that workers share."""

import fcntl
import subprocess
import sys
from collections.abc import Callable

import pytest

from services.gateway.limits.shared_table import BLOCK_ROWS, MOST_ROWS, SLOT_WORDS, WAYS, SharedTable
from tests.gateway.limits.workers import workers


def put(table: SharedTable, slot: int, number: int) -> None:
    words, first = table.own
    words[first + slot * SLOT_WORDS] = number


def take_slot(table: SharedTable, name: str) -> int:
    return table.claim(name, table.first_numbers)


def namesakes(table: SharedTable, count: int) -> list[str]:
    """Names that have the same ways."""
    found: dict[int, list[str]] = {}
    number = 0
    while True:
        name = f"name-{number}"
        number += 1
        names = found.setdefault(table._ways(table._digest(name)).start, [])
        names.append(name)
        if len(names) == count:
            return names


def test_a_name_has_the_same_slot_everywhere_and_its_numbers_are_added_up() -> None:
    with workers(3) as house:
        one, two, three = house.tables.values()
        assert one.find("a") == -1
        slot = take_slot(one, "a")
        assert [table.find("a") for table in (one, two, three)] == [slot] * 3
        assert take_slot(two, "a") == slot
        for table, number in ((one, 1), (two, 20), (three, 300)):
            put(table, slot, number)
        assert [table.first_numbers(slot) for table in (one, two, three)] == [321] * 3


def test_names_that_weigh_something_keep_their_slots() -> None:
    with workers(2) as house:
        one, two = house.tables.values()
        names = namesakes(one, WAYS + 2)
        for number, name in enumerate(names[:WAYS], 1):
            put(one, take_slot(one, name), number)
        slots = [one.find(name) for name in names[:WAYS]]
        assert len(set(slots)) == WAYS
        assert take_slot(two, names[WAYS]) == -1
        assert two.uncounted == 1
        put(one, slots[5], 0)
        mark = one.marks[slots[5]]
        assert take_slot(two, names[WAYS]) == slots[5]
        assert one.find(names[5]) == -1
        assert one.marks[slots[5]] != mark
        assert [one.find(name) for name in names[:5]] == slots[:5]


def test_where_there_is_no_room_the_lightest_is_made_lighter_and_goes() -> None:
    with workers(1) as house:
        (table,) = house.tables.values()
        names = namesakes(table, WAYS + 1)
        for number, name in enumerate(names[:WAYS]):
            put(table, take_slot(table, name), 100 - number)
        lightest = table.find(names[WAYS - 1])
        newcomer = table.claim(names[WAYS], table.first_numbers, lambda slot: put(table, slot, 0))
        assert newcomer == lightest
        assert table.first_numbers(newcomer) == 0
        assert table.uncounted == 0


def test_a_slot_that_comes_back_to_a_name_has_another_mark() -> None:
    with workers(1, slots=WAYS) as house:
        (table,) = house.tables.values()
        slot = take_slot(table, "a")
        mark = table.marks[slot]
        for number in range(WAYS):
            assert take_slot(table, f"other-{number}") == slot  # the first that weighs nothing
        assert take_slot(table, "a") == slot
        assert table.marks[slot] != mark


def test_rows_beyond_a_block_are_read_as_well() -> None:
    with workers(1) as house:
        table = house.tables[0]
        slot = take_slot(table, "a")
        for row in (BLOCK_ROWS - 1, BLOCK_ROWS, MOST_ROWS - 1):
            put(house.start(row), slot, row)
        assert table.first_numbers(slot) == 2 * BLOCK_ROWS - 1 + MOST_ROWS - 1


def test_what_a_dead_worker_held_is_forgotten() -> None:
    with workers(2) as house:
        one, two = house.tables.values()
        slots = []
        for name in "ab":
            slots.append(take_slot(one, name))
            put(one, slots[-1], 3)
        put(two, slots[0], 5)
        house.file.forget(0)
        assert [two.first_numbers(slot) for slot in slots] == [5, 0]


def test_alone_there_is_nobody_to_share_with() -> None:
    table = SharedTable.private(WAYS)
    put(table, take_slot(table, "a"), 3)
    assert table.first_numbers(table.find("a")) == 3
    assert table.others == ()
    table.close()


@pytest.mark.process
def test_who_is_stopped_while_giving_a_slot_holds_up_nobody_and_who_dies_gives_way() -> None:
    with workers(2) as house:
        table = house.tables[0]
        with holding_the_lock(house.file.descriptor) as holder:
            assert take_slot(table, "a") == -1
            assert table.uncounted == 1
            holder.kill()
            holder.wait()
            assert take_slot(table, "a") >= 0


def holding_the_lock(descriptor: int) -> "subprocess.Popen[bytes]":
    program = (
        f"import fcntl, time; fcntl.lockf({descriptor}, fcntl.LOCK_EX); print(flush=True); time.sleep(600)"
    )
    holder = subprocess.Popen([sys.executable, "-c", program], pass_fds=[descriptor], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    return holder


@pytest.mark.parametrize("failing", [BlockingIOError, PermissionError])
def test_both_ways_in_which_a_lock_is_refused(
    monkeypatch: pytest.MonkeyPatch, failing: Callable[[], OSError]
) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise failing()

    with workers(2) as house:
        monkeypatch.setattr(fcntl, "lockf", refuse)
        assert take_slot(house.tables[0], "a") == -1
