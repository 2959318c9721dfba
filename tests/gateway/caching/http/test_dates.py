"""HTTP dates: RFC 9110 5.6.7 and RFC 9111 4.2."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.caching.http.dates import parse_date, write_date

WALL_S = int(datetime(2026, 10, 14, tzinfo=UTC).timestamp())
EXAMPLE_S = 784_111_777


@pytest.mark.parametrize(
    "value",
    [
        b"Sun, 06 Nov 1994 08:49:37 GMT",
        b"Sunday, 06-Nov-94 08:49:37 GMT",
        b"Sun Nov  6 08:49:37 1994",
        b"sUN, 06 nOV 1994 08:49:37 gmt",
        b"SUNDAY, 06-NOV-94 08:49:37 Gmt",
    ],
)
def test_the_three_forms_in_any_case(value: bytes) -> None:
    assert parse_date(value, WALL_S) == EXAMPLE_S


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"0", b"-1", b"never", b"Sun, 06 Nov 1994 08:49:37 UTC", b"Sun, 06 Nov 1994 08:49:37 +0000"),
        *(b"Sun, 6 Nov 1994 08:49:37 GMT", b"Sun, 06-Nov-1994 08:49:37 GMT", b"Sun 06 Nov 1994 08:49:37 GMT"),
        *(
            b"Sun, 31 Feb 2026 08:49:37 GMT",
            b"Sun, 06 Nov 1994 24:00:00 GMT",
            b"Sun, 06 Nov 1994 08:49:61 GMT",
        ),
        *(b"Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT", b"Sun, 06 Nov 0000 08:49:37 GMT"),
        *(
            b" Sun, 06 Nov 1994 08:49:37 GMT",
            b"Sun, 06 Nov 1994  08:49:37 GMT",
            b"Sun, 06 Nov 94 08:49:37 GMT",
        ),
    ],
)
def test_what_is_no_date(value: bytes) -> None:
    assert parse_date(value, WALL_S) is None


@pytest.mark.parametrize(("digits", "year"), [(b"26", 2026), (b"76", 2076), (b"77", 1977), (b"99", 1999)])
def test_two_digits_of_a_year_are_at_most_50_years_ahead(digits: bytes, year: int) -> None:
    found = parse_date(b"Sunday, 01-Jan-" + digits + b" 00:00:00 GMT", WALL_S)
    assert found == int(datetime(year, 1, 1, tzinfo=UTC).timestamp())


def test_two_digits_depend_on_the_time_even_when_seen_before() -> None:
    value = b"Sunday, 01-Jan-60 00:00:00 GMT"
    assert parse_date(value, 0) != parse_date(value, WALL_S)


def test_a_leap_second_is_the_second_before() -> None:
    assert parse_date(b"Sun, 06 Nov 1994 08:49:60 GMT", WALL_S) == EXAMPLE_S + 22


@given(st.integers(0, 253_402_300_799))
def test_what_is_written_is_read_back(wall_s: int) -> None:
    assert parse_date(write_date(wall_s), WALL_S) == wall_s


@given(st.binary(max_size=50))
def test_nothing_raises(value: bytes) -> None:
    assert parse_date(value, WALL_S) is None or value
