"""Whether our parsers and those of others understand the same bytes alike."""

import re
from collections.abc import Callable
from contextlib import suppress

from services.gateway.protocol.fields import tokens
from services.gateway.protocol.framing import BadChunkError, ChunkedReader
from services.gateway.protocol.request_head import RequestHead, parse_request_head
from shared.problems import Problem
from tests.gateway.protocol.heads import METHODS
from tests.gateway.protocol.references import Fields, Message, NotUnderstood, by_httptools, end_to_end

Reference = Callable[[bytes], list[Message]]

NEXT = b"GET /next HTTP/1.1\r\nHost: next\r\n\r\n"
CHUNKED = b"3\r\nabc\r\n0\r\n\r\n"
COUNTED = b"abcdefghij"


HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def ours(block: bytes) -> RequestHead | None:
    try:
        return parse_request_head(block)
    except Problem:
        return None


def body_of(head: RequestHead) -> tuple[bytes, bytes]:
    """A body as the wire has it, and as it is meant."""
    length = head.fields.body_length
    if length < 0:
        reader = ChunkedReader()
        return CHUNKED, b"".join(reader.feed(CHUNKED))
    body = (COUNTED * (length // 10 + 1))[:length]
    return body, body


def understood(reference: Reference, wire: bytes) -> list[Message]:
    try:
        return reference(wire)
    except NotUnderstood as error:
        raise AssertionError(f"accepted by us alone: {wire!r} ({error})") from error


def assert_agreed(reference: Reference, block: bytes) -> bool:
    """What we accept as a request's head, the reference accepts with the same meaning; whether we accept it."""
    if b"\r\n\r\n" in block + b"\r\n":
        return False  # a block is what comes before the first empty line
    head = ours(block)
    if head is None or head.fields.body_length > 1000:
        return False
    if reference is by_httptools and head.method not in METHODS:
        return True  # llhttp knows a list of methods and refuses the others
    body, meant = body_of(head)
    wire = block + b"\r\n\r\n" + body
    upgrades = b"upgrade" in tokens(head.fields.found.get(b"connection", b""))
    if head.close or upgrades:
        message = understood(reference, wire)[0]
    else:
        message, following = understood(reference, wire + NEXT)
        assert (following.target, following.complete) == (b"/next", True)
    assert message.method == head.method
    assert origin_form(message.target) == head.target.removesuffix(b"?")
    assert end_to_end(message.headers) == passed_on(head)
    # After the head of an upgrade llhttp reads no further. It is not what a replica gets, unless it is a WebSocket.
    assert upgrades or (message.body, message.complete) == (meant, True)
    return True


def assert_same_end(reference: Reference, wire: bytes) -> None:
    """Where we see the end of a chunked body, the reference sees it, and the same content before it."""
    reader = ChunkedReader()
    try:
        content = b"".join(reader.feed(wire))
    except BadChunkError:
        return
    names = {line.partition(b":")[0].lower() for line in reader.trailers}
    if names & {b"content-length", b"transfer-encoding", b"connection", b"proxy-connection"}:
        return  # we let go of all of a request's trailers; llhttp takes these for fields of the head
    if reader.ended:
        message, following = understood(reference, HEAD + wire[: len(wire) - len(reader.rest)] + NEXT)
        assert following.target == b"/next"
        assert (message.body, message.complete) == (content, True)
        return
    with suppress(NotUnderstood):  # the others may have seen already that it will be none
        (message,) = reference(HEAD + wire)
        assert (message.body, message.complete) == (content, False)


def origin_form(target: bytes) -> bytes:
    """Without scheme and authority; llhttp's URL has no query where it is empty."""
    rest = re.sub(rb"(?i)^https?://[^/?]*", b"", target)
    return (rest if rest.startswith(b"/") else b"/" + rest).removesuffix(b"?")


def passed_on(head: RequestHead) -> Fields:
    halves = (line.partition(b":") for line in head.fields.lines)
    return [(name.lower(), value.strip(b" \t")) for name, _, value in halves]


def verdict(block: bytes) -> object:
    """All that our parser says of a head."""
    try:
        head = parse_request_head(block)
    except Problem as problem:
        return problem.status, problem.code
    fields = head.fields
    return (
        (head.method, head.target, head.http10, head.close),
        (
            fields.lines,
            fields.onward,
            fields.body_length,
            fields.close,
            fields.expects_continue,
            fields.upgrade,
        ),
        fields.credentials,
        fields.found,
    )
