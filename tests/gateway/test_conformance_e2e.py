"""HTTP/1.1 on raw sockets, through a real gateway, to a replica that tells exactly what it heard."""

import asyncio
import json
import time

import pytest

from services.gateway.forwarding.pool import ConnectionsRule
from tests.gateway.caller import Answer, Caller, calling
from tests.gateway.line import Line, works
from tests.gateway.processes import eventually
from tests.gateway.scripted import OK, Talk

pytestmark = pytest.mark.process

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
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


async def test_who_pipelines_but_does_not_read_waits(line: Line) -> None:
    """Answers that nobody takes do not pile up in the gateway."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 30000\r\n\r\n" + bytes(30_000)
    line.replica.scripts[b"/x"] = answer
    async with calling(line.port) as caller:
        await caller.send(GET)
        await caller.answer()
        before = line.gateway.rss()
        sending = asyncio.create_task(caller.send(GET * 3000))  # 90 MB of answers
        await steady(line)
        assert line.gateway.rss() - before < 30_000_000
        asked = len(line.replica.heard)
        assert asked < 1000
        for _ in range(2000):
            assert len((await caller.answer()).body) == 30_000
        await sending


async def steady(line: Line) -> None:
    """Wait until the replica hears nothing new."""
    heard = [-1]

    async def rests() -> bool:
        await asyncio.sleep(0.2)
        heard.append(len(line.replica.heard))
        return heard[-1] == heard[-2]

    await eventually(rests)


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


# Answers without body, interim answers, trailers


@pytest.mark.parametrize(
    ("method", "said", "length"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", [b"500"]),
        (b"HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", []),
        (b"HEAD", b"HTTP/1.1 404 Not Found\r\n\r\n", []),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n", []),
        (b"GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", []),
        (b"GET", b'HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\nETag: "x"\r\n\r\n', [b"500"]),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", []),
        (b"GET", b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n" + OK, [b"2"]),
    ],
)
async def test_answers_without_body(line: Line, method: bytes, said: bytes, length: list[bytes]) -> None:
    line.replica.scripts[b"/x"] = said
    async with calling(line.port) as caller:
        for _ in range(2):
            await caller.send(b"%b /x HTTP/1.1\r\nHost: a\r\n\r\n" % method)
            answer = await caller.answer(method)
            assert (answer.values(b"content-length"), answer.values(b"transfer-encoding")) == (length, [])
            assert answer.body in (b"", b"ok")
        await caller.send(NEXT)
        assert (await caller.answer()).body == b"ok"
    assert {one.connection for one in line.replica.heard} == {line.replica.heard[0].connection}


async def test_interim_answers(line: Line) -> None:
    """Early hints pass; 100 is the gateway's own affair; HTTP/1.0 gets neither."""
    line.replica.scripts[b"/x"] = (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x\r\nX: 1\r\n\r\n"
        b"HTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\n" + OK
    )
    async with calling(line.port) as caller:
        await caller.send(GET)
        hint = b"HTTP/1.1 103 Early Hints\r\nLink: <%b>\r\n\r\n"
        assert await caller.until(b"\r\n\r\n") == hint % b"/a"
        assert await caller.until(b"\r\n\r\n") == hint % b"/b"
        assert (await caller.answer()).status == 200
    async with calling(line.port) as caller:
        await caller.send(b"GET /x HTTP/1.0\r\n\r\n")
        assert (await caller.until(b"\r\n")).startswith(b"HTTP/1.1 200 ")


async def test_many_interim_answers(line: Line) -> None:
    line.replica.scripts[b"/x"] = b"HTTP/1.1 100 Continue\r\n\r\n" * 2000 + OK
    async with calling(line.port) as caller:
        await caller.send(GET)
        assert (await caller.answer()).status == 200


