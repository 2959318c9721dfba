"""HTTP/1.1 on raw sockets, through a real gateway, to a replica that tells exactly what it heard."""

import asyncio
import json
import time

import pytest

from tests.gateway.caller import Answer, Caller, calling
from tests.gateway.line import GET, NEXT, POST, Line, works
from tests.gateway.scripted import Talk

pytestmark = pytest.mark.process

CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


async def refusal(caller: Caller, status: int) -> Answer:
    """The answer of a refused message: a problem, and the end of the connection."""
    answer = await caller.answer()
    problem = json.loads(answer.body)
    assert (answer.status, problem["status"], answer.closes) == (status, status, True)
    assert answer.values(b"content-type") == [b"application/problem+json"]
    assert answer.values(b"x-request-id") == [problem["request_id"].encode()]
    assert await caller.closed()
    return answer


# What is refused

REFUSED = [
    pytest.param(data, status, id=name)
    for name, status, data in [
        ("both lengths", 400, POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("two equal lengths", 400, POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
        ("two lengths", 400, POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
        ("a list of lengths", 400, POST + b"Content-Length: 5, 5\r\n\r\nhello"),
        ("a negative length", 400, POST + b"Content-Length: -5\r\n\r\nhello"),
        ("a plus", 400, POST + b"Content-Length: +5\r\n\r\nhello"),
        ("a hexadecimal length", 400, POST + b"Content-Length: 0x5\r\n\r\nhello"),
        ("no length", 400, POST + b"Content-Length:\r\n\r\nhello"),
        ("a huge length", 400, POST + b"Content-Length: 99999999999999999999\r\n\r\nhello"),
        ("too large a body", 413, POST + b"Content-Length: 999999999999999\r\n\r\nhello"),
        ("bare LF everywhere", 400, b"GET /x HTTP/1.1\nHost: a\n\n"),
        ("bare LF in the request line", 400, b"GET /x HTTP/1.1\nHost: a\r\n\r\n"),
        ("bare LF between fields", 400, b"GET /x HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"),
        ("bare LF at the end", 400, b"GET /x HTTP/1.1\r\nHost: a\r\n\n"),
        ("bare CR in a value", 400, b"GET /x HTTP/1.1\r\nHost: a\r\nX: y\rZ: 1\r\n\r\n"),
        ("bare CR at a line's end", 400, b"GET /x HTTP/1.1\r\nHost: a\r\r\n\r\n"),
        ("a space before the colon", 400, b"GET /x HTTP/1.1\r\nHost : a\r\n\r\n"),
        ("a tab before the colon", 400, b"GET /x HTTP/1.1\r\nHost: a\r\nX\t: y\r\n\r\n"),
        ("a folded line", 400, b"GET /x HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n"),
        ("a folded first line", 400, b"GET /x HTTP/1.1\r\n Host: a\r\n\r\n"),
        ("a field without colon", 400, b"GET /x HTTP/1.1\r\nHost: a\r\nAccept\r\n\r\n"),
        ("a field without name", 400, b"GET /x HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n"),
        ("NUL in a name", 400, b"GET /x HTTP/1.1\r\nHost: a\r\nX\x00: y\r\n\r\n"),
        ("NUL in a value", 400, b"GET /x HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n"),
        ("NUL in the target", 400, b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("a control in a value", 400, b"GET /x HTTP/1.1\r\nHost: a\r\nX: \x1b[2J\r\n\r\n"),
        ("DEL in the target", 400, b"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("beyond ASCII in the target", 400, b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("a fragment", 400, b"GET /x#y HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("a space in the target", 400, b"GET /x y HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("another authority", 400, b"GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("a user in the authority", 400, b"GET http://u@a/x HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("another scheme", 400, b"GET ftp://a/x HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("no Host", 400, b"GET /x HTTP/1.1\r\nAccept: x\r\n\r\n"),
        ("no field at all", 400, b"GET /x HTTP/1.1\r\n\r\n"),
        ("two Hosts", 400, b"GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        ("two equal Hosts", 400, b"GET /x HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
        ("an empty Host", 400, b"GET /x HTTP/1.1\r\nHost:\r\n\r\n"),
        ("no host's name", 400, b"GET /x HTTP/1.1\r\nHost: a/b\r\n\r\n"),
        ("a port that is none", 400, b"GET /x HTTP/1.1\r\nHost: a:b\r\n\r\n"),
        ("HTTP/0.9", 400, b"GET /x\r\n\r\n"),
        ("HTTP/2's preface", 505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("HTTP/1.2", 505, b"GET /x HTTP/1.2\r\nHost: a\r\n\r\n"),
        ("a TLS hello", 400, b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"),
        ("two empty lines", 400, b"\r\n\r\n" + GET),
        ("only empty lines", 400, b"\r\n" * 15_000),
        ("chunks of HTTP/1.0", 400, b"POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("a coding that is unknown", 501, POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        ("CONNECT", 501, b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"),
        ("OPTIONS *", 501, b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("an expectation", 417, POST + b"Content-Length: 5\r\nExpect: tea\r\n\r\nhello"),
        ("a long head", 431, b"GET /x HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 40_000 + b"\r\n\r\n"),
        ("a head without end", 431, b"GET /x HTTP/1.1\r\n" + b"X: y\r\n" * 10_000),
        ("a long target", 414, b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("a target without end", 414, b"GET /" + b"x" * 100_000),
    ]
]


@pytest.mark.parametrize(("data", "status"), REFUSED)
async def test_refused(line: Line, data: bytes, status: int) -> None:
    """At once, with a problem; the connection ends; no byte of it reaches the replica."""
    async with calling(line.port) as caller:
        await caller.send(data)
        await refusal(caller, status)
    assert line.replica.heard == []


async def test_refused_byte_by_byte(line: Line) -> None:
    async with calling(line.port) as caller:
        for byte in b"GET /x HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n":
            await caller.send(bytes([byte]))
            await asyncio.sleep(0)
        await refusal(caller, 400)
    assert line.replica.heard == []


async def test_a_refused_request_does_not_take_the_one_before_it_along(line: Line) -> None:
    async with calling(line.port) as caller:
        await caller.send(GET + b"GET /bad HTTP/1.1\r\nHost : a\r\n\r\n" + SMUGGLED)
        assert (await caller.answer()).status == 200
        await refusal(caller, 400)
    assert line.replica.targets == [b"/x"]


async def test_a_slow_head(line: Line) -> None:
    async with calling(line.port) as caller:
        await caller.send(b"GET /x HTTP/1.1\r\nHost: ")
        started = time.monotonic()
        sending = asyncio.create_task(drip(caller))
        await refusal(caller, 408)
        sending.cancel()
    assert time.monotonic() - started < 8, "the second that the document allows, not the default of ten"
    assert line.replica.heard == []


async def drip(caller: Caller) -> None:
    while True:
        await caller.send(b"a")
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("beginning", [b"GET /x HTTP/1.1\r\nHost: a\r\n", b"GET /x HT", b"\r\n", b""])
async def test_a_head_that_never_ends_says_nothing(line: Line, beginning: bytes) -> None:
    async with calling(line.port) as caller:
        await caller.send(beginning)
        caller.writer.write_eof()
        assert await caller.closed()
    assert line.replica.heard == []


async def test_one_empty_line_before_a_request_is_forgiven(line: Line) -> None:
    async with calling(line.port) as caller:
        await caller.send(b"\r\n" + GET + b"\r\n")
        assert (await caller.answer()).status == 200
        await caller.send(GET)
        assert (await caller.answer()).status == 200
    assert line.replica.targets == [b"/x"] * 2


# Bodies

CHUNKS = [
    pytest.param(data, id=repr(data[:20]))
    for data in [
        *(b"\r\n", b" 5\r\nhello", b"5 \r\nhello", b"+5\r\nhello", b"-5\r\nhello", b"0x5\r\nhello", b"g\r\n"),
        *(
            b"5;name=value\r\nhello",
            b"5;\r\nhello",
            b"0;x\r\n\r\n",
            b"5\nhello\n0\n\n",
            b"5\r\nhello\n0\r\n\r\n",
        ),
        *(
            b"5\r\nhello!\r\n0\r\n\r\n",
            b"5\r\nhell\r\n0\r\n\r\n",
            b"f" * 16 + b"\r\n",
            b"1" + b"0" * 16 + b"\r\nx",
        ),
        *(b"5\r\nhello0\r\n\r\n", b"0\r\nX : y\r\n\r\n", b"0\r\nno colon\r\n\r\n", b"0\r\n\n", b"1" * 70),
    ]
]


@pytest.mark.parametrize("chunks", CHUNKS)
async def test_bad_chunks(line: Line, chunks: bytes) -> None:
    """The replica may have heard of the request, but never that it was whole."""
    async with calling(line.port) as caller:
        await caller.send(CHUNKED + chunks + SMUGGLED)
        await refusal(caller, 400)
    await works(line)


async def test_good_chunks(line: Line) -> None:
    """They are made anew: extensions and trailers do not get through, and all sizes are written alike."""
    async with calling(line.port) as caller:
        await caller.send(CHUNKED)
        for piece in b"005\r\nhello\r\n1\r\n!\r\n00\r\nX-Kontor-Identity: forged\r\n\r\n".split(b"|"):
            await caller.send(piece)
        assert (await caller.answer()).status == 200
        await caller.send(NEXT)
        assert (await caller.answer()).status == 200
    first, second = line.replica.heard
    assert (first.body, first.values(b"transfer-encoding"), second.target) == (
        b"hello!",
        [b"chunked"],
        b"/next",
    )


@pytest.mark.parametrize("size", [0, 1, 64 * 1024, 64 * 1024 + 1, 1_000_000])
@pytest.mark.parametrize("chunked", [False, True])
async def test_bodies_arrive_whole_and_end_where_they_end(line: Line, size: int, chunked: bool) -> None:
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)
    framed = b"%x\r\n%b\r\n0\r\n\r\n" % (size, body) if size else b"0\r\n\r\n"
    async with calling(line.port) as caller:
        if chunked:
            await caller.send(CHUNKED + framed + NEXT)
        else:
            await caller.send(POST + b"Content-Length: %d\r\n\r\n" % size + body + NEXT)
        assert [(await caller.answer()).status for _ in range(2)] == [200, 200]
    first, second = line.replica.heard
    assert (len(first.body), first.body == body, second.target) == (size, True, b"/next")


@pytest.mark.parametrize(
    "beginning",
    [
        CHUNKED + b"5\r\nhel",
        POST + b"Content-Length: 100\r\n\r\nhello",
        POST + b"Content-Length: 100000\r\n\r\nx",
    ],
)
async def test_a_body_that_never_ends_is_no_request(line: Line, beginning: bytes) -> None:
    async with calling(line.port) as caller:
        await caller.send(beginning)
        await asyncio.sleep(0.1)
        caller.writer.write_eof()
        await caller.rest()
    await works(line)


# Expect: 100-continue

EXPECTS = POST + b"Expect: 100-continue\r\n"


@pytest.mark.parametrize("framing", [b"Content-Length: 5\r\n\r\n", b"Content-Length: 100000\r\n\r\n"])
async def test_whoever_waits_for_100_is_told_to_go_on(line: Line, framing: bytes) -> None:
    async with calling(line.port) as caller:
        await caller.send(EXPECTS + framing)
        assert await caller.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await caller.send(b"hello" if b" 5" in framing else bytes(100_000))
        assert (await caller.answer()).status == 200
    (heard,) = line.replica.heard
    assert (heard.complete, heard.values(b"expect")) == (True, [])


async def test_whoever_does_not_wait_need_not_be_told(line: Line) -> None:
    async with calling(line.port) as caller:
        await caller.send(EXPECTS + b"Content-Length: 5\r\n\r\nhello" + NEXT)
        assert [(await caller.answer()).status for _ in range(2)] == [200, 200]
    assert line.replica.heard[0].body == b"hello"


async def test_whoever_is_refused_is_not_told_to_go_on(line: Line) -> None:
    async with calling(line.port) as caller:
        await caller.send(
            b"POST /livez HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        )
        assert (await caller.until(b"\r\n")).startswith(b"HTTP/1.1 405 ")
        await caller.rest()


async def test_http_1_0_knows_no_100(line: Line) -> None:
    async with calling(line.port) as caller:
        await caller.send(b"POST /x HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        await asyncio.sleep(0.1)
        await caller.send(b"hello")
        assert (await caller.until(b"\r\n")).startswith(b"HTTP/1.1 200 ")


# Connections


async def test_http_1_0_is_answered_once(line: Line) -> None:
    for keep in (b"", b"Connection: keep-alive\r\n"):
        async with calling(line.port) as caller:
            await caller.send(b"GET /x HTTP/1.0\r\n" + keep + b"\r\n" + NEXT)
            answer = await caller.answer()
            assert (answer.status, answer.body, answer.closes) == (200, b"ok", True)
            assert await caller.closed()
    assert line.replica.targets == [b"/x"] * 2


async def test_http_1_0_gets_no_chunks(line: Line) -> None:
    line.replica.scripts[b"/x"] = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    async with calling(line.port) as caller:
        await caller.send(b"GET /x HTTP/1.0\r\n\r\n")
        answer = await caller.answer()
        assert (answer.body, answer.values(b"transfer-encoding"), answer.closes) == (b"abcde", [], True)


async def test_connection_close(line: Line) -> None:
    async with calling(line.port) as caller:
        await caller.send(b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n" + NEXT)
        assert (await caller.answer()).closes
        assert await caller.closed()
    assert line.replica.targets == [b"/x"]


async def test_an_answer_is_not_lost_to_what_came_after_connection_close(line: Line) -> None:
    """Closing a socket with unread bytes resets it, which could overtake the answer."""
    body = b"x" * 30_000
    line.replica.scripts[b"/x"] = b"HTTP/1.1 200 OK\r\nContent-Length: 30000\r\n\r\n" + body
    for _ in range(5):
        async with calling(line.port) as caller:
            await caller.send(b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + NEXT * 20_000)
            await asyncio.sleep(0.02)
            assert (await caller.answer()).body == body


async def test_pipelined_requests_are_answered_in_order(line: Line) -> None:
    async def later(talk: Talk) -> None:
        await asyncio.sleep(0.1)
        await talk.say(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nfirst")

    line.replica.scripts[b"/slow"] = later
    async with calling(line.port) as caller:
        await caller.send(
            b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" + POST + b"Content-Length: 3\r\n\r\nabc"
            b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n" + CHUNKED + b"1\r\nd\r\n0\r\n\r\n" + GET
        )
        bodies = [(await caller.answer()).body for _ in range(5)]
    assert bodies == [b"first", b"ok", b'{"status":"ok"}', b"ok", b"ok"]
    assert [one.body for one in line.replica.heard[1:]] == [b"abc", b"d", b""]


async def test_a_thousand_pipelined_requests(line: Line) -> None:
    requests = [b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(1000)]
    async with calling(line.port) as caller:
        sending = asyncio.create_task(caller.send(b"".join(requests)))
        answers = [await caller.answer() for _ in range(1000)]
        await sending
    assert [answer.status for answer in answers] == [200] * 1000
    assert line.replica.targets == [b"/%d" % number for number in range(1000)]


async def test_a_thousand_pipelined_refusals(line: Line) -> None:
    async with calling(line.port) as caller:
        await caller.send(b"DELETE /livez HTTP/1.1\r\nHost: a\r\n\r\n" * 1000)
        assert {(await caller.answer()).status for _ in range(1000)} == {405}


async def test_half_closing_is_leaving(line: Line) -> None:
    """A caller who will say no more cannot be told from one who is gone: the replica's work is stopped."""
    left = asyncio.Event()

    async def waiting(talk: Talk) -> None:
        await talk.reader.read()
        left.set()

    line.replica.scripts[b"/x"] = waiting
    async with calling(line.port) as caller:
        await caller.send(GET)
        await asyncio.sleep(0.1)
        caller.writer.write_eof()
        assert await caller.closed()
        await asyncio.wait_for(left.wait(), 5)


# Fields


async def test_what_is_for_one_hop_stays_on_it(line: Line) -> None:
    line.replica.scripts[b"/x"] = (
        b"HTTP/1.1 200 OK\r\nConnection: X-Mine, content-length, Keep-Alive\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\n"
        b"Proxy-Authenticate: x\r\nTrailer: x\r\nUpgrade: h2c\r\nVia: 1.0 inner\r\nX-Kept: 1\r\n"
        b"Content-Length: 2\r\n\r\nok"
    )
    async with calling(line.port) as caller:
        await caller.send(
            POST
            + b"Connection: X-Drop, content-length\r\nConnection: host, te\r\nX-Drop: 1\r\nKeep-Alive: 5\r\n"
            b"Proxy-Connection: keep-alive\r\nProxy-Authorization: x\r\nTE: trailers\r\nTrailer: x\r\n"
            b"Upgrade: h2c\r\nVia: 1.0 outer\r\nX-Kept: 1\r\nX_Forwarded_For: 6.6.6.6\r\nContent-Length: 5\r\n\r\nhello"
        )
        answer = await caller.answer()
    (heard,) = line.replica.heard
    assert heard.body == b"hello"
    gone = {
        b"x-drop",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"upgrade",
    }
    assert not (gone | {b"connection", b"x_forwarded_for"}) & {name for name, _ in heard.headers}
    assert (heard.values(b"via"), heard.values(b"x-kept")) == ([b"1.0 outer, 1.1 kontor"], [b"1"])
    assert heard.values(b"x-forwarded-host") == [b"a"]
    gone = {b"x-mine", b"keep-alive", b"proxy-authenticate", b"trailer", b"upgrade", b"connection"}
    assert not gone & {name for name, _ in answer.headers}
    assert (answer.values(b"via"), answer.values(b"x-kept")) == ([b"1.0 inner, 1.1 kontor"], [b"1"])


@pytest.mark.parametrize("target", [b"http://a/p?q=1", b"HTTP://A/p?q=1"])
async def test_absolute_form(line: Line, target: bytes) -> None:
    async with calling(line.port) as caller:
        await caller.send(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target)
        assert (await caller.answer()).status == 200
    assert line.replica.targets == [b"/p?q=1"]
    assert line.replica.heard[0].values(b"host") == [b"127.0.0.1:%d" % line.replica.port]
