"""Bounds on one request. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.problems import Problem

Headers = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class SizeLimits:
    """`max_body_bytes` guards the services' disks, not our memory: bodies are streamed."""

    max_header_bytes: int = 32 * 1024
    max_body_bytes: int = 8 * 1024**3


def check_head(raw_path: bytes, query: bytes, headers: Headers, limits: SizeLimits) -> None:
    """Raise the `Problem` (400, 413, 414, 431 or 501) of a request whose head alone says that it is refused."""
    if len(raw_path) + len(query) > limits.max_header_bytes:
        raise Problem(414, "target_too_long", "URI too long", f"At most {limits.max_header_bytes} bytes.")
    # Four bytes per line for the colon, the space and the line's end.
    if sum(len(name) + len(value) + 4 for name, value in headers) > limits.max_header_bytes:
        raise Problem(
            431,
            "headers_too_large",
            "Request header fields too large",
            f"At most {limits.max_header_bytes} bytes.",
        )
    names = [name for name, _ in headers]
    # uvicorn lets a missing and a repeated Host pass (RFC 9112, 3.2: both are 400).
    if names.count(b"host") != 1:
        raise Problem(400, "bad_host", "Bad Host", "Exactly one Host header is needed.")
    for name, value in headers:
        if name == b"transfer-encoding" and value.strip().lower() != b"chunked":
            # RFC 9112, 6.1: what we cannot decode we must not pass on as if it were plain.
            raise Problem(
                501, "unknown_coding", "Not implemented", "Only the chunked transfer coding is known."
            )
        if name == b"content-length" and value.isdigit() and int(value) > limits.max_body_bytes:
            raise body_too_large(limits.max_body_bytes)


def body_too_large(max_body_bytes: int) -> Problem:
    """413, known from the head or found out while streaming."""
    return Problem(413, "body_too_large", "Content too large", f"At most {max_body_bytes} bytes.")
