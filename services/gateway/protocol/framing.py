"""Where a body ends: the chunked coding, read strictly (RFC 9112, 7.1). Pure."""

import re

from services.gateway.protocol.fields import IN_VALUES, TOKEN

# Nobody needs a chunk of 2^60 bytes; a bound keeps sizes in a machine word everywhere behind us.
_SIZE_LINE = re.compile(rb"[0-9A-Fa-f]{1,15}")
_LONGEST_LINE = 64
_MOST_TRAILER_BYTES = 8192

LAST_CHUNK = b"0\r\n\r\n"


class BadChunkError(ValueError):
    """Bytes that are not a chunked body, or that only a lenient reader would take for one."""


class ChunkedReader:
    """Takes the bytes of a chunked body as they come and gives what they carry.

    Chunk extensions are refused: nobody uses them, and readers that skip them differently see different
    messages. `ended` tells that the last chunk and the trailer section are through; `rest` is what came after.
    """

    __slots__ = ("_buffer", "_left", "_trailer_bytes", "ended", "rest", "trailers")

    def __init__(self) -> None:
        self._buffer = b""
        self._left = -1  # -1: a size line is next; -2: the trailer section
        self._trailer_bytes = 0
        self.trailers: list[bytes] = []
        self.ended = False
        self.rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces of content in `data`. Raises `BadChunkError`."""
        if self._buffer:
            data, self._buffer = self._buffer + data, b""
        pieces: list[bytes] = []
        at = 0
        while at < len(data) and not self.ended:
            if self._left >= 0:
                at = self._take_content(data, at, pieces)
                if at < 0:
                    break
                continue
            end = data.find(b"\r\n", at)
            if end < 0:
                self._keep_line(data[at:])
                break
            line, at = data[at:end], end + 2
            if self._left == -1:
                self._take_size(line)
            else:
                self._take_trailer(line)
        if self.ended:
            self.rest = data[at:]
        return pieces

    def _take_content(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        """Where to go on in `data`, or -1 when all of it is used up."""
        if self._left:
            piece = data[at : at + self._left]
            pieces.append(piece)
            self._left -= len(piece)
            at += len(piece)
        if self._left == 0:
            closing = data[at : at + 2]
            if closing == b"\r\n":
                self._left = -1
                return at + 2
            if closing not in (b"", b"\r"):
                raise BadChunkError("a chunk is longer than its size says")
            self._buffer = closing
        return -1

    def _keep_line(self, beginning: bytes) -> None:
        if len(beginning) > (_LONGEST_LINE if self._left == -1 else _MOST_TRAILER_BYTES):
            raise BadChunkError("a line of the chunked coding is too long")
        if b"\n" in beginning:
            raise BadChunkError("a line ends in a bare LF")
        self._buffer = beginning

    def _take_size(self, line: bytes) -> None:
        if _SIZE_LINE.fullmatch(line) is None:
            raise BadChunkError("a chunk size is not a plain hexadecimal number")
        size = int(line, 16)
        self._left = size or -2

    def _take_trailer(self, line: bytes) -> None:
        if not line:
            self.ended = True
            return
        self._trailer_bytes += len(line) + 2
        if self._trailer_bytes > _MOST_TRAILER_BYTES:
            raise BadChunkError("the trailer section is too long")
        name, colon, value = line.partition(b":")
        if not colon or TOKEN.fullmatch(name) is None or value.translate(IN_VALUES) != value:
            raise BadChunkError("a trailer line is not a header field")
        self.trailers.append(line)


def chunk(data: bytes) -> bytes:
    """`data` (not empty) as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)
