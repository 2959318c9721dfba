"""Header hygiene, both ways."""

import pytest

from services.gateway.forwarding.headers import answer_headers, forwarded_headers, request_headers

Headers = list[tuple[bytes, bytes]]


@pytest.mark.parametrize(
    "name",
    [
        *(b"connection", b"keep-alive", b"proxy-authorization", b"proxy-connection", b"te", b"trailer"),
        *(b"upgrade", b"authorization", b"x-api-key", b"host", b"expect", b"forwarded", b"x-forwarded-for"),
        *(b"x-forwarded-anything", b"x-kontor-identity", b"x-kontor-other", b"x-real-ip", b"x-request-id"),
        *(b"traceparent", b"tracestate", b"via"),
    ],
)
def test_what_does_not_go_on(name: bytes) -> None:
    assert request_headers([(name, b"x"), (b"accept", b"*/*")]) == [(b"accept", b"*/*")]


def test_fields_named_in_connection_stay_here() -> None:
    headers: Headers = [
        (b"connection", b"close, X-One"),
        (b"connection", b" x-two "),
        (b"x-one", b"1"),
        (b"x-two", b"2"),
        (b"x-three", b"3"),
    ]
    assert request_headers(headers) == [(b"x-three", b"3")]


def test_connection_cannot_take_the_framing_away() -> None:
    headers: Headers = [(b"connection", b"content-length"), (b"content-length", b"5")]
    assert request_headers(headers) == [(b"content-length", b"5")]
    assert (b"content-length", b"5") in answer_headers(200, headers)


def test_one_framing_only() -> None:
    headers: Headers = [(b"content-length", b"5"), (b"transfer-encoding", b"Chunked")]
    assert request_headers(headers) == [(b"transfer-encoding", b"chunked")]


def test_repeated_fields_keep_their_order() -> None:
    headers: Headers = [(b"cookie", b"a"), (b"accept", b"1"), (b"cookie", b"b")]
    assert request_headers(headers) == headers


def test_what_we_say_of_a_request() -> None:
    said = dict(
        forwarded_headers(
            [(b"via", b"1.0 a"), (b"via", b"1.1 b")],
            client="10.0.0.1",
            scheme="http",
            host=b"kontor.example",
            request_id="r",
        )
    )
    assert said[b"via"] == b"1.0 a, 1.1 b, 1.1 kontor"
    assert said[b"x-forwarded-for"] == b"10.0.0.1"
    assert said[b"x-forwarded-host"] == b"kontor.example"


def test_answers() -> None:
    headers: Headers = [
        (b"Content-Type", b"text/plain"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Connection", b"X-Mine"),
        (b"X-Mine", b"1"),
        (b"X-Kontor-Terms", b"1"),
        (b"X-Request-Id", b"theirs"),
        (b"Set-Cookie", b"a"),
        (b"Set-Cookie", b"b"),
    ]
    assert answer_headers(200, headers) == [
        (b"content-type", b"text/plain"),
        (b"set-cookie", b"a"),
        (b"set-cookie", b"b"),
        (b"via", b"1.1 kontor"),
    ]


@pytest.mark.parametrize(("status", "kept"), [(200, True), (204, False), (304, False), (206, True)])
def test_no_length_where_there_is_no_body(status: int, kept: bool) -> None:
    assert ((b"content-length", b"9") in answer_headers(status, [(b"Content-Length", b"9")])) is kept
