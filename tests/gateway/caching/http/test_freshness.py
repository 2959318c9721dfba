"""Freshness and age: RFC 9111 4.2."""

from typing import Any

import pytest

from services.gateway.caching.http.decision import Rules
from services.gateway.caching.http.freshness import SECOND_NS
from services.gateway.caching.http.outcomes import Action
from tests.gateway.caching.http.answers import NOW_NS, ask, date, stored

LONG_AGO = b"Last-Modified: " + date(-1000)
TAG = b'ETag: "t"'


def lifetime(*lines: bytes, **how: Any) -> int:
    return stored(*lines, **how).freshness.lifetime_s


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        ((b"Cache-Control: s-maxage=9, max-age=5", b"Expires: " + date(7)), 9),
        ((b"Cache-Control: max-age=5", b"Expires: " + date(7), LONG_AGO), 5),
        ((b"Expires: " + date(7), LONG_AGO), 7),
        ((LONG_AGO,), 100),
        ((TAG,), 0),
    ],
)
def test_4_2_1_the_first_of_s_maxage_max_age_expires_and_the_heuristic(
    lines: tuple[bytes, ...], seconds: int
) -> None:
    assert lifetime(*lines) == seconds


def test_5_2_2_10_s_maxage_is_for_shared_caches_only() -> None:
    assert lifetime(b"Cache-Control: s-maxage=9, max-age=5", shared=False) == 5


@pytest.mark.parametrize(
    "expires", [b"0", b"-1", b"", b"soon", date(60) + b", " + date(60), b"60", date(60)[:-3] + b"UTC"]
)
def test_5_3_an_invalid_expires_is_in_the_past_and_leaves_no_room_for_heuristics(expires: bytes) -> None:
    assert lifetime(b"Expires: " + expires, LONG_AGO) == 0


def test_5_3_expires_is_ignored_beside_max_age_and_s_maxage() -> None:
    for directive in (b"max-age=60", b"s-maxage=60"):
        assert lifetime(b"Cache-Control: " + directive, b"Expires: 0") == 60


def test_4_2_1_expires_counts_from_date_whatever_our_clock_says() -> None:
    assert (
        lifetime(b"Date: " + date(-3600), b"Expires: " + date(-3500), dated=False, shared=True, after_s=0)
        == 100
    )
    assert lifetime(b"Expires: " + date(-5), TAG) == 0


def test_rfc9213_2_2_a_targeted_field_makes_cache_control_and_expires_count_for_nothing() -> None:
    assert lifetime(b"CDN-Cache-Control: max-age=7", b"Cache-Control: no-store", b"Expires: 0") == 7
    assert lifetime(b"CDN-Cache-Control: must-revalidate", b"Expires: " + date(60), TAG) == 0


def test_4_2_2_the_heuristic_is_a_tenth_and_at_most_a_day() -> None:
    assert lifetime(b"Last-Modified: " + date(-86_400 * 365)) == 86_400
    assert lifetime(b"Last-Modified: " + date(+10)) == 0


def test_4_2_2_no_heuristic_where_a_time_is_given_however_badly() -> None:
    assert lifetime(b"Cache-Control: max-age=x", LONG_AGO) == 0


def test_4_2_2_heuristics_are_for_statuses_that_allow_it_and_answers_that_say_public() -> None:
    assert lifetime(LONG_AGO, status=404) == 100
    assert lifetime(LONG_AGO, b"Cache-Control: public", status=302) == 100
    assert lifetime(LONG_AGO, rules=Rules(heuristics=False)) == 0


def test_4_2_fresh_means_that_the_lifetime_is_greater_than_the_age() -> None:
    answer = stored(b"Cache-Control: max-age=60", TAG)
    assert ask(answer, after_s=59.999).action is Action.SERVE
    assert ask(answer, after_s=60).action is Action.VALIDATE


@pytest.mark.parametrize(
    ("lines", "delay_s", "age_s"),
    [
        ((), 0, 0),
        ((b"Age: 30",), 0, 30),
        ((b"Age: 30",), 5, 35),  # corrected_age_value: from when the request was made
        ((b"Age: 30", b"Date: " + date(-40)), 5, 40),  # apparent_age
        ((b"Date: " + date(+40),), 0, 0),  # a clock that is ahead
        ((b"Age: 30, 5",), 0, 30),
        ((b"Age: x",), 0, 0),
    ],
)
def test_4_2_3_the_age_when_it_came(lines: tuple[bytes, ...], delay_s: int, age_s: int) -> None:
    dated = not any(line.startswith(b"Date") for line in lines)
    answer = stored(b"Cache-Control: max-age=3600", *lines, delay_s=delay_s, dated=dated)
    assert answer.age_s(NOW_NS) == age_s
    # resident_time is added.
    assert answer.age_s(NOW_NS + 7 * SECOND_NS) == age_s + 7
    assert answer.ttl_s(NOW_NS + 7 * SECOND_NS) == 3600 - age_s - 7


def test_4_2_3_an_answer_that_came_old_is_stale_sooner() -> None:
    answer = stored(b"Cache-Control: max-age=60", b"Age: 50", TAG)
    assert ask(answer, after_s=9).action is Action.SERVE
    assert ask(answer, after_s=10).action is Action.VALIDATE
    assert ask(stored(b"Cache-Control: max-age=60", b"Age: 60", TAG)).action is Action.VALIDATE


def test_1_2_2_the_greatest_lifetimes_and_ages_overflow_nothing() -> None:
    answer = stored(b"Cache-Control: max-age=" + b"9" * 30, b"Age: " + b"9" * 30, TAG)
    assert answer.ttl_s(NOW_NS) == 0
    assert stored(b"Cache-Control: max-age=99999999999").ttl_s(NOW_NS) == 2**31


def test_ttl_is_rounded_down_and_negative_when_stale() -> None:
    answer = stored(b"Cache-Control: max-age=60")
    assert [answer.ttl_s(NOW_NS + int(after * SECOND_NS)) for after in (0.5, 60, 60.5, 70)] == [
        59,
        0,
        -1,
        -10,
    ]
