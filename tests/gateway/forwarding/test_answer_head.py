"""The heads of replicas' answers: read strictly, passed on cleanly, and h11 agrees."""

import h11
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.gateway.forwarding.answer_head import (
    CHUNKED,
    READER,
    UNTIL_CLOSE,
    AnswerHead,
    BadAnswerError,
    parse_answer_head,
)
from tests.gateway.protocol.memory import forget


def answer(*lines: bytes, first: bytes = b"HTTP/1.1 200 OK", is_head: bool = False) -> AnswerHead:
    return parse_answer_head(b"\r\n".join([first, *lines]), is_head)


def test_an_ordinary_answer() -> None:
    head = answer(
        b"Content-Type: text/plain",
        b"Content-Length: 5",
        b"Set-Cookie: a",
        b"X-Kontor-Terms: 1",
        b"X-Request-Id: theirs",
        b"Set-Cookie: b",
        b"Endpoint-Load-Metrics: TEXT eps=1",
    )
    assert (head.status, head.status_line, head.length, head.close) == (200, b"HTTP/1.1 200 OK", 5, False)
    assert head.onward.split(b"\r\n") == [
        b"Content-Type: text/plain",
        b"Content-Length: 5",
        b"Set-Cookie: a",
        b"Set-Cookie: b",
        b"",
    ]
    assert head.found[b"endpoint-load-metrics"] == b"TEXT eps=1"


@pytest.mark.parametrize(
    "first",
    [
        *(
            b"",
            b"HTTP/1.1",
            b"HTTP/1.1 ",
            b"HTTP/1.1 20",
            b"HTTP/1.1 2000",
            b"HTTP/1.1 099 x",
            b"HTTP/1.1 2x0",
        ),
        *(
            b"HTTP/1.1  200",
            b" HTTP/1.1 200",
            b"HTTP/2 200",
            b"HTTP/1.2 200 OK",
            b"http/1.1 200 OK",
            b"ICY 200 OK",
        ),
        *(b"HTTP/1.1 200OK", b"HTTP/1.1 200 O\x00K", b"HTTP/1.1 200 O\rK", b"HTTP/1.1\t200 OK", b"garbage"),
        *(b"HTTP/1.1 200 OK\n", b"HTTP/1.1 -20 OK", b"HTTP/1.1 +20 OK", b"HTTP/1.1 \xb200 OK", b"200 OK"),
    ],
)
def test_status_lines_that_are_none(first: bytes) -> None:
    for _ in range(2):
        with pytest.raises(BadAnswerError):
            answer(first=first)


@pytest.mark.parametrize(
    ("first", "line"),
    [
        (b"HTTP/1.1 299", b"HTTP/1.1 299"),
        (b"HTTP/1.1 204 ", b"HTTP/1.1 204 "),
        (b"HTTP/1.0 404 Not Found", b"HTTP/1.1 404 Not Found"),
        (b"HTTP/1.1 200 \xc3\xa0 la carte", b"HTTP/1.1 200 \xc3\xa0 la carte"),
    ],
)
def test_status_lines(first: bytes, line: bytes) -> None:
    assert answer(first=first).status_line == line


