"""What gateways give together of a limit, in virtual time."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.limits.token_bucket import Rate
from tests.gateway.limits.common_model import INTERVAL, SECOND, World

RATE = Rate(per_second=200, burst=100)
SLOWEST = INTERVAL // 2
# Others tell within an interval, and we ask within another one; what workers beside us have not told hides as much of
# what others have spent for one more. Both ways, an answer takes half of the slowest time each.
HEARD_WITHIN_NS = 3 * INTERVAL + 2 * SLOWEST

counts = st.integers(1, 3)
gateways = pytest.mark.parametrize("count", [1, 2, 3])
workers_each = pytest.mark.parametrize("workers", [1, 2])


@contextmanager
def world(
    count: int, workers: int = 1, rate: Rate = RATE, seed: int = 1, slowest: int = SLOWEST
) -> Iterator[World]:
    made = World(rate, count, workers, seed, slowest)
    yield made
    made.close()


def tokens(duration_ns: int) -> int:
    """How many grow meanwhile."""
    return duration_ns // RATE.token_ns


@settings(deadline=None, max_examples=60)
@given(
    counts,
    counts,
    st.builds(Rate, st.sampled_from([1, 5, 50, 300, 1000]), st.sampled_from([1, 3, 20, 400])),
    st.integers(0, 2**32),
)
def test_nobody_is_refused_what_one_bucket_would_have_given(
    count: int, workers: int, rate: Rate, seed: int
) -> None:
    with world(count, workers, rate, seed, INTERVAL) as together:
        draw = together.random
        for _ in range(8):
            for gateway in range(count):
                if draw.random() < 0.6:
                    share = draw.choice([0.3, 0.6, 0.9, 1.5, 4])
                    together.demand(gateway, max(1, int(rate.per_second * share)), draw.randrange(SECOND))
            together.answers = draw.random() < 0.8
            together.run(draw.choice([SECOND // 20, SECOND // 5, SECOND, 2 * SECOND]))
            if draw.random() < 0.3:
                for _ in range(rate.burst // 2 + 1):
                    together.ask(draw.randrange(count))
            if draw.random() < 0.2:
                together.kill(draw.randrange(count))
        assert together.unfair == 0


@gateways
@workers_each
def test_too_much_is_given_by_a_burst_each_at_first_and_paid_back(count: int, workers: int) -> None:
    with world(count, workers) as together:
        for gateway in range(count):
            for _ in range(2 * RATE.burst):
                together.ask(gateway)
        assert together.given.total() == count * RATE.burst
        for gateway in range(count):
            together.demand(gateway, 3 * RATE.per_second, 20 * SECOND)
        together.run(20 * SECOND)
        allowed = RATE.burst + 20 * RATE.per_second
        most = (count - 1) * tokens(HEARD_WITHIN_NS)
        assert allowed - 3 <= together.given.total() <= allowed + most
        assert min(together.refused.values()) > 0


@gateways
@workers_each
def test_afterwards_too_much_is_what_grows_until_others_hear_of_it(count: int, workers: int) -> None:
    with world(count, workers) as together:
        for gateway in range(count):
            together.demand(gateway, 3 * RATE.per_second, 30 * SECOND)
        together.run(10 * SECOND)
        for _ in range(200):
            together.run(SECOND // 10)
            assert together.owed_ns <= RATE.full_ns + (count - 1) * HEARD_WITHIN_NS
        if count == 1:
            assert together.owed_ns <= RATE.full_ns


@workers_each
def test_one_who_asks_elsewhere_from_now_on_finds_nothing_left_there(workers: int) -> None:
    with world(2, workers) as together:
        together.demand(0, 3 * RATE.per_second, 5 * SECOND)
        together.run(5 * SECOND)
        together.demand(1, 3 * RATE.per_second, 5 * SECOND)
        together.run(5 * SECOND)
        # The bucket was empty; but until it has heard that, the second gateway believes it to be full.
        assert together.given[1] >= 5 * RATE.per_second - 3
        assert together.given[1] <= 5 * RATE.per_second + tokens(HEARD_WITHIN_NS)


@pytest.mark.parametrize("pause_ns", [SECOND // 20, SECOND // 10, SECOND // 4, SECOND // 3])
def test_who_storms_one_after_the_other_gets_no_more_in_the_long_run(pause_ns: int) -> None:
    with world(3) as together:
        began = together.now
        for number in range(120):
            for _ in range(3 * RATE.burst):
                together.ask(number % 3)
            together.run(pause_ns)
        allowed = RATE.burst + tokens(together.now - began)
        # At first each believes its own bucket to be full.
        assert together.given.total() <= allowed + 2 * RATE.burst + 3 * tokens(HEARD_WITHIN_NS)
        assert together.unfair == 0


@gateways
def test_during_an_outage_each_limits_alone_and_nobody_pays_for_it_later(count: int) -> None:
    with world(count) as together:
        for gateway in range(count):
            together.demand(gateway, 3 * RATE.per_second, 60 * SECOND)

        def given_in(seconds: int) -> int:
            before = together.given.total()
            together.run(seconds * SECOND)
            return together.given.total() - before

        given_in(5)
        together.reaches = False
        together.server.kept.clear()
        alone = given_in(10)
        each = 10 * RATE.per_second
        most = count * tokens(HEARD_WITHIN_NS)
        assert count * each - most <= alone <= count * each + most
        together.reaches = True
        # The common bucket begins full: until it is empty each goes on as it was.
        assert 5 * RATE.per_second - 3 <= given_in(5) <= 5 * RATE.per_second + RATE.burst + most
        assert abs(given_in(20) - 20 * RATE.per_second) <= most


@pytest.mark.parametrize("step_us", [-3_600_000_000, 3_600_000_000])
def test_a_server_whose_clock_is_set_costs_at_most_another_burst(step_us: int) -> None:
    with world(2) as together:
        for gateway in range(2):
            together.demand(gateway, 3 * RATE.per_second, 30 * SECOND)
        together.run(10 * SECOND)
        before = together.given.total()
        together.server_ahead_us += step_us
        together.run(10 * SECOND)
        allowed, most = 10 * RATE.per_second, 2 * tokens(HEARD_WITHIN_NS)
        assert allowed - most <= together.given.total() - before <= allowed + RATE.burst + most
