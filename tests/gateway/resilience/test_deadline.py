"""Deadlines: the smaller time wins, and what is passed on never exceeds what is left."""

import pytest

from services.gateway.resilience.deadline import DeadlineRule, Deadlines, parse_timeout

MS = 1_000_000


@pytest.mark.parametrize(
    ("value", "milliseconds"),
    [
        (b"1", 1),
        (b"2500", 2500),
        (b"0099", 99),
        (b"999999999", 999_999_999),
        *((bad, None) for bad in (b"", b"0", b"-1", b"+1", b"1.5", b" 1", b"1_0", b"1s", b"1000000000")),
        (b"\xb2", None),
        ("٣".encode(), None),
    ],
)
def test_only_plain_milliseconds_are_heeded(value: bytes, milliseconds: int | None) -> None:
    assert parse_timeout(value) == (milliseconds and milliseconds * MS)


@pytest.mark.parametrize(
    ("asked", "milliseconds"),
    [(None, 2000), (b"500", 500), (b"2000", 2000), (b"60000", 2000), (b"0", 2000), (b"soon", 2000)],
)
def test_the_smaller_of_route_and_caller_wins(asked: bytes | None, milliseconds: int) -> None:
    assert Deadlines(DeadlineRule(timeout_s=2)).deadline(7, asked) == 7 + milliseconds * MS


def test_an_attempt_ends_with_its_own_limit_or_with_the_request() -> None:
    deadlines = Deadlines(DeadlineRule(timeout_s=2, attempt_timeout_s=1.5))
    deadline = deadlines.deadline(0)
    assert [deadlines.attempt_deadline(now * MS, deadline) // MS for now in (0, 400, 500, 600, 1900)] == [
        *(1500, 1900, 2000),
        *(2000, 2000),
    ]
    unlimited = Deadlines(DeadlineRule(timeout_s=2))
    assert unlimited.attempt_deadline(500 * MS, deadline) == deadline