async def test_trailers(line: Line) -> None:
    line.replica.scripts[b"/x"] = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Server-Timing\r\n\r\n2\r\nok\r\n0\r\n"
        b"Server-Timing: a;dur=1\r\nContent-Length: 7\r\nTransfer-Encoding: x\r\nSet-Cookie: a=b\r\nHost: x\r\n"
        b"X-Kontor-Terms: 1\r\nConnection: close\r\nTE: x\r\nKeep-Alive: 5\r\nUpgrade: x\r\n"
        b"Proxy-Authenticate: x\r\nWWW-Authenticate: x\r\nX-Forwarded-For: x\r\nLocation: x\r\nVary: x\r\n"
        b"X-Request-Id: x\r\nExpires: 0\r\nX-Digest: y\r\n\r\n"
    )
    async with calling(line.port) as caller:
        for _ in range(2):
            await caller.send(GET)
            answer = await caller.answer()
            assert answer.body == b"ok"
            assert answer.trailers == [(b"server-timing", b"a;dur=1"), (b"x-digest", b"y")]


async def test_events_are_flushed_one_by_one(line: Line) -> None:
    """Each piece arrives before the replica has made the next, whatever tells the end."""
    step = asyncio.Event()
    heads = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
    )
    for chunked, head in zip((True, False), heads, strict=True):

        async def stream(talk: Talk, head: bytes = head, chunked: bool = chunked) -> None:
            await talk.say(head)
            for number in range(5):
                event = b"data: %d\n\n" % number
                await talk.say(b"%x\r\n%b\r\n" % (len(event), event) if chunked else event)
                await step.wait()
                step.clear()
            if chunked:
                await talk.say(b"0\r\n\r\n")

        line.replica.scripts[b"/x"] = stream
        async with calling(line.port) as caller:
            await caller.send(GET)
            await caller.until(b"\r\n\r\n")
            for number in range(5):
                assert await caller.until(b"\n\n\r\n") == b"9\r\ndata: %d\n\n\r\n" % number
                step.set()
            assert await caller.until(b"0\r\n\r\n") == b"0\r\n\r\n"
            await caller.send(NEXT)
            assert (await caller.answer()).status == 200


# Answers that are none

HEAD = b"HTTP/1.1 200 OK\r\n"
BAD_ANSWERS = [
    *(
        HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
        HEAD + b"Content-Length: -1\r\n\r\nok",
    ),
    *(
        HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        HEAD + b"Transfer-Encoding: gzip\r\n\r\nok",
    ),
    *(
        HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"X: y\r\n folded\r\n\r\n",
        b"garbage\r\n\r\n",
    ),
    *(
        HEAD + b"X: \x00\r\nContent-Length: 2\r\n\r\nok",
        HEAD + b"no colon\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"",
    ),
    *(
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nx",
    ),
    *(HEAD + b"X: " + b"y" * 400_000 + b"\r\n\r\n", b"x" * 400_000, HEAD[:10]),
]


@pytest.mark.parametrize("said", BAD_ANSWERS, ids=[repr(said[:60]) for said in BAD_ANSWERS])
async def test_answers_that_are_none(line: Line, said: bytes) -> None:
    """502, and nothing of it reaches the caller or is left in the connection for the next."""

    async def say(talk: Talk) -> None:
        await talk.say(said)
        if said in (b"", HEAD[:10]):
            return
        await talk.reader.read()  # the gateway is to close

    line.replica.scripts[b"/x"] = say
    async with calling(line.port) as caller:
        await caller.send(GET)
        answer = await caller.answer()
        assert (answer.status, json.loads(answer.body)["code"]) == (502, "upstream_broke")
        await caller.send(NEXT)
        assert (await caller.answer()).body == b"ok"


