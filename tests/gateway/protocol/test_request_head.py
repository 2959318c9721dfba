"""Request heads: what is read from them, what is refused, and with which status."""

import pytest

from services.gateway.caching.http.decision import REQUEST_FIELDS
from services.gateway.protocol.request_head import CACHE_FIELDS, RequestHead, parse_request_head
from services.gateway.request_ids import accepted
from shared.problems import Problem


def head(*lines: bytes, first: bytes = b"GET /x?q=1 HTTP/1.1", host: bytes = b"Host: a") -> RequestHead:
    return parse_request_head(b"\r\n".join([first, *([host] if host else []), *lines]))


def refused(*lines: bytes, first: bytes = b"POST / HTTP/1.1", host: bytes = b"Host: a") -> tuple[int, str]:
    with pytest.raises(Problem) as caught:
        head(*lines, first=first, host=host)
    return caught.value.status, caught.value.code


def test_an_ordinary_head() -> None:
    request = head(b"Accept: */*", b"X-Api-Key: k", b"User-Agent: t/1")
    assert (request.method, request.target, request.path, request.query) == (b"GET", b"/x?q=1", b"/x", b"q=1")
    assert request.fields.lines == [b"Accept: */*", b"User-Agent: t/1"]
    assert request.fields.onward == (b"Accept: */*\r\nUser-Agent: t/1\r\nVia: 1.1 kontor\r\n")
    assert request.fields.found == {b"host": b"a", b"x-api-key": b"k"}
    assert (request.fields.body_length, request.close, request.http10) == (0, False, False)
    assert (request.fields.upgrade, request.fields.expects_continue) == (None, False)


@pytest.mark.parametrize(
    "target",
    [
        b"/",
        b"//a",
        b"/%00?%0a",
        b"/a;b=c,d",
        b"/?",
        b"/?a?b",
        b'/"<>\\^`{|}',
        b"/:80@x",
        b"/..",
        b"/[a]?[b]=c",
    ],
)
def test_targets_stay_as_they_came(target: bytes) -> None:
    assert head(first=b"GET %b HTTP/1.1" % target).target == target


@pytest.mark.parametrize(
    "first",
    [
        *(
            b"",
            b"GET",
            b"GET /",
            b"GET  / HTTP/1.1",
            b"GET /  HTTP/1.1",
            b"GET / HTTP/1.1 ",
            b" GET / HTTP/1.1",
        ),
        *(
            b"GET\t/ HTTP/1.1",
            b"GET /\tHTTP/1.1",
            b"GET /a b HTTP/1.1",
            b"GET / http/1.1",
            b"GET / HTTP/1.1\r",
        ),
        *(
            b"GET / HTTP/1.1\n",
            b"G\x00T / HTTP/1.1",
            b"G(T / HTTP/1.1",
            b"GET /\x00 HTTP/1.1",
            b"GET /\x7f HTTP/1.1",
        ),
        *(b"GET /caf\xc3\xa9 HTTP/1.1", b"GET /#part HTTP/1.1", b"GET x HTTP/1.1", b"GET ?x HTTP/1.1"),
        *(
            b"GET ftp://a/ HTTP/1.1",
            b"GET http:///x HTTP/1.1",
            b"GET http://a b/ HTTP/1.1",
            b"GET http:/a HTTP/1.1",
        ),
        *(
            b"GET / HTTP/11",
            b"GET / HTTP/1.10",
            b"GET / HTTP/01.1",
            b"GET / XTTP/1.1",
            b"X" * 33 + b" / HTTP/1.1",
        ),
        *(
            b"GET * HTTP/1.1",
            b"GET http://a#b HTTP/1.1",
            b"GET / HTTP/1.\xb9",
            b"\x16\x03\x01\x02\x00\x01\x00",
        ),
    ],
)
def test_request_lines_that_are_none(first: bytes) -> None:
    assert refused(first=first) == (400, "malformed_request")


@pytest.mark.parametrize("version", [b"2.0", b"2", b"3", b"0.9", b"1.2", b"9.9"])
def test_versions(version: bytes) -> None:
    assert refused(first=b"GET / HTTP/" + version) == (505, "unknown_version")


