import time

import pytest

from shared.telemetry import clocks
from shared.telemetry.clocks import wall_offset_ns


class Clocks:
    """Both clocks, the wall's 1,000 s ahead, and how long something takes between two readings."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, pauses_ns: list[int]) -> None:
        self.now_ns = 0
        self._pauses_ns = pauses_ns
        monkeypatch.setattr(clocks, "perf_counter_ns", self.monotonic)
        monkeypatch.setattr(clocks, "time_ns", lambda: self.monotonic() + 10**12)

    def monotonic(self) -> int:
        self.now_ns += self._pauses_ns.pop(0) if self._pauses_ns else 10
        return self.now_ns


def test_what_comes_in_between_is_not_in_the_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    Clocks(monkeypatch, [0, 5_000_000])
    assert wall_offset_ns() == 10**12 + 10


def test_on_a_machine_that_is_never_quiet_it_is_given_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    Clocks(monkeypatch, [5_000_000] * 100)
    assert wall_offset_ns() == 10**12 + 5_000_000


def test_it_leads_from_one_clock_to_the_other() -> None:
    before_ns = time.time_ns()
    assert before_ns <= time.perf_counter_ns() + wall_offset_ns() + 1_000_000