@pytest.mark.parametrize(
    "rest", [b"5\r\nhe", b"g\r\n", b"2;x\r\nok\r\n0\r\n\r\n", b"2\nok\n0\n\n", b"2\r\nokay\r\n"]
)
async def test_answers_that_go_wrong_midway(line: Line, rest: bytes) -> None:
    """What has begun cannot be taken back: the connection ends without the last chunk."""

    async def say(talk: Talk) -> None:
        await talk.say(HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await asyncio.sleep(0.05)
        await talk.say(rest)

    line.replica.scripts[b"/x"] = say
    async with calling(line.port) as caller:
        await caller.send(GET)
        try:
            data = await caller.rest()
        except ConnectionResetError:
            data = b""
        assert b"0\r\n\r\n" not in data
    await works(line)


SURPLUS = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"


@pytest.mark.parametrize(
    "said",
    [
        *(OK, b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n"),
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        HEAD + b"Content-Length: 100000\r\n\r\n" + bytes(100_000),
    ],
)
@pytest.mark.parametrize("delay", [0.0, 0.05])
async def test_surplus_bytes_reach_nobody(line: Line, said: bytes, delay: float) -> None:
    """Whether they come with the answer or a moment later, they answer no other request."""

    async def say(talk: Talk) -> None:
        if not delay:
            await talk.say(said + SURPLUS)
        else:
            await talk.say(said)
            await asyncio.sleep(delay)
            await talk.say(SURPLUS)
        await talk.reader.read()

    line.replica.scripts[b"/x"] = say
    async with calling(line.port) as caller:
        await caller.send(GET)
        first = await caller.answer()
        await asyncio.sleep(2 * delay)
        await caller.send(NEXT)
        second = await caller.answer()
    assert b"poison" not in first.body + second.body
    assert line.replica.heard[0].connection != line.replica.heard[1].connection


@pytest.mark.parametrize("method", [b"GET", b"PUT", b"POST"])
async def test_an_answer_may_come_before_the_body(line: Line, method: bytes) -> None:
    """It is passed on, says that it is the last, and the connection to the replica is not used again."""

    async def refuse(talk: Talk) -> None:
        await talk.say(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\n\r\nlarge")
        await talk.reader.read()

    line.replica.scripts[b"/x"] = refuse
    async with calling(line.port) as caller:
        await caller.send(
            b"%b /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" % method + bytes(70_000)
        )
        answer = await caller.answer()
        assert (answer.status, answer.body, answer.closes) == (413, b"large", True)
        assert await caller.closed()
    await works(line)


# WebSocket

UPGRADE = (
    b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
# RFC 6455, 1.3: what this key has to be answered with.
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
# RFC 6455, 5.7: "Hello", masked and plain; a close frame with its code.
MASKED_HELLO = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
HELLO = b"\x81\x05Hello"
GOODBYE = b"\x88\x02\x03\xe8"


async def switched(caller: Caller) -> None:
    head = (await caller.until(b"\r\n\r\n")).split(b"\r\n")
    assert head[0] == b"HTTP/1.1 101 Switching Protocols"
    fields = {name.lower(): value for name, _, value in (line.partition(b": ") for line in head[1:-2])}
    assert (fields[b"connection"].lower(), fields[b"upgrade"]) == (b"upgrade", b"websocket")
    assert fields[b"sec-websocket-accept"] == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


async def test_a_websocket(line: Line) -> None:
    """The handshake passes, then bytes both ways, those that came with a head among them; the replica ends it."""
    frames: list[bytes] = []

    async def serve(talk: Talk) -> None:
        assert (talk.heard.values(b"connection"), talk.heard.values(b"upgrade")) == (
            [b"Upgrade"],
            [b"websocket"],
        )
        assert talk.heard.values(b"sec-websocket-key") == [b"dGhlIHNhbXBsZSBub25jZQ=="]
        early = talk.parser.trailing_data[0]
        await talk.say(SWITCHED + HELLO)
        frames.append(early + await talk.reader.readexactly(2 * len(MASKED_HELLO) - len(early)))
        await talk.say(HELLO * 50_000 + GOODBYE)

    line.replica.scripts[b"/x"] = serve
    async with calling(line.port) as caller:
        await caller.send(UPGRADE + MASKED_HELLO)
        await switched(caller)
        assert await caller.until(HELLO) == HELLO
        await caller.send(MASKED_HELLO)
        assert await caller.rest() == HELLO * 50_000 + GOODBYE
    assert frames == [MASKED_HELLO * 2]
    await works(line)


async def test_a_websocket_that_the_caller_ends(line: Line) -> None:
    """What the caller said last arrives, and what the replica says to it comes back."""
    ended = asyncio.Event()

    async def serve(talk: Talk) -> None:
        await talk.say(SWITCHED)
        assert len(await talk.reader.read()) == 100_000 * len(MASKED_HELLO)
        await talk.say(GOODBYE)
        ended.set()

    line.replica.scripts[b"/x"] = serve
    async with calling(line.port) as caller:
        await caller.send(UPGRADE)
        await switched(caller)
        await caller.send(MASKED_HELLO * 100_000)
        caller.writer.write_eof()
        assert await caller.rest() == GOODBYE
    await asyncio.wait_for(ended.wait(), 5)


async def test_a_websocket_whose_caller_vanishes(line: Line) -> None:
    ended = asyncio.Event()

    async def serve(talk: Talk) -> None:
        await talk.say(SWITCHED)
        try:
            await talk.reader.read()
        finally:
            ended.set()

    line.replica.scripts[b"/x"] = serve
    async with calling(line.port) as caller:
        await caller.send(UPGRADE)
        await switched(caller)
    await asyncio.wait_for(ended.wait(), 5)


@pytest.mark.parametrize(
    "said", [OK, b"HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 8\r\nContent-Length: 0\r\n\r\n"]
)
async def test_a_refused_upgrade_is_an_ordinary_answer(line: Line, said: bytes) -> None:
    """What follows is a request again, seen by the gateway: nobody gets a tunnel by asking for one."""
    line.replica.scripts[b"/x"] = said
    async with calling(line.port) as caller:
        await caller.send(UPGRADE + b"DELETE /livez HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await caller.answer()).status in (200, 426)
        assert (await caller.answer()).status == 405
    assert line.replica.targets == [b"/x"]


async def test_no_other_protocol_is_asked_for(line: Line) -> None:
    async with calling(line.port) as caller:
        await caller.send(
            b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n"
            b"Upgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n"
        )
        assert (await caller.answer()).status == 200
    assert not {b"connection", b"upgrade", b"http2-settings"} & {
        name for name, _ in line.replica.heard[0].headers
    }


# Back-pressure


async def test_a_replica_that_reads_slowly_slows_the_caller(line: Line) -> None:
    """The gateway holds little of what the replica does not take."""
    go_on = asyncio.Event()
    size = 40_000_000

    async def slow(talk: Talk) -> None:
        await go_on.wait()
        await talk.read_body()
        await talk.say(OK)

    await works(line)
    line.replica.scripts[b"/x"] = slow
    before = line.gateway.rss()
    async with calling(line.port) as caller:
        await caller.send(POST + b"Content-Length: %d\r\n\r\n" % size)
        sending = asyncio.create_task(caller.send(bytes(size)))
        await asyncio.sleep(0.5)
        assert not sending.done()
        assert line.gateway.rss() - before < 20_000_000
        go_on.set()
        assert (await caller.answer()).status == 200
        await sending


async def test_a_second_answer_waits_for_the_reader_as_the_first_did(line: Line) -> None:
    """Two long answers to one who reads neither: the gateway holds no more than it does of one."""
    await works(line)
    line.replica.scripts[b"/x"] = HEAD + b"Content-Length: 40000000\r\n\r\n" + bytes(40_000_000)
    line.replica.scripts[b"/y"] = HEAD + b"Content-Length: 8000000\r\n\r\n" + bytes(8_000_000)
    before = line.gateway.rss()
    async with calling(line.port) as caller:
        await caller.send(b"GET /y HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
        await asyncio.sleep(1)
        assert line.gateway.rss() - before < 20_000_000
        assert len((await caller.answer()).body) == 8_000_000
        assert len((await caller.answer()).body) == 40_000_000


async def test_idle_connections_are_ours_to_close(line: Line) -> None:
    """What an idle replica says unasked costs it the connection, and nobody a request."""
    talks: list[Talk] = []

    async def keep(talk: Talk) -> None:
        talks.append(talk)
        await talk.say(OK)
        await talk.reader.read()

    line.replica.scripts[b"/x"] = keep
    async with calling(line.port) as caller:
        await caller.send(GET)
        assert (await caller.answer()).status == 200
        await talks[0].say(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")

        async def dropped() -> bool:
            return talks[0].reader.at_eof()

        await eventually(dropped)
        await caller.send(NEXT)
        assert (await caller.answer()).status == 200
    assert ConnectionsRule().keep_s < 5  # the services' servers close theirs after five seconds
