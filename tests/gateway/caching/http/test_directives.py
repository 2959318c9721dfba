"""Cache-Control and the fields beside it: RFC 9111 5, 1.2.2 and 4.2.1."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.caching.http.directives import (
    MALFORMED,
    MOST_SECONDS,
    AnswerDirectives,
    RequestDirectives,
    answer_directives,
    delta_seconds,
    parse_age,
    request_directives,
    split,
)

TOKENS = st.text("abcdefghijklmnopqrstuvwxyz-0123456789!#$%&'*+.^_`|~", min_size=1, max_size=8)
MEMBERS = st.tuples(TOKENS, st.none() | TOKENS | st.text(st.characters(max_codepoint=255), max_size=8))
PIECES = st.sampled_from(
    [
        *("max-age", "s-maxage", "no-store", "no-cache", "private", "public", "stale-if-error", "max-stale"),
        *("=", ",", '"', "\\", " ", "\t", "0", "60", "-1", "99999999999999999999", "é", "\x00", "a"),
    ]
)


def write(name: str, argument: str | None) -> bytes:
    if argument is None:
        return name.encode("latin-1")
    escaped = argument.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}="{escaped}"'.encode("latin-1")


@given(st.lists(MEMBERS, max_size=5))
def test_5_2_what_is_well_formed_is_read_as_it_was_written(members: list[tuple[str, str | None]]) -> None:
    value = b" , ".join(write(*member) for member in members)
    expected = [(name.encode(), None if text is None else text.encode("latin-1")) for name, text in members]
    assert list(split(value)) == expected


@given(st.lists(PIECES, max_size=20).map(lambda pieces: "".join(pieces).encode("latin-1")) | st.binary())
def test_5_2_nothing_raises_and_a_restriction_is_never_overlooked(value: bytes) -> None:
    read = answer_directives(value + b', x="", no-store')
    assert read.no_store or value.count(b'"') % 2 == 1
    assert answer_directives(b"no-store," + value).no_store
    request_directives({b"cache-control": value})


def test_5_2_names_are_read_in_any_case_and_unknown_ones_ignored_5_2_3() -> None:
    value = b'MaX-aGe=60, community="UCI, no-store", Public, foo=bar,, ,'
    assert answer_directives(value) == AnswerDirectives(max_age=60, public=True)


def test_5_2_both_forms_of_an_argument_are_read() -> None:
    assert answer_directives(b'max-age="60", no-cache=set-cookie') == AnswerDirectives(
        max_age=60, no_cache_fields=frozenset({b"set-cookie"})
    )


def test_5_2_what_follows_an_open_quotation_mark_restricts_and_permits_nothing() -> None:
    read = answer_directives(b'max-age=60, x="a, public, no-store, s-maxage=99')
    assert (read.max_age, read.public, read.no_store, read.s_maxage, read.s_maxage_sound) == (
        60,
        False,
        True,
        0,
        False,
    )
    # The commas within a closed string separate nothing.
    assert answer_directives(b'a="public,public" b"') == AnswerDirectives()


@pytest.mark.parametrize(
    ("argument", "seconds"),
    [
        *(
            (b"0", 0),
            (b"60", 60),
            (b"0060", 60),
            (b"2147483648", MOST_SECONDS),
            (b"2147483649", MOST_SECONDS),
        ),
        *((b"9" * 10_000, MOST_SECONDS), (b"0" * 10_000 + b"7", 7)),
        *(
            (bad, None)
            for bad in (b"", b"-1", b"+1", b"1.5", b"60s", b" 60", b"'60'", b"\xb2", None, MALFORMED)
        ),
    ],
)
def test_1_2_2_delta_seconds(argument: bytes | None, seconds: int | None) -> None:
    assert delta_seconds(argument) == seconds


@pytest.mark.parametrize(
    "value",
    [b"max-age", b"max-age=", b"max-age=-1", b"max-age=6.5", b"max-age =60", b"max-age= 60", b"max-age=60s"],
)
def test_4_2_1_a_malformed_freshness_is_stale(value: bytes) -> None:
    assert answer_directives(value).max_age == 0


@pytest.mark.parametrize(
    ("value", "max_age"),
    [
        (b"max-age=60, max-age=60", 60),
        (b"max-age=60, max-age=1", 0),
        (b"max-age=1, max-age=60", 0),
        (b"max-age=60, max-age=x", 0),
        (b"max-age=x, max-age=60", 0),
    ],
)
def test_4_2_1_several_freshnesses_that_differ_are_stale(value: bytes, max_age: int) -> None:
    assert answer_directives(value).max_age == max_age


@pytest.mark.parametrize("name", [b"no-cache", b"private"])
def test_5_2_2_4_and_5_2_2_7_qualified_forms_list_fields(name: bytes) -> None:
    def read(value: bytes) -> tuple[bool, set[bytes]]:
        found = answer_directives(value.replace(b"X", name))
        return (found.no_cache or found.private), set(found.no_cache_fields | found.private_fields)

    assert read(b'X="Set-Cookie, a"') == (False, {b"set-cookie", b"a"})
    assert read(b'X="a", X="b"') == (False, {b"a", b"b"})
    # Whatever else the argument is, the directive holds for all of the answer.
    for unqualified in (b"X", b"X=", b'X=""', b'X="a b"', b'X="', b"X ='a'", b'X="a", X', b'X="a, vary"'):
        assert read(unqualified)[0], unqualified


def test_5_2_2_what_forbids_is_obeyed_however_it_is_written() -> None:
    read = answer_directives(b"no-store=0, must-revalidate=no, proxy-revalidate x")
    assert (read.no_store, read.must_revalidate, read.proxy_revalidate) == (True, True, True)


def test_5_2_2_what_permits_must_be_well_formed() -> None:
    read = answer_directives(
        b"public=yes, must-understand=1, s-maxage=x, stale-if-error=-5, stale-while-revalidate"
    )
    expected = AnswerDirectives(s_maxage=0)
    assert read == expected


def test_4_2_1_of_several_permissions_the_least_holds() -> None:
    assert answer_directives(b"stale-if-error=5, stale-if-error=50").stale_if_error == 5
    assert (
        answer_directives(b"stale-while-revalidate=50, stale-while-revalidate=5").stale_while_revalidate == 5
    )


def test_5_2_1_directives_of_requests() -> None:
    def read(value: bytes) -> RequestDirectives:
        return request_directives({b"cache-control": value})

    assert read(b"max-age=5, min-fresh=3, max-stale=7, stale-if-error=9") == RequestDirectives(
        max_age=5, min_fresh=3, max_stale=7, stale_if_error=9
    )
    assert read(b"no-cache, No-Store, only-if-cached") == RequestDirectives(
        no_cache=True, no_store=True, only_if_cached=True
    )
    assert read(b"max-stale").max_stale == MOST_SECONDS
    # Malformed or several: what restricts more.
    assert read(b"max-stale=x").max_stale is None
    assert read(b"max-stale, max-stale=5").max_stale == 5
    assert read(b"max-age=x").max_age == 0
    assert read(b"max-age=9, max-age=4").max_age == 4
    assert read(b"min-fresh=x").min_fresh == MOST_SECONDS
    assert read(b"stale-if-error").stale_if_error == 0


def test_5_4_pragma_counts_only_without_cache_control() -> None:
    assert request_directives({b"pragma": b"No-Cache, x"}).no_cache
    assert not request_directives({b"pragma": b"x=no-cache"}).no_cache
    assert not request_directives({b"pragma": b"no-cache", b"cache-control": b"max-age=5"}).no_cache
    assert request_directives({}) == RequestDirectives()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *((None, 0), (b"0", 0), (b"7200", 7200), (b"7200, 0", 7200), (b"0,7200", 0), (b"7200 ,1", 7200)),
        *((b"abc", 0), (b"-7200", 0), (b"7200.0", 0), (b"", 0), (b"9" * 40, MOST_SECONDS)),
    ],
)
def test_5_1_age_is_the_first_and_ignored_when_invalid(value: bytes | None, seconds: int) -> None:
    assert parse_age(value) == seconds


def test_what_is_longer_than_is_remembered_is_read_alike() -> None:
    padding = b", x=" + b"y" * 1000
    assert answer_directives(b"max-age=60" + padding) == AnswerDirectives(max_age=60)
    assert request_directives({b"cache-control": b"max-age=60" + padding}) == RequestDirectives(max_age=60)
