"""One bucket per caller, whichever worker it is taken from."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from services.gateway.limits.rate_limiter import RateLimiter
from services.gateway.limits.shared_table import WAYS, SharedTable
from services.gateway.limits.token_bucket import Rate, take
from tests.gateway.limits.taking import CALLER, limiter
from tests.gateway.limits.workers import Workers, workers

SECOND = 1_000_000_000
SLOTS = 64


def test_callers_do_not_share() -> None:
    limiter = RateLimiter(Rate(per_second=1, burst=1), clock_ns=lambda: SECOND)
    assert [limiter.take(caller).allowed for caller in "abaab"] == [True, True, False, False, False]


def test_the_table_is_bounded_and_forgets_who_has_most_left() -> None:
    table = SharedTable.private(WAYS)
    limiter = RateLimiter(Rate(per_second=1, burst=9), table, clock_ns=lambda: SECOND)
    for _ in range(2):
        limiter.take("frugal")
    for number in range(WAYS - 1):
        for _ in range(4):
            limiter.take(f"other-{number}")
    assert limiter.take("newcomer").remaining == 8
    assert [limiter.peek(f"other-{number}").remaining for number in range(WAYS - 1)] == [4] * (WAYS - 1)
    assert limiter.peek("frugal").remaining == 8  # as if it had never been there


def test_whose_bucket_is_full_goes_first() -> None:
    now = SECOND
    limiter = RateLimiter(Rate(1, 9), SharedTable.private(WAYS), clock_ns=lambda: now)
    for number in range(WAYS):
        limiter.take(f"early-{number}")
    now += SECOND
    limiter.take("early-3")
    now += SECOND - 1
    limiter.take("late")
    assert limiter.peek("early-3").remaining == 7


def test_what_callers_are_told_is_told_again() -> None:
    now = 10 * SECOND
    limiter = RateLimiter(Rate(per_second=2, burst=4), clock_ns=lambda: now)
    told = [limiter.lines(limiter.take("a")) for _ in range(5)]
    policy = b'ratelimit-policy: "default";q=4;w=2\r\n'
    assert told == [
        policy + b'ratelimit: "default";r=%d;t=%d\r\n' % (remaining, full_in_s)
        for remaining, full_in_s in ((3, 1), (2, 1), (1, 2), (0, 2), (0, 2))
    ]
    now += SECOND
    assert limiter.lines(limiter.take("a")) == told[2]


def test_another_rate_goes_on_with_the_same_buckets() -> None:
    table, now = SharedTable.private(WAYS), SECOND
    slow = RateLimiter(Rate(per_second=1, burst=10), table, clock_ns=lambda: now)
    assert [slow.take("a").allowed for _ in range(11)] == [True] * 10 + [False]
    quick = RateLimiter(Rate(per_second=10, burst=20), table, clock_ns=lambda: now)
    # Ten seconds were owed, and two are all that can be.
    assert [quick.take("a").allowed for _ in range(3)] == [False] * 3
    now += SECOND
    assert [quick.take("a").allowed for _ in range(11)] == [True] * 10 + [False]


def test_what_one_worker_has_spent_it_tells_once() -> None:
    with workers(2, SLOTS) as house:
        one, two = (
            RateLimiter(Rate(1000, 9), table, clock_ns=lambda: SECOND) for table in house.tables.values()
        )
        for caller in "aab":
            one.take(caller)
        two.take("a")
        assert one.asked() == ["a", "b"]
        assert [one.tell_us(caller) for caller in "aabc"] == [2000, 0, 1000, 0]
        assert one.asked() == []
        one.take("a")
        assert one.asked() == ["a"]
        assert one.tell_us("a") == 1000


def test_parts_of_a_microsecond_are_told_later() -> None:
    limiter = RateLimiter(Rate(3_000, 9), clock_ns=lambda: SECOND)
    told = 0
    for _ in range(6):
        limiter.take("a")
        limiter.asked()
        told += limiter.tell_us("a")
    assert told == 1999  # of six times 333,333 ns


def test_what_others_have_spent_is_heard_by_all_workers_and_told_to_nobody() -> None:
    with workers(2, SLOTS) as house:
        now = 10 * SECOND
        one, two = (RateLimiter(Rate(1, 9), table, clock_ns=lambda: now) for table in house.tables.values())
        one.take("a")
        one.asked()
        assert one.tell_us("a") == 1_000_000
        one.take("a")
        one.hear("a", now + 4 * SECOND)  # ours, and three of others
        assert [limiter.peek("a").remaining for limiter in (one, two)] == [3, 3]
        one.hear("a", now + 4 * SECOND)
        assert one.peek("a").remaining == 3
        assert one.tell_us("a") == 1_000_000
        one.hear("a", now)  # nothing of it is forgotten, whatever is said
        assert one.peek("a").remaining == 3


def test_of_a_bucket_that_was_given_away_nothing_is_heard() -> None:
    now = SECOND
    limiter = RateLimiter(Rate(1, 9), SharedTable.private(WAYS), clock_ns=lambda: now)
    limiter.take("a")
    limiter.asked()
    now += SECOND
    for number in range(WAYS):
        limiter.take(f"other-{number}")
    limiter.hear("a", now + 9 * SECOND)
    assert [limiter.peek(f"other-{number}").remaining for number in range(WAYS)] == [7] * WAYS
    assert limiter.tell_us("a") == SECOND // 1000  # it was spent all the same


def test_what_several_gateways_gave_too_much_is_owed() -> None:
    now = SECOND
    limiter = RateLimiter(Rate(per_second=1, burst=2), clock_ns=lambda: now)
    limiter.take("a")
    limiter.asked()
    limiter.tell_us("a")
    limiter.hear("a", now + 4 * SECOND)
    assert limiter.take("a").retry_after_s == 3
    now += 3 * SECOND
    assert [limiter.take("a").allowed for _ in range(2)] == [True, False]


class ManyWorkers(RuleBasedStateMachine):
    """Whatever workers do, each answer is that of one bucket per caller; workers die, and others come."""

    RATE = Rate(per_second=3, burst=4)

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000 * SECOND
        self.full_at: dict[str, int] = {}
        self.stack = ExitStack()
        self.house: Workers = self.stack.enter_context(workers(0, SLOTS))
        self.limiters: dict[int, RateLimiter] = {}
        self.starts(0)

    def teardown(self) -> None:
        self.stack.close()

    @rule(row=st.integers(0, 9))
    def starts(self, row: int) -> None:
        """For the first time, or after one was killed."""
        self.limiters[row] = RateLimiter(self.RATE, self.house.start(row), clock_ns=lambda: self.now)

    @rule(step=st.integers(0, 2 * SECOND))
    def passes(self, step: int) -> None:
        self.now += step

    @rule(caller=st.sampled_from("abc"), data=st.data())
    def takes(self, caller: str, data: st.DataObject) -> None:
        limiter = self.limiters[data.draw(st.sampled_from(sorted(self.limiters)))]
        peeked = limiter.peek(caller)
        taken = limiter.take(caller)
        self.full_at[caller], expected = take(self.full_at.get(caller, 0), self.now, self.RATE)
        for allowance in (peeked, taken):
            assert (
                allowance.allowed,
                allowance.remaining,
                allowance.full_in_s,
                allowance.retry_after_s,
            ) == (expected.allowed, expected.remaining, expected.full_in_s, expected.retry_after_s)

    @rule(names=st.lists(st.integers(0, 500), max_size=30), data=st.data())
    def others_come_by(self, names: list[int], data: st.DataObject) -> None:
        """Of whom the table may have to forget some, but nobody whose bucket is emptier."""
        limiter = self.limiters[data.draw(st.sampled_from(sorted(self.limiters)))]
        for name in names:
            if not self.crowded(limiter, f"passer-by-{name}"):
                limiter.take(f"passer-by-{name}")

    def crowded(self, limiter: RateLimiter, name: str) -> bool:
        """Whether a newcomer would push somebody out whose bucket is not full."""
        table = limiter._table
        return all(limiter._full_at(slot) > self.now for slot in table._ways(table._digest(name)))


TestManyWorkers = ManyWorkers.TestCase


@contextmanager
def taking(house: Workers, row: int, burst: int) -> Iterator["subprocess.Popen[str]"]:
    """A process that is about to take."""
    descriptor = house.file.descriptor
    house.file.admit(row)
    arguments = [str(descriptor), str(SLOTS), str(row), str(burst)]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.gateway.limits.taking", *arguments],
        pass_fds=[descriptor],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def begin(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def printed(process: "subprocess.Popen[str]") -> list[str]:
    assert process.stdout is not None
    return process.stdout.read().split("\n")[:-1]  # a line that was begun is none


@pytest.mark.process
def test_processes_that_take_at_once_are_given_no_more_than_there_is() -> None:
    burst, rows = 20_000, range(3)
    with workers(0, SLOTS) as house, ExitStack() as stack:
        for row in rows:
            house.file.admit(row)
        limiter(house.file.descriptor, SLOTS, 0, burst).take(CALLER)  # so that nobody has to find room for it
        processes = [stack.enter_context(taking(house, row, burst)) for row in rows]
        for process in processes:
            begin(process)
        given = [printed(process) for process in processes]
        assert all(lines.pop() == "empty" for lines in given)
        assert all(given)
        # Of tokens that two take at the same instant none is lost; the last one may be given to both.
        assert burst - 1 <= sum(map(len, given)) <= burst - 1 + len(rows) - 1


@pytest.mark.process
def test_what_a_killed_process_has_taken_stays_taken() -> None:
    burst = 20_000
    with workers(0, SLOTS) as house:
        taken = 0
        for _ in range(2):
            with taking(house, 0, burst) as process:
                begin(process)
                assert process.stdout is not None
                for _ in range(2_000):
                    assert process.stdout.readline() == "1\n"
                process.kill()
                taken += 2_000 + len(printed(process))
        with taking(house, 1, burst) as survivor:
            begin(survivor)
            taken += len(printed(survivor)) - 1
        # One may have been taken by each that was killed before it could say so.
        assert burst - 2 <= taken <= burst
