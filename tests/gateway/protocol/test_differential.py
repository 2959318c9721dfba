"""What our parser accepts, llhttp and h11 accept with the same meaning; what it remembers changes nothing."""

import re
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.protocol.fields import tokens
from services.gateway.protocol.framing import BadChunkError, ChunkedReader
from services.gateway.protocol.request_head import RequestHead, parse_request_head
from shared.problems import Problem
from tests.gateway.protocol.heads import METHODS, nearly
from tests.gateway.protocol.memory import forget_requests
from tests.gateway.protocol.references import Fields, Message, NotUnderstood, by_h11, by_httptools

Reference = Callable[[bytes], list[Message]]

NEXT = b"GET /next HTTP/1.1\r\nHost: next\r\n\r\n"
CHUNKED = b"3\r\nabc\r\n0\r\n\r\n"
COUNTED = b"abcdefghij"


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


@pytest.mark.parametrize("reference", [by_httptools, by_h11])
@settings(max_examples=200, deadline=None)
@given(block=nearly)
def test_accepted_by_us_is_accepted_by_others_with_the_same_meaning(
    reference: Reference, block: bytes
) -> None:
    head = ours(block)
    if head is None or head.fields.body_length > 1000:
        return
    if reference is by_httptools and head.method not in METHODS:
        return  # llhttp knows a list of methods and refuses the others
    body, meant = body_of(head)
    wire = block + b"\r\n\r\n" + body
    if head.close or b"upgrade" in tokens(head.fields.found.get(b"connection", b"")):
        (message,) = understood(reference, wire)
    else:
        message, following = understood(reference, wire + NEXT)
        assert (following.target, following.complete) == (b"/next", True)
    assert message.method == head.method
    assert origin_form(message.target) == head.target.removesuffix(b"?")
    assert (message.body, message.complete) == (meant, True)
    assert end_to_end(message.headers) == passed_on(head)


def origin_form(target: bytes) -> bytes:
    """Without scheme and authority; llhttp's URL has no query where it is empty."""
    rest = re.sub(rb"(?i)^https?://[^/?]*", b"", target)
    return (rest if rest.startswith(b"/") else b"/" + rest).removesuffix(b"?")


# What is not passed on as it came, told once more and independently.
_OURS = {
    *(b"host", b"authorization", b"x-api-key", b"x-request-id", b"traceparent", b"tracestate", b"connection"),
    *(
        b"content-length",
        b"transfer-encoding",
        b"expect",
        b"upgrade",
        b"via",
        b"forwarded",
        b"x-real-ip",
        b"te",
    ),
    *(b"keep-alive", b"trailer", b"proxy-connection", b"proxy-authorization", b"proxy-authenticate"),
}


def end_to_end(headers: Fields) -> Fields:
    nominated = {option for name, value in headers if name == b"connection" for option in tokens(value)}
    return [
        (name, value)
        for name, value in headers
        if name.replace(b"_", b"-") not in _OURS
        and not name.replace(b"_", b"-").startswith((b"x-kontor-", b"x-forwarded-"))
        and name not in nominated
    ]


def passed_on(head: RequestHead) -> Fields:
    halves = (line.partition(b":") for line in head.fields.lines)
    return [(name.lower(), value.strip(b" \t")) for name, _, value in halves]


def verdict(block: bytes) -> object:
    try:
        head = parse_request_head(block)
    except Problem as problem:
        return problem.status, problem.code
    fields = head.fields
    return (
        (head.method, head.target, head.http10, head.close, head.request_id, head.traceparent),
        (
            fields.lines,
            fields.onward,
            fields.body_length,
            fields.close,
            fields.expects_continue,
            fields.upgrade,
        ),
        (fields.authorization, fields.idempotency_key, fields.two_credentials),
        {
            name: value
            for name, value in fields.found.items()
            if name not in (b"x-request-id", b"traceparent")
        },
    )


@settings(max_examples=100, deadline=None)
@given(st.lists(nearly, min_size=1, max_size=6))
def test_what_was_seen_before_changes_nothing(blocks: list[bytes]) -> None:
    cold = []
    for block in blocks:
        forget_requests()
        cold.append(verdict(block))
    forget_requests()
    assert [verdict(block) for block in blocks] == cold
    assert [verdict(block) for block in blocks] == cold


CHUNKS = st.lists(
    st.sampled_from(
        [
            b"0",
            b"3",
            b"a",
            b"\r\n",
            b"\r",
            b"\n",
            b"abc",
            b";x",
            b" ",
            b"0\r\n\r\n",
            b"3\r\nabc\r\n",
            b"x: y",
            b"00",
        ]
    ),
    max_size=10,
).map(b"".join)
HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("reference", [by_httptools, by_h11])
@settings(max_examples=200, deadline=None)
@given(wire=CHUNKS)
def test_chunked_bodies_end_where_others_see_the_end(reference: Reference, wire: bytes) -> None:
    reader = ChunkedReader()
    try:
        content = b"".join(reader.feed(wire))
    except BadChunkError:
        return
    if reader.ended:
        message, following = understood(reference, HEAD + wire[: len(wire) - len(reader.rest)] + NEXT)
        assert following.target == b"/next"
        assert (message.body, message.complete) == (content, True)
        return
    with suppress(NotUnderstood):  # the others may have seen already that it will be none
        (message,) = reference(HEAD + wire)
        assert (message.body, message.complete) == (content, False)
