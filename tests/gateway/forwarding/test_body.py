"""The caller's body: streamed once, or again while it is short."""

from collections.abc import MutableMapping
from typing import Any

import pytest

from services.gateway.forwarding.body import KEEP_BYTES, CallerBody, CallerLeftError
from shared.problems import Problem


def body(*pieces: bytes, leaves: bool = False, max_bytes: int = 10**9) -> CallerBody:
    messages: list[MutableMapping[str, Any]] = [
        {"type": "http.request", "body": piece, "more_body": leaves or number < len(pieces)}
        for number, piece in enumerate(pieces, 1)
    ]
    messages.append({"type": "http.disconnect"})
    waiting = iter(messages)

    async def receive() -> MutableMapping[str, Any]:
        return next(waiting)

    return CallerBody(receive, expected=bool(pieces), max_bytes=max_bytes)


async def read(what: CallerBody) -> list[bytes]:
    return [piece async for piece in what]


async def test_a_short_body_can_be_read_again() -> None:
    short = body(b"a", b"", b"b")
    assert await read(short) == [b"a", b"b"]
    assert short.replayable
    assert b"".join(await read(short)) == b"ab"


async def test_reading_resumes_where_the_first_attempt_stopped() -> None:
    short = body(b"a", b"b", b"c")
    pieces = short.__aiter__()
    assert await anext(pieces) == b"a"
    assert await read(short) == [b"a", b"b", b"c"]


async def test_a_long_body_is_not_kept() -> None:
    long = body(b"a" * KEEP_BYTES, b"b")
    assert len(await read(long)) == 2
    assert not long.replayable
    with pytest.raises(RuntimeError):
        await read(long)


async def test_a_body_that_grows_too_long() -> None:
    with pytest.raises(Problem) as caught:
        await read(body(b"123", b"456", max_bytes=5))
    assert caught.value.status == 413


async def test_a_caller_who_leaves() -> None:
    with pytest.raises(CallerLeftError):
        await read(body(b"a", leaves=True))


async def test_leaving_is_noticed_after_the_body() -> None:
    whole = body(b"a", b"b")
    await read(whole)
    await whole.until_caller_leaves()
    abandoned = body(b"a", b"b")
    abandoned.abandon()
    await abandoned.until_caller_leaves()
    await body().until_caller_leaves()
