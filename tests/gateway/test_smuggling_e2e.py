"""Request smuggling: messages that two servers could end in different places (portswigger.net/research and others).

Whatever the gateway makes of one, the replica hears exactly the requests that are named here, and none of them
begins inside another.
"""

import pytest

from tests.gateway.caller import calling
from tests.gateway.line import Line, works

pytestmark = pytest.mark.process

HEAD = b"POST /x HTTP/1.1\r\nHost: a\r\n"
INNER = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
ZERO = b"0\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def length_of(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n" % len(body)


# Both ways to tell the end, in all orders and disguises: nothing of it may arrive.
BOTH = [
    HEAD + length_of(ZERO + INNER) + CHUNKED + b"\r\n" + ZERO + INNER,  # CL.TE
    HEAD + CHUNKED + length_of(ZERO + INNER) + b"\r\n" + ZERO + INNER,
    HEAD + b"Content-Length: 4\r\n" + CHUNKED + b"\r\n22\r\n" + INNER + b"\r\n" + ZERO,  # TE.CL
    HEAD + b"Content-Length: 0\r\n" + CHUNKED + b"\r\n" + ZERO + INNER,  # CL.0
    HEAD + b"Content-Length:\r\n" + CHUNKED + b"\r\n" + ZERO + INNER,
]
# The header that one server sees and the other does not.
DISGUISES = [
    *(b"Transfer-Encoding: xchunked", b"Transfer-Encoding : chunked", b"Transfer-Encoding\t: chunked"),
    *(b"Transfer-Encoding:\x0bchunked", b"Transfer-Encoding:\x0cchunked", b"Transfer-Encoding: \x00chunked"),
    *(
        b"Transfer-Encoding: chunked\x00",
        b"Transfer-Encoding: chunked\x0b",
        b"Transfer-Encoding\x00: chunked",
    ),
    *(
        b" Transfer-Encoding: chunked",
        b"\tTransfer-Encoding: chunked",
        b"X: y\r\n Transfer-Encoding: chunked",
    ),
    *(
        b"X: y\nTransfer-Encoding: chunked",
        b"X: y\rTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r",
    ),
    *(b"Transfer-Encoding:\r\n chunked", b"Transfer-Encoding\r\n: chunked", b"Transfer-Encoding"),
    *(
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
        b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
    ),
    *(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: identity, chunked"),
    *(
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding: identity",
        b'Transfer-Encoding: "chunked"',
    ),
    *(b"Transfer-Encoding: chunked;x", b"Transfer-Encoding: chunked,", b"Transfer-Encoding: ,chunked"),
    *(b"Transfer-Encoding: chu nked", b"Transfer-Encoding: chunk\xe9d", b"Transfer-Encoding:"),
    *(b"Transfer\xadEncoding: chunked", b"Transfer Encoding: chunked", b"Transfer-Encoding=chunked"),
]
# Lengths that are read in several ways.
LENGTHS = [
    *(b"+%d", b"-%d", b"%d,%d", b"%d, 0", b"0, %d", b"%d ,", b"0x%x", b"%d.0", b"%de0", b"%d\x0b", b"%d\x00"),
    *(
        b"%d\r\nContent-Length: 0",
        b"0\r\nContent-Length: %d",
        b"%d\r\nContent-Length: %d",
        b"%d\r\n 0",
        b"%d 0",
    ),
    *(b"\x0c%d", b"%d\r", b"%d;", b"1%d%d%d%d%d%d%d%d%d", b"'%d'", b"\xef\xbc\x93%d"),
]
# Chunks whose end is read in several ways.
CHUNKS = [
    *(
        ZERO[:3] + b"\n" + INNER,
        b"0\n\r\n" + INNER,
        b"0\n\n" + INNER,
        b"0 \r\n\r\n" + INNER,
        b"0\t\r\n\r\n" + INNER,
    ),
    *(
        b"0;x\r\n\r\n" + INNER,
        b"0x0\r\n\r\n" + INNER,
        b"-1\r\n\r\n" + INNER,
        b"+0\r\n\r\n" + INNER,
        b"\r\n" + ZERO + INNER,
    ),
    *(b"ffffffffffffffff0\r\n" + INNER, b"10000000000000000\r\n" + INNER, b"8000000000000000\r\n" + INNER),
    *(
        b"1\r\nZZ\r\n" + ZERO + INNER,
        b"2\r\nZ\r\n" + ZERO + INNER,
        b"1\r\nZ" + ZERO + INNER,
        b"1\r\nZ\n" + ZERO + INNER,
    ),
    *(
        b"1\rZ\r\n" + ZERO + INNER,
        b"1\r\nZ\r\r\n" + ZERO + INNER,
        b"1;\nZ\r\n" + ZERO + INNER,
        b"g\r\nZ\r\n" + ZERO + INNER,
    ),
    *(
        b"0\r\nX\r\n\r\n" + INNER,
        b"0\r\nX : y\r\n\r\n" + INNER,
        b"0\r\n X: y\r\n\r\n" + INNER,
        b"0\r\n\r" + INNER,
    ),
    *(
        b"0_1\r\nZ\r\n" + ZERO + INNER,
        b"\xb9\r\nZ\r\n" + ZERO + INNER,
        b"1\x00\r\nZ\r\n" + ZERO + INNER,
        b"\x001\r\nZ\r\n",
    ),
]
# Heads whose end or line structure is read in several ways.
HEADS = [
    *(
        b"GET /x HTTP/1.1\nHost: a\n\n" + INNER,
        b"GET /x HTTP/1.1\r\nHost: a\n\r\n" + INNER,
        b"GET /x HTTP/1.1\r\rHost: a\r\r" + INNER,
    ),
    *(
        b"GET /x HTTP/1.1\r\nHost: a\r\nX: y\r\r\n\r\n" + INNER,
        b"GET /x HTTP/1.1\r\nHost: a\r\nX: \n\n" + INNER + b"\r\n",
    ),
    *(
        b"GET /x HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n" + INNER,
        b"GET /x\r\n\r\n" + INNER,
        b"GET /x HTTP/0.9\r\n\r\n" + INNER,
    ),
    *(
        b"GET\x00 /x HTTP/1.1\r\nHost: a\r\n\r\n" + INNER,
        b"GET /x\r\nHost: a HTTP/1.1\r\n\r\n" + INNER,
        b"\n" + INNER,
        b"\r" + INNER,
    ),
    *(
        b"GET /x HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n" + INNER,
        b"GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + INNER,
    ),
    *(
        b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n" + INNER,
        b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n" + INNER,
    ),
    b"POST /x HTTP/1.0\r\nHost: a\r\n" + CHUNKED + b"\r\n" + ZERO + INNER,
    b"POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nExpect: x\r\nContent-Length: 4\r\n\r\nabcd"
    + INNER,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + INNER,
]
NOTHING = [
    *BOTH,
    *(HEAD + length_of(ZERO + INNER) + one + b"\r\n\r\n" + ZERO + INNER for one in DISGUISES),
    *(HEAD + one + b"\r\n\r\n" + ZERO + INNER for one in DISGUISES),
    *(
        HEAD + b"Content-Length: " + one.replace(b"%d", b"37").replace(b"%x", b"25") + b"\r\n\r\n" + INNER
        for one in LENGTHS
    ),
    *HEADS,
]


@pytest.mark.parametrize("wire", NOTHING, ids=[repr(wire[17:70]) for wire in NOTHING])
async def test_nothing_arrives(line: Line, wire: bytes) -> None:
    async with calling(line.port) as caller:
        await caller.send(wire)
        answer = await caller.answer()
        assert answer.closes
        assert answer.status in (400, 417, 501, 505)
        assert await caller.closed()
    assert line.replica.heard == []


@pytest.mark.parametrize("chunks", CHUNKS, ids=[repr(chunks[:20]) for chunks in CHUNKS])
async def test_bad_chunks_are_no_end(line: Line, chunks: bytes) -> None:
    """The replica may hear the head, never the end, and nothing that stood behind."""
    async with calling(line.port) as caller:
        await caller.send(HEAD + CHUNKED + b"\r\n" + chunks + ZERO)
        answer = await caller.answer()
        assert (answer.status, answer.closes) == (400, True)
        assert await caller.closed()
    assert line.replica.targets == []
    assert {one.target for one in line.replica.heard} <= {b"/x"}
    assert all("without sending complete message body" in one for one in line.replica.unreadable)
    await works(line)


BODIES = [
    # What is the body, however it looks, is the body; what is a request, is one.
    (HEAD + length_of(INNER) + b"\r\n" + INNER, INNER, [b"/x"]),
    (HEAD + length_of(ZERO + INNER) + b"\r\n" + ZERO + INNER, ZERO + INNER, [b"/x"]),
    (HEAD + CHUNKED + b"\r\n%x\r\n%b\r\n" % (len(INNER), INNER) + ZERO, INNER, [b"/x"]),
    (HEAD + b"Connection: content-length\r\n" + length_of(INNER) + b"\r\n" + INNER, INNER, [b"/x"]),
    (HEAD + b"Connection: transfer-encoding\r\n" + CHUNKED + b"\r\n3\r\nabc\r\n" + ZERO, b"abc", [b"/x"]),
    (HEAD + b"Content_Length: 3\r\n\r\n" + INNER, b"", [b"/x", b"/smuggled"]),
    (
        HEAD + b"Transfer_Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + ZERO + INNER,
        ZERO,
        [b"/x", b"/smuggled"],
    ),
    (HEAD + b"X: Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + ZERO, ZERO, [b"/x"]),
    (HEAD + b"X-Content-Length: 5\r\n\r\n" + INNER, b"", [b"/x", b"/smuggled"]),
    (HEAD + b"\r\n" + INNER, b"", [b"/x", b"/smuggled"]),
    (HEAD + b"Content-Length: 00\r\n\r\n" + INNER, b"", [b"/x", b"/smuggled"]),
    (HEAD + b"Content-Length: 003\r\n\r\nabc" + INNER, b"abc", [b"/x", b"/smuggled"]),
    (
        HEAD + b"tRANSFER-eNCODING:\tCHUNKED\t\r\n\r\n03\r\nabc\r\n00\r\nX: y\r\n\r\n" + INNER,
        b"abc",
        [b"/x", b"/smuggled"],
    ),
    (b"GET /x HTTP/1.1\r\nHost: a\r\n" + length_of(INNER) + b"\r\n" + INNER, INNER, [b"/x"]),
    (b"HEAD /x HTTP/1.1\r\nHost: a\r\n" + CHUNKED + b"\r\n3\r\nabc\r\n" + ZERO, b"abc", [b"/x"]),
]


@pytest.mark.parametrize(
    ("wire", "body", "targets"), BODIES, ids=[repr(wire[26:80]) for wire, _, _ in BODIES]
)
async def test_bodies_are_bodies(line: Line, wire: bytes, body: bytes, targets: list[bytes]) -> None:
    method = wire.partition(b" ")[0]
    async with calling(line.port) as caller:
        await caller.send(wire)
        statuses = [
            (await caller.answer(method if not number else b"GET")).status for number in range(len(targets))
        ]
    assert statuses == [200] * len(targets)
    assert line.replica.targets == targets
    assert line.replica.heard[0].body == body
    assert line.replica.unreadable == []
