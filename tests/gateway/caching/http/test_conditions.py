"""Callers' preconditions and ranges: RFC 9111 4.3.2; RFC 9110 13 and 14."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.caching.http.conditions import presented_head
from services.gateway.caching.http.outcomes import Action, Form, Forwarded, Presentation
from services.gateway.caching.http.stored import StoredAnswer
from services.gateway.caching.http.validators import entity_tag, lists
from tests.gateway.caching.http.answers import BODY_LENGTH, ask, date, stored

CONTROL = b"Cache-Control: max-age=600"
TAGGED = stored(
    CONTROL, b'ETag: "t"', b"Last-Modified: " + date(-100), b"Content-Type: a/b", b"Content-Length: 10"
)
WEAK = stored(CONTROL, b'ETag: W/"t"')
DATED = stored(CONTROL, b"Last-Modified: " + date(-100))
BARE = stored(CONTROL)


def form(answer: StoredAnswer, *fields: bytes, method: bytes = b"GET") -> Form:
    return ask(answer, fields=fields, method=method).presentation.form


def part(answer: StoredAnswer, *fields: bytes) -> tuple[Form, int, int]:
    presentation = ask(answer, fields=fields).presentation
    return presentation.form, presentation.first, presentation.last


@pytest.mark.parametrize(
    "value",
    [b'"t"', b'W/"t"', b'"a", "t"', b'"a","t" , "b"', b', ,"t",', b"*", b'"a,b", "t"'],
)
def test_4_3_2_if_none_match_that_names_the_answer_gets_304(value: bytes) -> None:
    for method in (b"GET", b"HEAD"):
        for answer in (TAGGED, WEAK):  # 13.1.2: by the weak comparison
            assert form(answer, b"If-None-Match: " + value, method=method) is Form.NOT_MODIFIED


@pytest.mark.parametrize(
    "value", [b'"a"', b'"T"', b"t", b'"t', b'"a" "t"', b'w/"t"', b'"*"', b"", b'*, "t"', b'"a, "t"']
)
def test_4_3_2_if_none_match_that_names_others_or_nothing_gets_the_answer(value: bytes) -> None:
    assert form(TAGGED, b"If-None-Match: " + value) is Form.WHOLE


def test_4_3_2_if_none_match_star_names_answers_without_a_tag_and_a_list_does_not() -> None:
    assert form(BARE, b"If-None-Match: *") is Form.NOT_MODIFIED
    assert form(BARE, b'If-None-Match: "t"') is Form.WHOLE


@pytest.mark.parametrize(
    ("answer", "since_s", "expected"),
    [
        *((DATED, -101, Form.WHOLE), (DATED, -100, Form.NOT_MODIFIED), (DATED, 0, Form.NOT_MODIFIED)),
        # Without Last-Modified its Date counts.
        *((BARE, -1, Form.WHOLE), (BARE, 0, Form.NOT_MODIFIED)),
    ],
)
def test_4_3_2_if_modified_since(answer: StoredAnswer, since_s: int, expected: Form) -> None:
    assert form(answer, b"If-Modified-Since: " + date(since_s)) is expected


@pytest.mark.parametrize("value", [b"now", b"", date() + b", " + date()])
def test_rfc9110_13_1_3_an_if_modified_since_that_is_no_date_is_ignored(value: bytes) -> None:
    assert form(DATED, b"If-Modified-Since: " + value) is Form.WHOLE


def test_rfc9110_13_2_2_if_none_match_goes_before_if_modified_since() -> None:
    assert form(TAGGED, b'If-None-Match: "a"', b"If-Modified-Since: " + date()) is Form.WHOLE
    assert form(TAGGED, b'If-None-Match: "t"', b"If-Modified-Since: " + date(-500)) is Form.NOT_MODIFIED


def test_rfc9110_13_2_2_preconditions_go_before_ranges() -> None:
    assert form(TAGGED, b'If-None-Match: "t"', b"Range: bytes=0-1") is Form.NOT_MODIFIED
    assert form(TAGGED, b'If-None-Match: "a"', b"Range: bytes=0-1") is Form.PART


def test_rfc9110_13_2_1_answers_that_are_no_success_have_no_preconditions() -> None:
    missing = stored(CONTROL, b'ETag: "t"', status=404)
    assert form(missing, b'If-None-Match: "t"') is Form.WHOLE
    assert form(missing, b"Range: bytes=0-1") is Form.WHOLE


@pytest.mark.parametrize("header", [b'If-Match: "t"', b"If-Unmodified-Since: " + date()])
def test_4_3_2_preconditions_for_the_origin_are_left_to_it(header: bytes) -> None:
    decision = ask(TAGGED, fields=(header,))
    assert (decision.action, decision.forwarded) == (Action.FORWARD, Forwarded.REQUEST)


def test_4_3_2_preconditions_count_for_nothing_while_nothing_is_stored() -> None:
    assert ask(fields=(b"If-None-Match: *",)).forwarded is Forwarded.URI_MISS


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((b"bytes=0-3", (0, 3)), (b"bytes=0-0", (0, 0)), (b"bytes=4-", (4, 9)), (b"bytes=4-99", (4, 9))),
        *((b"bytes=-3", (7, 9)), (b"bytes=-99", (0, 9)), (b"BYTES=0-3", (0, 3)), (b"bytes=, 0-3 ,", (0, 3))),
    ],
)
def test_rfc9110_14_1_2_one_range_gets_206(value: bytes, expected: tuple[int, int]) -> None:
    assert part(TAGGED, b"Range: " + value) == (Form.PART, *expected)


@pytest.mark.parametrize("value", [b"bytes=10-", b"bytes=10-20", b"bytes=-0", b"bytes=999999999-"])
def test_rfc9110_15_5_17_a_range_beyond_the_end_gets_416(value: bytes) -> None:
    assert form(TAGGED, b"Range: " + value) is Form.UNSATISFIABLE


@pytest.mark.parametrize(
    "value",
    [
        *(
            b"bytes=0-1,4-5",
            b"lines=0-1",
            b"bytes",
            b"bytes=",
            b"bytes=-",
            b"bytes=3-1",
            b"bytes=a-b",
            b"bytes=0",
        ),
        *(b"bytes=0-1;", b"bytes = 0-1", b"bytes=" + b"9" * 30 + b"-", b"bytes=\xb2-"),
    ],
)
def test_rfc9110_14_2_several_ranges_and_what_is_no_range_get_the_whole(value: bytes) -> None:
    assert form(TAGGED, b"Range: " + value) is Form.WHOLE


def test_rfc9110_14_2_only_get_has_ranges() -> None:
    assert form(TAGGED, b"Range: bytes=0-1", method=b"HEAD") is Form.WHOLE


@pytest.mark.parametrize(
    ("answer", "condition", "expected"),
    [
        (TAGGED, b'"t"', Form.PART),
        (TAGGED, b'"a"', Form.WHOLE),
        (TAGGED, b'W/"t"', Form.WHOLE),
        (WEAK, b'W/"t"', Form.WHOLE),  # the strong comparison
        (DATED, date(-100), Form.PART),
        (DATED, date(-99), Form.WHOLE),  # exactly, not at least
        (BARE, date(), Form.WHOLE),
        (DATED, b"nonsense", Form.WHOLE),
    ],
)
def test_rfc9110_13_1_5_if_range(answer: StoredAnswer, condition: bytes, expected: Form) -> None:
    assert form(answer, b"Range: bytes=0-1", b"If-Range: " + condition) is expected


def test_rfc9110_8_8_2_2_a_change_in_the_second_of_the_answer_is_no_strong_validator() -> None:
    just_now = stored(CONTROL, b"Last-Modified: " + date())
    assert form(just_now, b"Range: bytes=0-1", b"If-Range: " + date()) is Form.WHOLE


def test_rfc9110_13_1_5_if_range_without_range_is_ignored() -> None:
    assert form(TAGGED, b'If-Range: "a"') is Form.WHOLE


@given(st.integers(0, 20), st.none() | st.integers(0, 20), st.none() | st.integers(0, 20))
def test_a_range_is_cut_as_a_list_would_be(length: int, first: int | None, last: int | None) -> None:
    answer = stored(CONTROL, length=length)
    text = b"bytes=%s-%s" % tuple(b"" if end is None else b"%d" % end for end in (first, last))
    found, begin, end = part(answer, b"Range: " + text)
    body = list(range(length))
    if first is None:
        expected = body[-last:] if last else []
        valid = last is not None
    else:
        expected = body[first:] if last is None else body[first : last + 1]
        valid = last is None or last >= first
    if not valid:
        assert found is Form.WHOLE
    elif not expected:
        assert found is Form.UNSATISFIABLE
    else:
        assert (found, body[begin : end + 1]) == (Form.PART, expected)


def names(answer: StoredAnswer, presentation: Presentation) -> set[bytes]:
    head = presented_head(answer, presentation)
    assert head.endswith(b"\r\n")
    return {line.partition(b":")[0].lower() for line in head.split(b"\r\n")[:-1]}


FULL = stored(
    *(CONTROL, b'ETag: "t"', b"Content-Type: a/b", b"Content-Length: 10", b"Content-Encoding: br", b"X-A: 1"),
    *(b"Vary: X", b"Expires: " + date(9), b"Content-Location: /a", b"Last-Modified: " + date(-9)),
)
EVERY = {
    *(b"cache-control", b"etag", b"content-type", b"content-length", b"content-encoding", b"x-a", b"vary"),
    *(b"expires", b"content-location", b"last-modified", b"date"),
}


def test_rfc9110_15_4_5_a_304_repeats_what_it_must_and_little_else() -> None:
    assert names(FULL, Presentation(Form.NOT_MODIFIED)) == {
        *(b"cache-control", b"content-location", b"date", b"etag", b"expires", b"vary", b"last-modified"),
    }


def test_rfc9110_15_3_7_a_206_has_all_fields_and_its_content_range() -> None:
    presentation = Presentation(Form.PART, 2, 5)
    assert names(FULL, presentation) == EVERY - {b"content-length"} | {b"content-range"}
    assert b"content-range: bytes 2-5/%d\r\n" % BODY_LENGTH in presented_head(FULL, presentation)


def test_rfc9110_15_3_7_a_206_by_if_range_leaves_out_what_the_caller_has() -> None:
    decision = ask(FULL, fields=(b"Range: bytes=2-5", b'If-Range: "t"'))
    described = {b"content-type", b"content-encoding", b"last-modified", b"content-length"}
    assert names(FULL, decision.presentation) == EVERY - described | {b"content-range"}


def test_rfc9110_15_5_17_a_416_tells_the_length() -> None:
    presentation = Presentation(Form.UNSATISFIABLE)
    assert b"content-range: bytes */%d\r\n" % BODY_LENGTH in presented_head(FULL, presentation)
    assert names(FULL, presentation) == {b"content-range", b"date", b"vary"}


def test_the_whole_is_as_it_is_stored() -> None:
    assert presented_head(FULL, Presentation(Form.WHOLE)) is FULL.head


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_tags_and_lists_never_raise(value: bytes, tag: bytes) -> None:
    lists(value, entity_tag(tag))


@given(
    st.lists(st.binary(max_size=6).map(lambda raw: bytes(b for b in raw if b > 0x20 and b not in b'"\x7f')))
)
def test_each_tag_of_a_list_is_found_and_no_other(opaque: list[bytes]) -> None:
    tags = [b'"' + each + b'"' for each in opaque]
    value = b", ".join(tags)
    assert all(lists(value, tag) and lists(value, b"W/" + tag) for tag in tags)
    assert not lists(value, b'"another tag"')
