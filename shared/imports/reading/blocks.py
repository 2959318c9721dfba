"""Pieces of text that end at line ends, out of chunks that end anywhere."""

import io
from collections.abc import Iterable, Iterator


def blocks(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Chunks of any size as blocks of `size` to twice `size` bytes, about what a processor's cache likes."""
    pending: list[bytes] = []
    held = 0
    for chunk in chunks:
        for start in range(0, len(chunk), size):
            piece = chunk[start : start + size]
            pending.append(piece)
            held += len(piece)
            if held >= size:
                yield b"".join(pending)
                pending, held = [], 0
    if pending:
        yield b"".join(pending)


class Lines:
    """Gathers text into pieces of whole lines.

    Whoever takes a piece may put the start of an unfinished record back into `rest`; the next piece begins with it
    and is at least twice as long, so that a long record costs no more than twice its length. A `rest` that passes
    `longest` characters is skipped to the end of its record, and told to `skipped(start, lines)`.
    """

    def __init__(self, texts: Iterable[str], *, quote: str | None, longest: int) -> None:
        self._texts = texts
        self._quote = quote
        self._longest = longest
        self.rest = ""
        self.skipped: list[tuple[str, int]] = []
        """`(beginning, line ends inside)` of the records that were too long, since someone last looked."""

    def pieces(self) -> Iterator[tuple[str, bool]]:
        """`(text, whether it is the file's last)`."""
        pending: list[str] = []
        held = 0
        for text in self._without_giants(self._texts):
            pending.append(text)
            held += len(text)
            if held < 2 * len(self.rest):
                continue
            whole, partial = _cut(self.rest + "".join(pending))
            pending, held, self.rest = [], 0, ""
            if whole:
                yield whole, False
            self.rest += partial
        last, self.rest = self.rest + "".join(pending), ""
        yield last, True

    def _without_giants(self, texts: Iterable[str]) -> Iterator[str]:
        inside = skipping = False
        for text in texts:
            if not skipping and len(self.rest) > self._longest:
                skipping = True
                inside = self._begin_skip()
            end = 0
            if skipping:
                end, inside = self._record_end(text, inside)
                self._count_lines(text[:end])
                skipping = end == len(text)
            if not skipping:
                yield text[end:]

    def _begin_skip(self) -> bool:
        """Returns whether the record stops inside quotes."""
        giant, self.rest = self.rest, ""
        self.skipped.append((giant[:1000], 0))
        self._count_lines(giant)
        return self._quote is not None and giant.count(self._quote) % 2 == 1

    def _count_lines(self, text: str) -> None:
        beginning, lines = self.skipped[-1]
        ends = sum(line.endswith(("\n", "\r")) for line in io.StringIO(text, newline=""))
        self.skipped[-1] = (beginning, lines + ends)

    def _record_end(self, text: str, inside: bool) -> tuple[int, bool]:
        """Where the line end outside quotes is that ends the record, or the text's length.

        The line end itself stays: it is read as a blank line, which counts the record's last line.
        """
        position = 0
        for line in io.StringIO(text, newline=""):
            if self._quote is not None and line.count(self._quote) % 2:
                inside = not inside
            if not inside and line.endswith(("\n", "\r")):
                return position + len(line.rstrip("\r\n")), inside
            position += len(line)
        return position, inside


def _cut(text: str) -> tuple[str, str]:
    """Whole lines, and the rest. A CR at the very end may be half of a CRLF."""
    stop = len(text) - text.endswith("\r")
    end = max(text.rfind("\n", 0, stop), text.rfind("\r", 0, stop)) + 1
    return text[:end], text[end:]
