"""What may be stored: RFC 9111 3."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.caching.http.decision import Rules
from services.gateway.caching.http.outcomes import Refusal
from services.gateway.caching.http.stored import StorePlan
from services.gateway.caching.http.storing import UNDERSTOOD
from tests.gateway.caching.http.answers import date, plan, refused, stored

FRESH = b"Cache-Control: max-age=60"
KEY = b"Authorization: Bearer kontor_x"


@pytest.mark.parametrize(
    "method", [b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"QUERY", b"get"]
)
def test_3_only_answers_to_a_method_that_is_understood_are_stored(method: bytes) -> None:
    assert refused(FRESH, method=method) == "method"


@pytest.mark.parametrize(
    "status", [100, 103, 206, 299, 304, 400, 401, 403, 408, 412, 413, 416, 429, 431, 500, 503, 600]
)
def test_3_only_final_statuses_that_are_understood_are_stored(status: int) -> None:
    assert refused(FRESH, status=status) == "status"
    assert refused(b"Cache-Control: max-age=60, must-understand", status=status) == "status"


@pytest.mark.parametrize("status", sorted(UNDERSTOOD))
def test_3_statuses_that_are_understood_are_stored_with_a_lifetime(status: int) -> None:
    assert refused(FRESH, status=status) is None


def test_3_no_store_is_not_stored() -> None:
    assert refused(b"Cache-Control: max-age=60, no-store") == "no-store"
    assert refused(b"Cache-Control: public", b"Cache-Control: No-Store") == "no-store"


def test_5_2_1_5_no_store_of_the_request_is_obeyed() -> None:
    assert refused(FRESH, request=(b"Cache-Control: no-store",)) == "request-no-store"


def test_5_2_2_3_must_understand_overrides_no_store_for_statuses_that_are_understood() -> None:
    assert refused(b"Cache-Control: max-age=60, no-store, must-understand") is None
    assert refused(b"Cache-Control: max-age=60, no-store, must-understand=no") == "no-store"


def test_5_2_2_7_private_is_not_stored_by_a_shared_cache() -> None:
    private = b"Cache-Control: private, max-age=60"
    assert refused(private) == "private"
    assert refused(private, shared=False) is None


@pytest.mark.parametrize("directive", [b"private", b"no-cache"])
def test_5_2_2_4_and_5_2_2_7_listed_fields_are_not_stored_the_rest_is(directive: bytes) -> None:
    kept = stored(
        b"Cache-Control: max-age=60, " + directive + b'="X-A, etag"', b"x-a: 1", b"X-B: 2", b'ETag: "t"'
    )
    assert (b"\nx-a:" in kept.head, b"\nX-B: 2\r\n" in kept.head) == (False, True)
    assert kept.etag is None
    assert kept.conditions == ()


@pytest.mark.parametrize("header", [KEY, b"X-Api-Key: kontor_x"])
@pytest.mark.parametrize(
    ("directives", "code"),
    [
        (b"max-age=60", "authorization"),
        (b"max-age=60, s-maxage=x", "authorization"),
        (b"max-age=60, public=1", "authorization"),
        (b"max-age=60, proxy-revalidate", "authorization"),
        *((b"max-age=60, " + permit, None) for permit in (b"public", b"must-revalidate", b"s-maxage=60")),
    ],
)
def test_3_5_answers_to_requests_with_credentials(header: bytes, directives: bytes, code: str | None) -> None:
    control = b"Cache-Control: " + directives
    assert refused(control, b'ETag: "t"', request=(header,)) == code
    # A cache of one principal's answers is a private one, to which the rule does not apply.
    assert refused(control, b'ETag: "t"', request=(header,), shared=False) is None


@pytest.mark.parametrize(
    ("lines", "status", "shared", "code"),
    [
        ((b"Cache-Control: public", b'ETag: "t"'), 302, True, None),
        ((b"Expires: " + date(60),), 302, True, None),
        ((FRESH,), 302, True, None),
        ((b"Cache-Control: s-maxage=60",), 302, True, None),
        ((b"Cache-Control: s-maxage=60",), 302, False, "no-freshness"),
        ((b'ETag: "t"',), 302, True, "no-freshness"),
        ((b'ETag: "t"',), 200, True, None),
    ],
)
def test_3_something_must_say_that_it_may_be_stored(
    lines: tuple[bytes, ...], status: int, shared: bool, code: str | None
) -> None:
    outcome = plan(*lines, status=status, shared=shared)
    # Useful is another question: here only whether it is allowed counts.
    found = outcome.code if isinstance(outcome, Refusal) and outcome.code != "no-use" else None
    assert found == code


def test_4_1_vary_star_is_not_stored() -> None:
    for value in (b"*", b"accept, *", b"a b", b", ".join(b"x-%d" % number for number in range(17))):
        assert refused(FRESH, b"Vary: " + value) == "vary"


def test_3_4_parts_are_not_stored() -> None:
    assert refused(FRESH, b"Content-Range: bytes 0-4/10", status=206) == "status"
    assert refused(FRESH, b"Content-Range: bytes 0-4/10") == "partial"


def test_3_3_an_answer_that_is_cut_short_is_not_stored() -> None:
    outcome = plan(FRESH, b"Content-Length: 10")
    assert isinstance(outcome, StorePlan)
    assert outcome.complete(9) is None
    assert outcome.complete(10) is not None
    without = plan(FRESH)
    assert isinstance(without, StorePlan)
    assert without.complete(9) is not None


def test_7_3_an_answer_with_a_cookie_is_not_stored_unless_the_field_is_left_out() -> None:
    cookie = b"Set-Cookie: session=1"
    for shared in (True, False):
        assert refused(b"Cache-Control: public, max-age=60", cookie, shared=shared) == "set-cookie"
    kept = stored(b'Cache-Control: public, max-age=60, no-cache="set-cookie"', cookie)
    assert b"session" not in kept.head


def test_3_1_all_fields_are_stored_but_those_of_the_connection_and_of_proxies() -> None:
    dropped = (
        b"Connection: x",
        b"Keep-Alive: 5",
        b"TE: x",
        b"Transfer-Encoding: chunked",
        b"Upgrade: x",
        b"Age: 5",
    )
    proxies = (b"Proxy-Authenticate: x", b"Proxy-Authorization: x", b"Proxy-Authentication-Info: x")
    kept = stored(FRESH, b"X-Unknown: \xe9", b"x-twice: 1", b"X-Twice: 2", *dropped, *proxies)
    assert kept.head == (
        b"Cache-Control: max-age=60\r\nX-Unknown: \xe9\r\nx-twice: 1\r\nX-Twice: 2\r\nDate: "
        + date()
        + b"\r\n"
    )


@pytest.mark.parametrize("given_date", [None, b"yesterday"])
def test_rfc9110_6_6_1_an_answer_without_a_date_gets_that_of_its_arrival(given_date: bytes | None) -> None:
    lines = () if given_date is None else (b"Date: " + given_date,)
    assert (
        stored(FRESH, *lines, dated=False).head == b"Cache-Control: max-age=60\r\ndate: " + date() + b"\r\n"
    )


@pytest.mark.parametrize(
    "header",
    [
        b"Content-Length: 5",
        b"Transfer-Encoding: chunked",
        b"X-HTTP-Method-Override: POST",
        b"X-Original-URL: /admin",
    ],
)
def test_what_no_key_holds_must_not_decide_what_others_get(header: bytes) -> None:
    assert refused(FRESH, request=(header,)) == "unkeyed-input"


def test_a_body_of_no_bytes_is_none() -> None:
    assert refused(FRESH, request=(b"Content-Length: 0",)) is None


def test_what_can_be_of_no_use_is_not_stored() -> None:
    assert refused(b"Cache-Control: max-age=0") == "no-use"
    assert refused(b"Cache-Control: max-age=0", b'ETag: "t"') is None
    assert refused(b'ETag: "t"', status=404) == "no-use"  # a 304 would confirm no 404
    assert refused(b"Last-Modified: " + date(-60), rules=Rules(heuristics=False)) is None


@given(st.text('privatenosore-=,"x ').map(str.encode))
def test_whatever_the_rest_says_private_and_no_store_hold(value: bytes) -> None:
    for directive in (b"private", b"no-store"):
        assert refused(b"Cache-Control: max-age=60, " + directive + b", " + value) is not None


def test_rfc9213_2_2_targeted_fields_for_others_change_nothing_and_are_passed_on() -> None:
    kept = stored(FRESH, b"Other-Cache-Control: no-store", b"Surrogate-Control: no-store")
    assert kept.freshness.lifetime_s == 60
    assert b"Other-Cache-Control: no-store\r\n" in kept.head


def test_rfc9213_3_1_an_unknown_directive_in_a_targeted_field_still_overrides_cache_control() -> None:
    assert refused(b"CDN-Cache-Control: none", b"Cache-Control: no-store", b'ETag: "t"') is None
    assert refused(b"CDN-Cache-Control:", b"Cache-Control: no-store", b'ETag: "t"') == "no-store"


@pytest.mark.parametrize("name", [b"CDN-Cache-Control", b"Kontor-Cache-Control"])
def test_rfc9213_2_2_no_store_and_private_of_a_targeted_field_are_obeyed(name: bytes) -> None:
    for directive in (b"no-store", b"private"):
        line = name + b": max-age=60, " + directive
        assert refused(line, b"Cache-Control: public, max-age=60") == directive.decode()