def test_the_preface_of_http_2() -> None:
    assert refused(first=b"PRI * HTTP/2.0", host=b"") == (505, "unknown_version")


@pytest.mark.parametrize("first", [b"CONNECT a:443 HTTP/1.1", b"OPTIONS * HTTP/1.1"])
def test_what_names_no_resource(first: bytes) -> None:
    assert refused(first=first) == (501, "not_a_resource")


@pytest.mark.parametrize(
    ("first", "host", "target"),
    [
        (b"GET http://a/x?q HTTP/1.1", b"Host: a", b"/x?q"),
        (b"GET HTTPS://A:80 HTTP/1.1", b"Host: a:80", b"/"),
        (b"GET http://a?q HTTP/1.1", b"Host: a", b"/?q"),
        (b"GET http://[::1]:8000//x HTTP/1.0", b"Host: [::1]:8000", b"//x"),
    ],
)
def test_absolute_form(first: bytes, host: bytes, target: bytes) -> None:
    assert head(first=first, host=host).target == target


@pytest.mark.parametrize(
    ("first", "host"),
    [
        (b"GET http://a/ HTTP/1.1", b"Host: b"),
        (b"GET http://a:80/ HTTP/1.1", b"Host: a"),
        (b"GET http://me@a/ HTTP/1.1", b"Host: a"),
        (b"GET http://me@a/ HTTP/1.1", b"Host: me@a"),
        (b"GET http://a/ HTTP/1.1", b""),
        (b"GET http://a/ HTTP/1.0", b""),
    ],
)
def test_absolute_form_and_host_must_agree(first: bytes, host: bytes) -> None:
    assert refused(first=first, host=host) == (400, "malformed_request")


@pytest.mark.parametrize(
    "host",
    [
        *(b"", b"Host:", b"Host: a b", b"Host: a,b", b"Host: a/b", b"Host: a@b", b"Host: a:", b"Host: a:x"),
        *(b"Host: a:123456", b"Host: [::1", b"Host: ::1", b"Host: [x]", b"Host: a\\b", b"Host: caf\xe9"),
        *(
            b"Host: a\r\nHost: a",
            b"Host: a\r\nhost: b",
            b"Host: a#",
            b"Host: a?",
            b'Host: "a"',
            b"Host: a:-1",
        ),
    ],
)
def test_exactly_one_good_host(host: bytes) -> None:
    if host == b"Host: a,b":  # a sub-delimiter: RFC 3986 lets a registered name have it
        assert head(host=host).fields.found[b"host"] == b"a,b"
    else:
        assert refused(host=host) == (400, "malformed_request")


def test_http_1_0_closes_and_needs_no_host() -> None:
    request = head(b"Connection: keep-alive", first=b"GET / HTTP/1.0", host=b"")
    assert (request.http10, request.close) == (True, True)


LENGTHS = [
    *(
        b"",
        b"-1",
        b"+1",
        b"0x5",
        b"5a",
        b"a",
        b"1.0",
        b"1e2",
        b"5 5",
        b"5,5",
        b"5, 5",
        b"5;",
        b"5_0",
        b"\xb2",
    ),
    *(b"9" * 16, b"9" * 40, b"0" * 20, b"'5'", b"five"),
]


@pytest.mark.parametrize("length", LENGTHS)
def test_lengths_that_are_none(length: bytes) -> None:
    assert refused(b"Content-Length: " + length) == (400, "malformed_request")


def test_lengths() -> None:
    assert head(b"Content-Length:5").fields.body_length == 5
    assert head(b"Content-Length:\t005 ").fields.body_length == 5
    assert head(b"Content-Length: " + b"9" * 15).fields.body_length == 10**15 - 1
    assert head(b"Content-Length: 0").fields.body_length == 0


