"""Who is told of, and when."""

import pytest

from services.gateway.limits.rate_limiter import RateLimiter
from services.gateway.limits.reckoning import MOST_AT_ONCE, MOST_IN_TURN, Reckoning, Spending
from services.gateway.limits.token_bucket import Rate

SECOND = 1_000_000_000
INTERVAL = 100_000_000
NOW = 10 * SECOND


def made(rate: Rate | None = None) -> tuple[RateLimiter, Reckoning]:
    limiter = RateLimiter(rate or Rate(1000, 10), clock_ns=lambda: NOW)
    return limiter, Reckoning(limiter, INTERVAL)


def test_of_whom_nothing_was_spent_nothing_is_told() -> None:
    limiter, reckoning = made(Rate(1000, 2))
    for caller in "aaab":
        limiter.take(caller)
    assert list(reckoning.turn(NOW)) == [Spending(["a", "b"], [2000, 1000], 200_000)]
    assert list(reckoning.turn(NOW)) == []
    assert not limiter.take("a").allowed
    assert list(reckoning.turn(NOW)) == []


def test_many_are_told_of_in_parts_and_turns_and_what_waits_may_be_older() -> None:
    limiter, reckoning = made()
    names = [f"caller-{number}" for number in range(MOST_IN_TURN + 10)]
    for name in names:
        limiter.take(name)
    first = list(reckoning.turn(NOW))
    assert [len(told.callers) for told in first] == [MOST_AT_ONCE] * (MOST_IN_TURN // MOST_AT_ONCE)
    assert {told.lag_us for told in first} == {300_000}
    assert reckoning.waiting == 10
    for name in (*names[-10:], "late"):
        limiter.take(name)
    [second] = reckoning.turn(NOW)
    assert list(second.callers) == [*names[-10:], "late"]
    assert list(second.spent_us) == [2000] * 10 + [1000]
    assert second.lag_us == 200_000
    assert [caller for told in first for caller in told.callers] == names[:-10]


def test_what_is_told_late_may_be_as_old() -> None:
    limiter, reckoning = made()
    for late, lag_us in ((0, 200_000), (INTERVAL // 2, 200_000), (INTERVAL // 2 + SECOND, 1_100_000)):
        limiter.take("a")
        [told] = reckoning.turn(NOW + late)
        assert told.lag_us == lag_us
    reckoning.forget()
    limiter.take("a")
    [told] = reckoning.turn(NOW + 9 * SECOND)
    assert told.lag_us == 200_000


def test_what_cannot_be_told_is_told_never() -> None:
    limiter, reckoning = made()
    for caller in "aab":
        limiter.take(caller)
    assert reckoning.forget() == 2
    assert reckoning.waiting == 0
    limiter.take("a")
    [told] = reckoning.turn(NOW)
    assert (told.callers, told.spent_us) == (["a"], [1000])


def test_what_is_owed_is_owed_from_when_it_was_asked() -> None:
    limiter, reckoning = made(Rate(1, 10))
    for caller in "ab":
        limiter.take(caller)
    [told] = reckoning.turn(NOW)
    reckoning.hear(told, [5 * SECOND, -5 * SECOND], 9 * SECOND)
    assert [limiter.peek(caller).remaining for caller in "ab"] == [5, 8]
    with pytest.raises(ValueError, match="shorter"):
        reckoning.hear(told, [1], 9 * SECOND)
