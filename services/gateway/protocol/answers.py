"""What the gateway answers itself, as bytes."""

from email.utils import formatdate
from http import HTTPStatus

from services.gateway.protocol.request_head import RequestHead
from shared.problems import Problem, problem_response_parts


def page_bytes(
    head: RequestHead, status: int, content_type: bytes, body: bytes, lines: bytes, *, close: bool
) -> bytes:
    """A complete answer of our own."""
    own = [b"content-type: " + content_type, b"content-length: %d" % len(body)]
    return _answer(status, own, lines, b"" if head.method == b"HEAD" else body, close)


def problem_bytes(
    problem: Problem, *, request_id: bytes, instance: bytes, lines: bytes, close: bool, bodiless: bool = False
) -> bytes:
    """A problem document (RFC 9457)."""
    status, headers, body = problem_response_parts(
        problem, request_id=request_id.decode("latin-1"), instance=instance.decode("latin-1")
    )
    own = [name + b": " + value for name, value in headers]
    return _answer(status, own, lines, b"" if bodiless else body, close)


def _answer(status: int, own: list[bytes], lines: bytes, body: bytes, close: bool) -> bytes:
    first = b"HTTP/1.1 %d %b" % (status, HTTPStatus(status).phrase.encode("ascii"))
    # Only on what we answer ourselves: a replica's answer has its own.
    date = b"date: " + formatdate(usegmt=True).encode("ascii")
    ending = b"connection: close\r\n" if close else b""
    return b"\r\n".join([first, date, *own, lines + ending]) + b"\r\n" + body
