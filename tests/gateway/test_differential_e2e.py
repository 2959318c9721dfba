"""Random valid messages through a real gateway: each side gets what the other sent."""

from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gateway.caller import calling
from tests.gateway.line import Line
from tests.gateway.protocol.heads import METHODS, targets, valid_lines
from tests.gateway.protocol.references import Fields, end_to_end

pytestmark = pytest.mark.process


@dataclass
class Framed:
    """A body: the lines that tell its end, its bytes on the wire, its content."""

    lines: list[bytes]
    wire: bytes
    content: bytes


def counted(content: bytes) -> Framed:
    return Framed([b"Content-Length: %d" % len(content)], content, content)


def chunked(pieces: list[bytes]) -> Framed:
    wire = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return Framed([b"Transfer-Encoding: chunked"], wire + b"0\r\n\r\n", b"".join(pieces))


contents = st.binary(max_size=200) | st.integers(60_000, 200_000).map(bytes)
bodies = contents.map(counted) | st.lists(st.binary(min_size=1, max_size=2000), max_size=20).map(chunked)
no_body = st.just(Framed([], b"", b""))
# A hop's own, and what the gateway answers for itself, are looked at elsewhere.
answer_lines = st.lists(
    st.sampled_from(
        [
            *(
                b"Content-Type: text/html",
                b"Set-Cookie: a=b",
                b"Set-Cookie: c=d",
                b'ETag: W/"1"',
                b"Link: </x>",
            ),
            *(
                b"Cache-Control: no-store",
                b"X-A:",
                b"x-b:\t\xe9 ",
                b"Date: today",
                b"Server: x",
                b"Location: /y",
            ),
        ]
    ),
    max_size=6,
)


def fields(lines: list[bytes]) -> Fields:
    halves = (line.partition(b":") for line in lines)
    return [(name.lower(), value.strip(b" \t")) for name, _, value in halves]


# One connection and one gateway for all examples, as for all requests of a caller.
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(METHODS),
    target=targets.filter(lambda target: b"/." not in target and b"%2" not in target),
    lines=st.lists(valid_lines.filter(lambda line: not line.startswith(b"Expect")), max_size=6),
    body=no_body | bodies,
    status=st.sampled_from([200, 201, 206, 302, 404, 422]),
    said=answer_lines,
    answer_body=bodies,
)
async def test_each_side_gets_what_the_other_sent(
    line: Line,
    method: bytes,
    target: bytes,
    lines: list[bytes],
    body: Framed,
    status: int,
    said: list[bytes],
    answer_body: Framed,
) -> None:
    line.replica.clear()
    bodiless = method == b"HEAD"
    line.replica.scripts[target.partition(b"?")[0]] = b"\r\n".join(
        [
            b"HTTP/1.1 %d Some" % status,
            *said,
            *answer_body.lines,
            b"",
            b"" if bodiless else answer_body.wire,
        ]
    )
    request = b"\r\n".join([b"%b %b HTTP/1.1" % (method, target), b"Host: a", *lines, *body.lines, b"", b""])
    async with calling(line.port) as caller:
        await caller.send(request + body.wire)
        answer = await caller.answer(method)
        await caller.send(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await caller.answer()).status == 200  # the boundaries were understood alike
    (heard,) = line.replica.heard
    assert (heard.method, heard.target, heard.body, heard.complete) == (method, target, body.content, True)
    assert end_to_end(heard.headers) == end_to_end(fields(lines))
    assert answer.status == status
    assert answer.body == (b"" if bodiless else answer_body.content)
    own = {
        b"via",
        b"x-request-id",
        b"ratelimit",
        b"ratelimit-policy",
        b"server-timing",
        b"content-length",
        b"transfer-encoding",
    }
    assert [one for one in answer.headers if one[0] not in own] == fields(said)
