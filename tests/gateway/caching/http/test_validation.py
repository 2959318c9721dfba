"""What validations make of stored answers: RFC 9111 3.2, 4.3.1, 4.3.4 and 4.3.5."""

import pytest

from services.gateway.caching.http.decision import on_head_answer
from services.gateway.caching.http.freshness import SECOND_NS
from services.gateway.caching.http.outcomes import Action
from services.gateway.caching.http.stored import StoredAnswer
from services.gateway.protocol.fields import read_fields
from tests.gateway.caching.http.answers import BODY_LENGTH, NOW_NS, ask, block, confirm, date, stored, times

CONTROL = b"Cache-Control: max-age=60"


def tagged(tag: bytes, *lines: bytes, request: tuple[bytes, ...] = (), dated_s: int = 0) -> StoredAnswer:
    return stored(CONTROL, b"ETag: " + tag, b"Date: " + date(dated_s), *lines, request=request, dated=False)


def varying(tag: bytes, region: bytes, dated_s: int = 0) -> StoredAnswer:
    return tagged(tag, b"Vary: X-Region", request=(b"X-Region: " + region,), dated_s=dated_s)


def test_4_3_1_both_validators_are_sent() -> None:
    answer = tagged(b'W/"t"', b"Last-Modified: " + date(-9))
    expected = (b'if-none-match: W/"t"', b"if-modified-since: " + date(-9))
    assert ask(answer, after_s=60).conditions == expected
    only_date = stored(CONTROL, b"Last-Modified: " + date(-9))
    assert ask(only_date, after_s=60).conditions == expected[1:]


@pytest.mark.parametrize("lines", [(), (b"ETag: t",), (b'ETag: "a", "b"',), (b"Last-Modified: once",)])
def test_4_3_1_what_is_no_validator_is_not_sent(lines: tuple[bytes, ...]) -> None:
    assert ask(stored(CONTROL, *lines), after_s=60).conditions == ()


def test_4_3_4_a_304_makes_the_answer_fresh_again() -> None:
    answer = tagged(b'"t"', b"X-A: 1", b"X-B: 1")
    (renewal,) = confirm(answer, lines=(b'ETag: "t"', b"X-A: 2", b"x-a: 3", b"Date: " + date(70)), after_s=70)
    assert (renewal.before, renewal.refusal) == (answer, None)
    renewed = renewal.after
    assert ask(renewed, after_s=129).action is Action.SERVE
    assert renewed.age_s(NOW_NS + 75 * SECOND_NS) == 5
    assert renewed.head == block(CONTROL, b'ETag: "t"', b"X-B: 1", b"X-A: 2", b"x-a: 3", b"Date: " + date(70))
    # The one before is as it was: others may be reading it.
    assert b"X-A: 1" in answer.head


def test_4_3_4_the_age_of_the_304_counts() -> None:
    (renewal,) = confirm(tagged(b'"t"'), lines=(b'ETag: "t"', b"Age: 50", b"Date: " + date(70)), after_s=70)
    assert renewal.after.ttl_s(NOW_NS + 70 * SECOND_NS) == 10
    assert b"Age" not in renewal.after.head


def test_4_3_4_a_304_without_a_date_is_of_the_time_it_comes() -> None:
    (renewal,) = confirm(tagged(b'"t"'), lines=(b'ETag: "t"',), after_s=70)
    assert renewal.after.age_s(NOW_NS + 70 * SECOND_NS) == 0
    assert b"date: " + date(70) in renewal.after.head


@pytest.mark.parametrize(
    "line",
    [
        *(b"Content-Length: 0", b"Content-Encoding: gzip", b"Content-Range: bytes 0-1/2", b"Content-MD5: x"),
        *(
            b"Transfer-Encoding: chunked",
            b"Connection: x",
            b"Proxy-Authenticate: x",
            b"Age: 9",
            b"Keep-Alive: 1",
        ),
    ],
)
def test_3_2_fields_of_the_body_and_of_the_connection_are_not_updated(line: bytes) -> None:
    answer = tagged(b'"t"', b"Content-Length: 10")
    (renewal,) = confirm(answer, lines=(b'ETag: "t"', line))
    assert renewal.refusal is None
    assert line not in renewal.after.head
    assert b"Content-Length: 10" in renewal.after.head
    assert renewal.after.length == BODY_LENGTH


def test_4_3_4_a_strong_tag_identifies_all_that_have_it() -> None:
    same, other, also = varying(b'"t"', b"eu"), varying(b'"u"', b"us"), varying(b'"t"', b"ch")
    found = confirm(same, other, also, lines=(b'ETag: "t"',), fields=(b"X-Region: eu",))
    assert [renewal.before for renewal in found] == [same, also]
    assert [renewal.after.selecting for renewal in found] == [(b"eu",), (b"ch",)]


def test_4_3_4_a_strong_tag_that_no_answer_has_updates_none() -> None:
    assert confirm(tagged(b'"t"'), lines=(b'ETag: "u"',)) == ()
    assert confirm(tagged(b'W/"t"'), lines=(b'ETag: "t"',)) == ()
    assert confirm(stored(CONTROL), lines=(b'ETag: "t"',)) == ()


