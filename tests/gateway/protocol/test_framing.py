"""The chunked coding: strict, and the same however the bytes are cut."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.protocol.framing import LAST_CHUNK, BadChunkError, ChunkedReader, chunk


def read(*pieces: bytes) -> tuple[bytes, list[bytes], bytes, bool]:
    """Content, trailer lines, what came after, and whether it ended."""
    reader, content, rest = ChunkedReader(), b"", b""
    for piece in pieces:
        if reader.ended:
            rest += piece
            continue
        content += b"".join(reader.feed(piece))
        rest += reader.rest
    return content, reader.trailers, rest, reader.ended


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


BODY = b"5\r\nhello\r\n00A\r\n, chunked!\r\n1\r\n\r\r\n000\r\nDigest: x\r\nServer-Timing: a;dur=1\r\n\r\nGET /next"
READ = (b"hello, chunked!\r", [b"Digest: x", b"Server-Timing: a;dur=1"], b"GET /next", True)


def test_content_trailers_and_rest() -> None:
    assert read(BODY) == READ


def test_byte_by_byte() -> None:
    assert read(*bytewise(BODY)) == READ


@pytest.mark.parametrize("at", range(len(BODY)))
def test_every_split(at: int) -> None:
    assert read(BODY[:at], BODY[at:]) == READ


@given(st.lists(st.binary(min_size=1, max_size=300)), st.binary(max_size=20), st.data())
def test_what_is_chunked_comes_back(pieces: list[bytes], rest: bytes, data: st.DataObject) -> None:
    wire = b"".join(map(chunk, pieces)) + LAST_CHUNK
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    parts = [wire[start:end] for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    parts[-1] += rest  # the end is seen at once, whatever follows
    assert read(*parts) == (b"".join(pieces), [], rest, True)


BAD = [
    *(
        b"\r\n",
        b" 5\r\n",
        b"5 \r\n",
        b"5\t\r\n",
        b"+5\r\n",
        b"-5\r\n",
        b"0x5\r\n",
        b"5h\r\n",
        b"g\r\n",
        b"5,\r\n",
    ),
    *(b"5;\r\n", b"5;name\r\n", b"5;name=value\r\n", b"5 ; name\r\n", b"0;last\r\n", b'5;a="\n"\r\n'),
    *(b"5\n", b"5\nhello\r\n", b"5\r\r\n", b"\n5\r\n", b"5\x00\r\n", b"\xb5\r\n"),
    *(b"1" * 16 + b"\r\n", b"0" * 16 + b"5\r\n", b"f" * 17 + b"\r\n", b"0" * 65, b"1" * 65),
    *(b"5\r\nhello!", b"5\r\nhello\n", b"5\r\nhello\r\r", b"5\r\nhello0\r\n\r\n", b"5\r\nhello\r0"),
    *(b"0\r\nno colon\r\n", b"0\r\n: x\r\n", b"0\r\nA : x\r\n", b"0\r\n A: folded\r\n", b"0\r\nA: \x00\r\n"),
    *(b"0\r\nA: b\nC: d\r\n\r\n", b"0\r\n\n", b"0\r\nA: " + b"x" * 9000, b"0\r\n" + b"A: b\r\n" * 1400),
]


@pytest.mark.parametrize("data", BAD)
def test_what_is_not_chunked(data: bytes) -> None:
    for pieces in ([data], bytewise(data)):
        # A lone CR at the end is the one mistake that the next byte must show.
        with pytest.raises(BadChunkError):
            read(*pieces, b"!!")


@pytest.mark.parametrize("data", BAD)
def test_nothing_of_it_passes_for_an_end(data: bytes) -> None:
    reader = ChunkedReader()
    with pytest.raises(BadChunkError):
        reader.feed(data + b"\r\n0\r\n\r\n")
    assert not reader.ended


@given(st.lists(st.sampled_from([b"0", b"1", b"5", b"a", b"A", b";", b" ", b"\r", b"\n", b"\r\n", b"x: y"])))
def test_what_is_accepted_h11_reads_alike(parts: list[bytes]) -> None:
    data = b"".join(parts)
    try:
        content, _, rest, ended = read(data)
    except BadChunkError:
        return
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + data)
    seen, over = b"", False
    while (event := connection.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
        seen += bytes(event.data) if isinstance(event, h11.Data) else b""
        over = over or isinstance(event, h11.EndOfMessage)
    assert (seen, over) == (content, ended)
    assert not over or connection.trailing_data[0] == rest


@given(st.binary(max_size=60), st.data())
def test_the_verdict_does_not_depend_on_the_cuts(data: bytes, draw: st.DataObject) -> None:
    alphabet = st.sampled_from([b"0\r\n", b"3\r\n", b"abc", b"\r\n", b"\r", b"\n", b"a: b", b";x", data])
    wire = b"".join(draw.draw(st.lists(alphabet, max_size=12)))
    assert verdict([wire]) == verdict(bytewise(wire))


def verdict(pieces: list[bytes]) -> object:
    try:
        return read(*pieces, b"\x00\x00")[:2]
    except BadChunkError:
        return "refused"