@pytest.mark.parametrize(
    "lines",
    [
        (b"Content-Length: 5", b"Content-Length: 5"),
        (b"Content-Length: 5", b"content-length: 6"),
        (b"Content-Length: 5", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: chunked", b"Content-Length: 5"),
        (b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"),
        (b"Transfer-Encoding : chunked",),
        (b"Transfer-Encoding\t: chunked",),
        (b" Transfer-Encoding: chunked",),
        (b"Transfer-Encoding:\x0bchunked",),
        (b"Transfer-Encoding: chunked\x00",),
        (b"Transfer-Encoding: chunked\r",),
        (b"Transfer-Encoding:", b" chunked"),
        (b"Transfer\x00-Encoding: chunked",),
        (b"X: y\nTransfer-Encoding: chunked",),
        (b"X: y\rTransfer-Encoding: chunked",),
        (b"X: y\n",),
        (b"X", b"Y: z"),
    ],
)
def test_contradictions_and_disguises(lines: tuple[bytes, ...]) -> None:
    assert refused(*lines) == (400, "malformed_request")


@pytest.mark.parametrize(
    "coding",
    [
        b"xchunked",
        b"chunked, identity",
        b"gzip, chunked",
        b"chunked,",
        b"identity",
        b"",
        b'"chunked"',
        b"chunked;q=1",
    ],
)
def test_only_chunked_is_known(coding: bytes) -> None:
    assert refused(b"Transfer-Encoding: " + coding) == (501, "unknown_coding")


def test_chunked() -> None:
    assert head(b"Transfer-Encoding:\tChunked ").fields.body_length == -1
    assert refused(b"Transfer-Encoding: chunked", first=b"POST / HTTP/1.0") == (400, "malformed_request")


def test_expectations() -> None:
    assert head(b"Expect: 100-Continue", b"Content-Length: 5").fields.expects_continue
    assert not head(b"Expect: 100-continue", b"Content-Length: 0").fields.expects_continue
    assert refused(b"Expect: tea") == (417, "unknown_expectation")
    assert refused(b"Expect: 100-continue", b"Expect: 100-continue") == (417, "unknown_expectation")


def test_connection_options() -> None:
    request = head(b"Connection: X-One, close", b"X-One: 1", b"connection: x-two", b"X-Two: 2", b"X-Three: 3")
    assert request.close
    assert request.fields.lines == [b"X-Three: 3"]


def test_connection_takes_neither_the_framing_nor_the_host_away() -> None:
    request = head(b"Connection: content-length, host, transfer-encoding", b"Content-Length: 5", b"Accept: x")
    assert (request.fields.body_length, request.fields.found[b"content-length"]) == (5, b"5")
    assert request.fields.found[b"host"] == b"a"
    assert request.fields.lines == [b"Accept: x"]


def test_a_key_that_stays_here_makes_nothing_repeatable() -> None:
    """A replica that does not see the key would do the work twice."""
    request = head(b"Connection: Idempotency-Key", b"Idempotency-Key: 1")
    assert request.fields.lines == []
    assert b"idempotency-key" not in request.fields.found


@pytest.mark.parametrize(
    "name",
    [
        *(b"Connection", b"Keep-Alive", b"Proxy-Authenticate", b"Proxy-Authorization", b"Proxy-Connection"),
        *(b"TE", b"Trailer", b"Upgrade", b"Authorization", b"X-Api-Key", b"Forwarded", b"X-Forwarded-For"),
        *(b"X-Forwarded-Anything", b"X-Kontor-Identity", b"X-Kontor-Other", b"X-Real-IP", b"X-Request-Id"),
        *(b"Traceparent", b"Tracestate", b"Via", b"X_Forwarded_For", b"X_Kontor_Identity", b"Content_Length"),
    ],
)
def test_what_does_not_go_on(name: bytes) -> None:
    assert head(name + b": x", b"Accept: */*").fields.lines == [b"Accept: */*"]


def test_repeated_fields_keep_their_order() -> None:
    lines = [b"Cookie: a", b"Accept: 1", b"Cookie: b"]
    assert head(*lines).fields.lines == lines
    assert head(b"Via: 1.0 a", b"Via: 1.1 b").fields.found[b"via"] == b"1.0 a, 1.1 b"


def test_an_idempotency_key_is_read_and_passed_on() -> None:
    request = head(b"Idempotency-Key: 1")
    assert (request.fields.lines, request.fields.found[b"idempotency-key"]) == ([b"Idempotency-Key: 1"], b"1")


WEBSOCKET = (b"Connection: keep-alive, Upgrade", b"Upgrade: WebSocket")


def test_upgrades() -> None:
    assert head(*WEBSOCKET).fields.upgrade == b"WebSocket"


@pytest.mark.parametrize(
    ("lines", "first"),
    [
        ((b"Upgrade: websocket",), b"GET / HTTP/1.1"),
        ((b"Connection: Upgrade",), b"GET / HTTP/1.1"),
        # Requests inside such a connection would pass by routing, keys and limits.
        ((b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: x"), b"GET / HTTP/1.1"),
        ((b"Connection: Upgrade", b"Upgrade: websocket, h2c"), b"GET / HTTP/1.1"),
        ((b"Connection: Upgrade", b"Upgrade: websocket", b"Upgrade: h2c"), b"GET / HTTP/1.1"),
    ],
)
def test_no_upgrade(lines: tuple[bytes, ...], first: bytes) -> None:
    assert head(*lines, first=first).fields.upgrade is None


@pytest.mark.parametrize("framing", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
def test_an_upgrade_has_no_body(framing: bytes) -> None:
    assert refused(*WEBSOCKET, framing) == (400, "malformed_request")


def test_http_1_0_cannot_be_upgraded() -> None:
    assert refused(*WEBSOCKET, first=b"GET / HTTP/1.0") == (400, "malformed_request")


def usable(request_id: bytes | None) -> bytes | None:
    return request_id if accepted(request_id) else None


TRACEPARENT = b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"


@pytest.mark.parametrize(
    ("lines", "request_id", "traceparent"),
    [
        ([b"X-Request-Id: 1", b"traceparent: " + TRACEPARENT], b"1", TRACEPARENT),
        ([b"x-request-id:1", b"Traceparent:\t" + TRACEPARENT], b"1", TRACEPARENT),
        ([b"traceparent: " + TRACEPARENT, b"Accept: x", b"X-REQUEST-ID: 1 "], b"1", TRACEPARENT),
        ([b"X-Request-Id: a b", b"traceparent: nonsense"], None, b"nonsense"),
        ([b"X-Request-Id: 1", b"x-request-id: 2"], None, None),
        ([b"X-Request-Id: 1", b"X-Request-Id:1"], None, None),
        ([b"traceparent: " + TRACEPARENT] * 2, None, TRACEPARENT + b", " + TRACEPARENT),
        ([], None, None),
    ],
)
def test_what_differs_in_each_request(
    lines: list[bytes], request_id: bytes | None, traceparent: bytes | None
) -> None:
    """However it is written, wherever it stands, and whether or not the rest of the block was seen before."""
    for host in (b"Host: a", b""):
        first = b"GET / HTTP/1.1" if host else b"GET / HTTP/1.0"
        for _ in range(2):
            request = head(*lines, b"Accept: y", first=first, host=host)
            found = request.fields.found
            assert usable(found.get(b"x-request-id")) == request_id
            assert found.get(b"traceparent") == traceparent
            assert b"Accept: y" in request.fields.lines
            assert not any(b"request-id" in line.lower() for line in request.fields.lines)


def test_a_line_that_is_taken_out_does_not_join_its_neighbours() -> None:
    assert refused(b"X-Request-Id: 1", b" folded") == (400, "malformed_request")
    assert refused(b"traceparent: " + TRACEPARENT, b"\tfolded") == (400, "malformed_request")
    assert refused(b"Transfer-Encoding:", b"X-Request-Id: 1", b" chunked") == (400, "malformed_request")
    assert head(b"A: 1", b"X-Request-Id: 1", b"B: 2").fields.lines == [b"A: 1", b"B: 2"]


def test_the_fields_that_the_cache_goes_by_are_noted() -> None:
    own = {b"authorization", b"x-api-key", b"content-length", b"transfer-encoding"}
    assert REQUEST_FIELDS - own == CACHE_FIELDS