@pytest.mark.parametrize(
    "lines",
    [
        (b"Content-Length: 5", b"Transfer-Encoding: chunked"),
        (b"Content-Length: 5", b"Content-Length: 5"),
        (b"Content-Length: 5", b"content-length: 6"),
        (b"Content-Length: -1",),
        (b"Content-Length: +1",),
        (b"Content-Length: 0x1",),
        (b"Content-Length:",),
        (b"Content-Length: 5 5",),
        (b"Content-Length: \xb2",),
        (b"Content-Length: " + b"1" * 16,),
        (b"Transfer-Encoding: gzip, chunked",),
        (b"Transfer-Encoding: identity",),
        (b"Transfer-Encoding:",),
        (b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding : chunked",),
        (b"Content-Length\t: 5",),
        (b"X: a", b" folded"),
        (b"X: a\x00",),
        (b"X: a\nY: b",),
        (b"X: a\rY: b",),
        (b"no colon",),
        (b"Content-Type",),
        (b": x",),
    ],
)
@pytest.mark.parametrize("is_head", [False, True])
def test_what_is_no_answer(lines: tuple[bytes, ...], is_head: bool) -> None:
    answer(b"Content-Type: x", b"X: y")
    for first in (b"HTTP/1.1 200 OK", b"HTTP/1.1 304 x", b"HTTP/1.1 103 x"):
        with pytest.raises(BadAnswerError):
            answer(*lines, first=first, is_head=is_head)


@pytest.mark.parametrize(
    ("lines", "length", "close"),
    [
        ((), UNTIL_CLOSE, True),
        ((b"Content-Length: 0",), 0, False),
        ((b"Content-Length: 007 ",), 7, False),
        ((b"Transfer-Encoding:\tChunked",), CHUNKED, False),
        ((b"Content-Length: 7", b"Connection: close"), 7, True),
        ((b"Content-Length: 7", b"Connection: x, Close"), 7, True),
        ((b"Content-Length: 7", b"Connection: Keep-Alive"), 7, False),
    ],
)
def test_where_the_body_ends(lines: tuple[bytes, ...], length: int, close: bool) -> None:
    head = answer(*lines)
    assert (head.length, head.close) == (length, close)
    assert answer(*lines, first=b"HTTP/1.0 200 OK").close


@pytest.mark.parametrize(
    ("status", "is_head", "kept"),
    [(204, False, False), (304, False, True), (100, False, False), (103, False, False), (200, True, True)],
)
def test_answers_without_body(status: int, is_head: bool, kept: bool) -> None:
    first = b"HTTP/1.1 %d x" % status
    head = answer(b"Content-Length: 9", first=first, is_head=is_head)
    assert (head.length, head.close, b"Content-Length" in head.onward) == (0, False, kept)
    for lines in ((), (b"Transfer-Encoding: chunked",)):
        head = answer(*lines, first=first, is_head=is_head)
        assert (head.length, head.close, head.onward) == (0, False, b"")


def test_the_connection_s_own_fields_stay_here() -> None:
    head = answer(
        b"Connection: X-Mine, content-length",
        b"X-Mine: 1",
        b"Keep-Alive: timeout=5",
        b"Proxy-Authenticate: x",
        b"Proxy-Connection: x",
        b"Trailer: x",
        b"TE: x",
        b"Upgrade: h2c",
        b"Via: 1.0 a",
        b"Via: 1.1 b",
        b"Content-Length: 5",
    )
    assert (head.onward, head.length, head.via) == (b"Content-Length: 5\r\n", 5, b"1.0 a, 1.1 b")


LINES = [
    *(
        b"Content-Length: 5",
        b"Content-Length: 3, 3",
        b"content-length:0",
        b"Content-Length: 5 ",
        b"Content-Length",
    ),
    *(
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: CHUNKED",
        b"Transfer-Encoding: gzip",
        b"TE: x",
        b" x",
    ),
    *(
        b"Connection: close",
        b"Connection: keep-alive",
        b"Connection: x-a",
        b"X-A: 1",
        b"X-A",
        b"x-a:\t1\t ",
        b"X-A : 1",
    ),
    *(
        b"Via: 1.1 x",
        b"Set-Cookie: a=b; c",
        b"Server: \xe9",
        b"Bad: \x00",
        b"Bad: \x0b",
        b"Bad\x00: x",
        b": x",
        b"",
    ),
    *(b"Date: today\nX: y", b"Date: today\rX: y", b"X_A: 1", b'ETag: "x"', b"Trailer: x", b"Keep-Alive: 5"),
]
FIRSTS = [
    *(b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK", b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 Not Modified"),
    *(
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 ",
        b"HTTP/1.1 500 \xe9",
        b"HTTP/1.1 999 x",
        b"HTTP/1.1  200 OK",
        b"HTTP/1.2 200 x",
    ),
]
blocks = st.builds(
    lambda first, lines: b"\r\n".join([first, *lines]),
    st.sampled_from(FIRSTS),
    st.lists(st.sampled_from(LINES), max_size=6),
)
BODY = b"3\r\nabc\r\n0\r\n\r\n"


@given(blocks, st.booleans())
def test_what_is_accepted_h11_reads_alike(block: bytes, is_head: bool) -> None:
    assume(b"\r\n\r\n" not in block + b"\r\n")  # a block is what comes before the first empty line
    try:
        head = parse_answer_head(block, is_head)
    except BadAnswerError:
        return
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="HEAD" if is_head else "GET", target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    # h11 complains of what comes after a connection's last answer.
    sent_body = BODY[: head.length] if head.close and head.length >= 0 else BODY
    connection.receive_data(block + b"\r\n\r\n" + sent_body)
    seen = connection.next_event()
    assert isinstance(seen, h11.Response)
    assert seen.status_code == head.status
    body, complete = b"", False
    while isinstance(event := connection.next_event(), h11.Data | h11.EndOfMessage):
        body += bytes(event.data) if isinstance(event, h11.Data) else b""
        complete = complete or isinstance(event, h11.EndOfMessage)
    if head.length == CHUNKED:
        assert (body, complete) == (b"abc", True)
    elif head.length == UNTIL_CLOSE:
        assert (body, complete) == (BODY, False)
    else:
        assert (body, complete) == (BODY[: head.length], True)
    # h11 gives the rest back only where the connection may go on.
    assert head.close or connection.their_state is h11.DONE
    passed = [line.partition(b":") for line in head.onward.split(b"\r\n")[:-1]]
    sent = [(name.lower(), value) for name, value in seen.headers]
    assert all((name.lower(), value.strip(b" \t")) in sent for name, _, value in passed)


def verdict(block: bytes, is_head: bool) -> object:
    try:
        head = parse_answer_head(block, is_head)
    except BadAnswerError as error:
        return str(error)
    return head.status, head.status_line, head.onward, head.found, head.close, head.length


@given(st.lists(blocks, min_size=1, max_size=5), st.booleans())
def test_what_was_seen_before_changes_nothing(seen: list[bytes], is_head: bool) -> None:
    forget(READER)
    cold = verdict(seen[-1], is_head)
    for block in seen:
        verdict(block, not is_head)
        verdict(block, is_head)
    assert verdict(seen[-1], is_head) == cold
