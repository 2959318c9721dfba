"""What the workers of one gateway know in common."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from services.gateway.caching.peers.board import MOST_UPSTREAMS, Board, Currency
from services.gateway.caching.stamps import Stamps, StampsFile


@pytest.fixture
def file() -> Iterator[StampsFile]:
    file = StampsFile()
    yield file
    file.close()


@pytest.fixture
def boards(file: StampsFile) -> Iterator[list[Board]]:
    """Two workers', as far as one process can have two."""
    stamps = [Stamps.open(file.descriptor, file.take_row()) for _ in range(2)]
    yield [Board(one) for one in stamps]
    for one in stamps:
        one.close()


def test_what_one_writes_the_other_reads(boards: list[Board]) -> None:
    one, other = boards
    assert one.elect()
    place = other.place("customers")
    assert not place.current(0)
    one.post("customers", 1_000)
    assert (place.current(999), place.current(1_000)) == (True, False)
    assert other.until_ns("customers") == 1_000
    assert other.gateway == one.gateway != ""


def test_upstreams_have_a_place_each(boards: list[Board]) -> None:
    one, other = boards
    one.post("customers", 1_000)
    one.post("sales", 2_000)
    assert [other.until_ns(name) for name in ("customers", "sales", "tickets")] == [1_000, 2_000, 0]


def test_what_was_said_remains_true_until_all_is_cleared(boards: list[Board]) -> None:
    one, other = boards
    one.post("customers", 1_000)
    one.post("customers", 0)
    assert other.until_ns("customers") == 1_000
    one.clear()
    assert other.until_ns("customers") == 0


def test_who_has_no_place_is_never_current(boards: list[Board]) -> None:
    for number in range(MOST_UPSTREAMS + 1):
        boards[0].post(f"upstream-{number}", 1_000)
    names = (f"upstream-{MOST_UPSTREAMS - 1}", f"upstream-{MOST_UPSTREAMS}")
    assert [boards[1].place(name).current(1) for name in names] == [True, False]


_ELECT = """
import mmap, sys
from services.gateway.caching.peers.board import Board
from services.gateway.caching.stamps import Stamps
board = Board(Stamps.open(int(sys.argv[1]), int(sys.argv[2])))
print(board.elect(), board.gateway, flush=True)
sys.stdin.read()
"""


def elected(file: StampsFile) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", _ELECT, str(file.descriptor), str(file.take_row())],
        pass_fds=[file.descriptor],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def said(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


@pytest.mark.process
def test_one_speaks_and_when_it_is_killed_another_does_with_the_same_name(file: StampsFile) -> None:
    first, second = elected(file), elected(file)
    try:
        answers = {process: said(process) for process in (first, second)}
        [speaker] = [process for process, answer in answers.items() if answer.startswith("True")]
        end(speaker)
        third = elected(file)
        try:
            assert said(third) == answers[speaker]
        finally:
            end(third)
    finally:
        for process in (first, second):
            end(process)


def test_nothing_is_current_that_is_not_followed() -> None:
    board = Board(Stamps.private())
    board.post("customers", 1_000)
    for followed in (True, False):
        current = Currency(lambda now_ns, followed=followed: followed, board.place("customers"))  # type: ignore[misc]
        assert [current(now_ns) for now_ns in (999, 1_000)] == [followed, False]
