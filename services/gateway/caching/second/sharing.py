"""What the first level gives to the second, and takes from it. Pure."""

from typing import TYPE_CHECKING

from services.gateway.caching.coherence import TAGS_HEADER, TENANT_WIDE, VISIBILITY_HEADER
from services.gateway.caching.http.stored import StoredAnswer
from services.gateway.caching.presentation import status_line
from services.gateway.caching.second.entries import SharedAnswer
from services.gateway.forwarding.answer_head import AnswerHead

if TYPE_CHECKING:
    from services.gateway.caching.fetch import Fetch


def name_of_target(target: bytes) -> bytes:
    """What all answers of a target are called by, whatever their scheme, host and audience. No tag is like it."""
    return b"=" + target


def shared_answer(
    key: bytes, stored: StoredAnswer, content: bytes, tags: tuple[bytes, ...], fetch: "Fetch", now_ns: int
) -> SharedAnswer:
    """An answer that was just stored, as others are to get it. Only for one that was fetched with a token."""
    if fetch.token is None:
        raise ValueError("nobody knows when it was asked for")
    return SharedAnswer(
        key=key,
        status=stored.status,
        lines=stored.head + b"age: %d\r\n" % stored.age_s(now_ns),
        tags=b" ".join(tags) if tags else None,
        # That it is so has been seen to when it was stored.
        visibility=TENANT_WIDE if tags else b"",
        vary=stored.vary,
        selecting=stored.selecting,
        asked_us=fetch.token.asked_us,
        took_ns=max(0, now_ns - fetch.asked_ns),
        wall_s=stored.wall_s,
        body=content,
    )


def head_of(answer: SharedAnswer) -> AnswerHead:
    """Its head, as if a replica had just sent it."""
    found = {}
    if answer.tags is not None:
        found = {TAGS_HEADER: answer.tags, VISIBILITY_HEADER: answer.visibility}
    return AnswerHead(answer.status, status_line(answer.status), answer.lines, found, False, len(answer.body))
