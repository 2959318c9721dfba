import random
from heapq import heappop, heappush

import pytest

from shared.telemetry.metrics.active import ActiveRequests, LittlesLaw

MS = 1_000_000
SECOND = 1_000 * MS


def test_the_area_is_every_requests_time_up_to_now() -> None:
    active = ActiveRequests()
    active.began(100)
    active.began(150)
    assert (active.count, active.area_ns(200)) == (2, 100 + 50)
    active.ended(1, 180)  # told late, with its own end
    assert (active.count, active.area_ns(200)) == (1, 80 + 50)
    active.ended(1, 300)
    assert (active.count, active.area_ns(10**9)) == (0, 80 + 150)


def test_the_order_of_readings_does_not_matter() -> None:
    spans = [(start, start + 7 * start % 911) for start in range(1, 2_000, 3)]
    active = ActiveRequests()
    for start, _ in reversed(spans):
        active.began(start)
    active.ended(len(spans), sum(end for _, end in spans))
    assert active.area_ns(10**6) == sum(end - start for start, end in spans)


class House:
    """A queue with `servers` servers: Poisson arrivals at `rate` per second, exponential service of `mean_s`."""

    def __init__(self, rate: float, mean_s: float, servers: int, seed: int) -> None:
        self.active, self.law = ActiveRequests(), LittlesLaw()
        self.spent_ns = self.sampled = self.samples = 0
        self._random = random.Random(seed)  # noqa: S311 - a simulation
        self._rate, self._mean_s = rate, mean_s
        self._free_at = [0] * servers
        self._running: list[tuple[int, int]] = []
        self._next_mark = SECOND

    def run(self, seconds: int, *, leak: int = 0, forget: int = 0) -> None:
        """`leak`: every so manieth request is never ended; `forget`: every so manieth says that it took nothing."""
        now = number = 0
        while now < seconds * SECOND:
            now += round(self._random.expovariate(self._rate) * 1e9)
            number += 1
            self._until(now, leak=leak, forget=forget)
            begin = max(now, self._free_at[0])
            end = begin + round(self._random.expovariate(1 / self._mean_s) * 1e9)
            self._free_at[0] = end
            self._free_at.sort()
            self.active.began(now)
            heappush(self._running, (end, now))

    def _until(self, now: int, *, leak: int, forget: int) -> None:
        while self._running and self._running[0][0] <= now:
            end, began = heappop(self._running)
            self._marks(end)
            if leak and end % leak == 0:
                continue
            self.active.ended(1, end)
            self.spent_ns += 0 if forget and end % forget == 0 else end - began
        self._marks(now)

    def _marks(self, now: int) -> None:
        while self._next_mark <= now:
            at = self._next_mark
            self.law.mark(at, self.active.area_ns(at), self.spent_ns)
            self.sampled += self.active.count
            self.samples += 1
            self._next_mark += SECOND


@pytest.mark.parametrize(
    ("rate", "mean_s", "servers"),
    [(200.0, 0.01, 64), (400.0, 0.05, 32), (20.0, 0.3, 10), (1_000.0, 0.0005, 1)],
    ids=["light", "busy", "slow", "one server, half used"],
)
def test_littles_law_holds_in_a_steady_state(rate: float, mean_s: float, servers: int) -> None:
    house = House(rate, mean_s, servers, seed=7)
    house.run(180)
    ratio = house.law.ratio()
    assert ratio is not None
    assert ratio[0] == pytest.approx(1.0, abs=0.05)
    # And the mean number under way is what counting it once a second finds, as far as 180 samples can tell.
    if rate * mean_s > 5:
        assert house.active.area_ns(180 * SECOND) / (180 * SECOND) == pytest.approx(
            house.sampled / house.samples, rel=0.1
        )


def test_requests_that_never_end_break_the_law() -> None:
    house = House(200.0, 0.01, 64, seed=7)
    house.run(180, leak=100)
    ratio = house.law.ratio()
    assert ratio is not None
    assert ratio[0] > 2


def test_durations_that_are_wrong_break_the_law() -> None:
    house = House(200.0, 0.01, 64, seed=7)
    house.run(180, forget=2)
    ratio = house.law.ratio()
    assert ratio is not None
    assert ratio[0] == pytest.approx(2, rel=0.1)


def test_only_the_window_counts() -> None:
    law = LittlesLaw(window_ns=10 * SECOND)
    for second in range(30):
        # At first twice as much is under way as the durations explain; from the tenth second on just as much.
        area = 2 * min(second, 10) + max(second - 10, 0)
        law.mark(second * SECOND, area * SECOND, second * SECOND)
    assert law.ratio() == (1.0, 10 * SECOND)


def test_without_requests_there_is_nothing_to_say() -> None:
    law = LittlesLaw()
    assert law.ratio() is None
    law.mark(0, 0, 0)
    law.mark(SECOND, 0, 0)
    assert law.ratio() is None