def test_4_3_4_a_weak_validator_identifies_the_latest_that_has_it() -> None:
    old, new, other = varying(b'W/"t"', b"eu", -9), varying(b'"t"', b"us", -5), varying(b'W/"u"', b"ch")
    (renewal,) = confirm(old, new, other, lines=(b'ETag: W/"t"',))
    assert renewal.before is new
    assert renewal.after.etag == b'"t"'  # the tag is the body's
    modified = b"Last-Modified: " + date(-99)
    plain = stored(CONTROL, modified)
    assert [renewal.before for renewal in confirm(plain, lines=(modified,))] == [plain]
    assert confirm(plain, lines=(b"Last-Modified: " + date(-98),)) == ()


def test_4_3_4_without_validators_only_a_single_answer_without_any_is_updated() -> None:
    bare = stored(CONTROL)
    assert [renewal.before for renewal in confirm(bare, lines=())] == [bare]
    assert confirm(bare, bare, lines=()) == ()
    assert confirm(bare, stored(CONTROL, status=404), lines=()) == ()
    assert confirm(tagged(b'"t"'), lines=()) == ()


def test_4_3_4_only_a_stored_200_is_confirmed() -> None:
    assert confirm(stored(CONTROL, b'ETag: "t"', status=404), lines=(b'ETag: "t"',)) == ()
    assert ask(stored(CONTROL, b'ETag: "t"', status=404), after_s=60).action is Action.FORWARD


@pytest.mark.parametrize("control", [b"no-store", b"private", b"private, max-age=60"])
def test_4_3_4_a_304_may_end_the_storing(control: bytes) -> None:
    (renewal,) = confirm(tagged(b'"t"'), lines=(b'ETag: "t"', b"Cache-Control: " + control))
    assert renewal.refusal is not None
    assert renewal.dropped
    assert renewal.after.etag == b'"t"'  # for the one who asked


def test_5_2_1_5_no_store_of_the_request_concerns_the_304_and_not_what_is_stored() -> None:
    fields = (b"Cache-Control: no-store",)
    (renewal,) = confirm(tagged(b'"t"'), lines=(b'ETag: "t"',), fields=fields)
    assert (renewal.refusal is None, renewal.dropped) == (False, False)
    (renewal,) = confirm(tagged(b'"t"'), lines=(b'ETag: "t"', b"Cache-Control: private"), fields=fields)
    assert renewal.dropped


def test_4_3_4_a_304_may_change_the_directives() -> None:
    (renewal,) = confirm(tagged(b'"t"'), lines=(b'ETag: "t"', b"Cache-Control: max-age=5, must-revalidate"))
    assert (renewal.after.freshness.lifetime_s, renewal.after.must_revalidate) == (5, True)


def test_4_3_4_a_304_may_change_vary_for_the_request_that_asked_only() -> None:
    mine, theirs = varying(b'"t"', b"eu"), varying(b'"t"', b"us")
    fields = (b"X-Region: eu", b"X-Plan: gold")
    first, second = confirm(mine, theirs, lines=(b'ETag: "t"', b"Vary: X-Plan"), fields=fields)
    assert (first.refusal, first.after.vary, first.after.selecting) == (None, (b"x-plan",), (b"gold",))
    assert second.refusal is not None
    (third,) = confirm(mine, lines=(b'ETag: "t"', b"Vary: *"), fields=fields)
    assert third.refusal is not None


def head(*lines: bytes, answer: StoredAnswer, status: int = 200) -> list[str | None]:
    """Why each stored answer goes after a HEAD, None for those brought up to date."""
    found = on_head_answer((answer,), {}, status, read_fields(lines), block(*lines), times(0, 70))
    return [None if renewal.refusal is None else renewal.refusal.code for renewal in found]


def test_4_3_5_a_head_that_agrees_brings_the_answer_up_to_date() -> None:
    answer = tagged(b'"t"', b"Last-Modified: " + date(-9))
    lines = (b'ETag: "t"', b"Last-Modified: " + date(-9), b"Content-Length: 10", b"X-New: 1")
    (renewal,) = on_head_answer((answer,), {}, 200, read_fields(lines), block(*lines), times(0, 70))
    assert renewal.refusal is None
    assert b"X-New: 1" in renewal.after.head
    assert ask(renewal.after, after_s=100).action is Action.SERVE


@pytest.mark.parametrize(
    "line", [b'ETag: "u"', b"Last-Modified: " + date(-8), b"Content-Length: 11", b"ETag: t"]
)
def test_4_3_5_a_head_that_differs_makes_the_answer_stale(line: bytes) -> None:
    assert head(line, answer=tagged(b'"t"', b"Last-Modified: " + date(-9))) == ["changed"]


def test_4_3_5_only_a_200_says_something_of_the_answers_for_the_same_request() -> None:
    assert head(b'ETag: "u"', answer=tagged(b'"t"'), status=404) == []
    assert head(b'ETag: "u"', answer=varying(b'"t"', b"eu")) == []
