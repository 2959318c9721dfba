"""Targeted cache control: RFC 9213, strictly by RFC 9651."""

from typing import Any, cast

import http_sf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.caching.http.directives import AnswerDirectives
from services.gateway.caching.http.structured import (
    governing,
    string,
    targeted_directives,
    token_or_string,
)


def test_rfc9213_2_1_members_are_directives() -> None:
    value = b'max-age=60, no-cache="set-cookie, b", private="a", must-revalidate, stale-if-error=9, foo=bar'
    assert targeted_directives(value) == AnswerDirectives(
        max_age=60,
        no_cache_fields=frozenset({b"set-cookie", b"b"}),
        private_fields=frozenset({b"a"}),
        must_revalidate=True,
        stale_if_error=9,
    )


def test_rfc9213_2_2_the_five_directives_that_must_be_understood() -> None:
    read = targeted_directives(b"max-age=60, must-revalidate, no-store, no-cache, private")
    assert read == AnswerDirectives(
        max_age=60, must_revalidate=True, no_store=True, no_cache=True, private=True
    )


def test_rfc9213_2_1_parameters_are_ignored() -> None:
    assert targeted_directives(b"max-age=60;x=1, public;y") == AnswerDirectives(max_age=60, public=True)


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"   ", b"max-age=60,", b"max-age=60, &&&&&", b"max-age =60", b"max-age= 60", b"MaX-aGe=60"),
        *(
            b"max-age=60 public",
            b'private="a',
            b"max-age=99999999999999999",
            b"\xff",
            b"a=\x00",
            b"max-age=''",
        ),
    ],
)
def test_rfc9213_2_1_an_empty_or_invalid_field_is_as_if_it_were_not_there(value: bytes) -> None:
    assert targeted_directives(value) is None
    fields = {b"kontor-cache-control": value, b"cache-control": b"max-age=5"}
    assert governing(fields) == (b"cache-control", AnswerDirectives(max_age=5))


@pytest.mark.parametrize(
    "value", [b'max-age="60"', b"max-age=60.0", b"max-age=-1", b"max-age", b"max-age=?1", b"max-age=(60)"]
)
def test_rfc9213_2_1_values_of_another_type_are_not_converted(value: bytes) -> None:
    assert targeted_directives(value) == AnswerDirectives(max_age=0)


def test_rfc9213_2_1_of_several_equal_members_the_last_counts_as_in_every_dictionary() -> None:
    assert targeted_directives(b"max-age=1, max-age=60") == AnswerDirectives(max_age=60)


@pytest.mark.parametrize(
    ("present", "governs"),
    [
        ({b"kontor-cache-control", b"cdn-cache-control", b"cache-control"}, b"kontor-cache-control"),
        ({b"cdn-cache-control", b"cache-control"}, b"cdn-cache-control"),
        ({b"cache-control"}, b"cache-control"),
        ({b"other-cache-control", b"surrogate-control"}, b"cache-control"),
    ],
)
def test_rfc9213_2_2_the_first_of_the_target_list_governs(present: set[bytes], governs: bytes) -> None:
    fields = {name: b"max-age=%d" % len(name) for name in present}
    name, directives = governing(fields)
    assert name == governs
    assert directives.max_age == (len(governs) if governs in present else None)


def test_rfc9213_2_2_an_invalid_field_leaves_it_to_the_next_of_the_list() -> None:
    fields = {b"kontor-cache-control": b"max-age=", b"cdn-cache-control": b"max-age=7"}
    assert governing(fields)[0] == b"cdn-cache-control"


@given(st.binary(max_size=300) | st.text("max-age=60,\";() ?:@%\\'*pivte.-", max_size=300).map(str.encode))
def test_nothing_raises_and_what_is_no_dictionary_is_ignored(value: bytes) -> None:
    try:
        valid = bool(http_sf.parse(value, tltype="dictionary"))
    except http_sf.StructuredFieldError:
        valid = False
    assert (targeted_directives(value) is not None) == valid


@given(st.text(max_size=30))
def test_names_are_written_as_items_that_can_be_read(text: str) -> None:
    for item in (token_or_string(text), string(text)):
        read, parameters = cast(tuple[Any, Any], http_sf.parse(item, tltype="item"))
        assert parameters == {}
        if text.isascii() and text.isprintable():
            assert str(read) == text
