"""The head of a replica's answer (RFC 9112), read strictly. Pure."""

import re
from typing import Final

from services.gateway.protocol.fields import (
    DROP,
    HOP_BY_HOP,
    PASS,
    BadFieldError,
    LineReader,
    read_fields,
    tokens,
    without,
)
from shared.telemetry.terms import TERMS_HEADER

_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?")
_LONGEST_LENGTH: Final = 15
_NOT_THE_CONNECTIONS: Final = frozenset({b"close", b"keep-alive", b"upgrade", b"content-length"})
_BODILESS: Final = frozenset({204, 304})
_CONTENT_LENGTH: Final = frozenset({b"content-length"})

UNTIL_CLOSE: Final = -2
CHUNKED: Final = -1

READER: Final = LineReader(
    {
        b"content-length": True,
        b"transfer-encoding": False,
        b"connection": False,
        b"upgrade": False,
        b"via": False,
        b"endpoint-load-metrics": False,
        TERMS_HEADER: False,
        # What the cache is told, and nobody else.
        b"x-kontor-tags": False,
        b"x-kontor-changed": False,
        b"x-kontor-visibility": False,
    },
    dropped=HOP_BY_HOP | {b"x-request-id"},
    # What services tell the gateway is nobody else's business.
    dropped_prefixes=(b"x-kontor-",),
    unique={
        TERMS_HEADER,
        b"x-kontor-tags",
        b"x-kontor-changed",
        b"etag",
        b"location",
        b"x-request-id",
        b"last-modified",
        b"link",
    },
    silent={b"connection:keep-alive"},
)

# Status lines are few: status, whether the replica speaks HTTP/1.0, and the line as the caller gets it.
_status_lines: dict[bytes, tuple[int, bool, bytes]] = {}
_MOST_STATUS_LINES = 512


class BadAnswerError(ValueError):
    """What came from the replica is not an HTTP answer, or its end cannot be told for certain."""


class AnswerHead:
    """The head of one answer.

    `onward` are the header lines to pass on, `Content-Length` among them; `length` is the body's length in
    bytes, `CHUNKED` or `UNTIL_CLOSE`, and 0 for answers that have no body by their status or method, whatever
    length they speak of. `close` tells that the connection ends with this answer.
    """

    __slots__ = ("close", "found", "length", "onward", "status", "status_line", "via")

    def __init__(
        self,
        status: int,
        status_line: bytes,
        onward: bytes,
        found: dict[bytes, bytes],
        close: bool,
        length: int,
    ) -> None:
        self.status = status
        self.status_line = status_line
        self.onward = onward
        self.found = found
        self.via = found.get(b"via")
        self.close = close
        self.length = length

    def fields(self) -> dict[bytes, bytes]:
        """What is passed on, by lower-case name."""
        return read_fields(self.onward.split(b"\r\n")[:-1])


def parse_answer_head(block: bytes, is_head: bool) -> AnswerHead:
    """The head in `block`, everything before the empty line; `is_head` tells that HEAD was asked.

    Raises `BadAnswerError`.
    """
    lines = block.split(b"\r\n")
    first = lines[0]
    del lines[0]
    status, http10, status_line = _status_lines.get(first) or _learn_status_line(first)
    passed: list[bytes] = []
    found: dict[bytes, bytes] = {}
    reader = READER
    known = reader.known
    try:
        for line in lines:
            verdict = known.get(line) or reader.learn(line)
            if verdict is PASS:
                passed.append(line)
            elif verdict is not DROP:
                name, value, passed_on = verdict
                found[name] = found[name] + b", " + value if name in found else value
                if passed_on:
                    passed.append(line)
    except BadFieldError as error:
        raise BadAnswerError(str(error)) from error
    length = _length(found)
    bodiless = is_head or status in _BODILESS or status < 200
    if b"connection" in found or bodiless:
        passed = _fewer(passed, found, status, is_head=is_head)
    close = http10 or (length == UNTIL_CLOSE and not bodiless) or _says_close(found)
    onward = b"\r\n".join(passed) + b"\r\n" if passed else b""
    return AnswerHead(status, status_line, onward, found, close, 0 if bodiless else length)


def _says_close(found: dict[bytes, bytes]) -> bool:
    return b"connection" in found and b"close" in tokens(found[b"connection"])


def _fewer(lines: list[bytes], found: dict[bytes, bytes], status: int, *, is_head: bool) -> list[bytes]:
    """The lines without those that end here."""
    nominated = frozenset(tokens(found.get(b"connection", b""))) - _NOT_THE_CONNECTIONS
    if nominated:
        lines = without(lines, nominated)
    if status == 204 or status < 200:
        # RFC 9110, 8.6: there it must not be sent. A 304 and the answer to HEAD may tell of another body.
        lines = without(lines, _CONTENT_LENGTH)
    return lines


def _learn_status_line(line: bytes) -> tuple[int, bool, bytes]:
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        raise BadAnswerError("the status line is not one")
    learnt = int(match[2]), match[1] == b"0", b"HTTP/1.1" + line[8:]
    if len(_status_lines) < _MOST_STATUS_LINES:
        _status_lines[line] = learnt
    return learnt


def _length(found: dict[bytes, bytes]) -> int:
    """RFC 9112, 6.3."""
    length = found.get(b"content-length")
    if b"transfer-encoding" in found:
        if length is not None or found[b"transfer-encoding"].lower() != b"chunked":
            raise BadAnswerError("the end of the answer cannot be told")
        return CHUNKED
    if length is None:
        return UNTIL_CLOSE
    if not length.isdigit() or len(length) > _LONGEST_LENGTH:
        raise BadAnswerError("Content-Length is not a plain number")
    return int(length)
