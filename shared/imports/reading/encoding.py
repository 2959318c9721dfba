"""From bytes to text: which encoding a file has, and a decoder that marks wrong bytes instead of guessing them away.

A byte that the encoding does not know becomes a mark that no valid text contains, so that the record that holds it
can be refused by its row while its neighbours are kept.
"""

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

FALLBACK = "windows-1252"
SAMPLE_BYTES = 256 * 1024
"""How much of a file's start decides what it is."""
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Only encodings of whole texts that people's programs export; Python also knows codecs that compress or execute.
_SINGLE_BYTE = frozenset(
    ["ascii", "cp437", "cp850", "cp852", "cp858", "cp866", "koi8-r", "koi8-u", "mac-roman"]
    + [f"cp125{number}" for number in range(9)]
    + [f"iso8859-{number}" for number in range(1, 17) if number != 12]
)
_UNICODE = frozenset(["utf-8", "utf-16-le", "utf-16-be"])
_MULTI_BYTE = frozenset(["shift_jis", "cp932", "euc_jp", "euc_kr", "cp949", "gbk", "gb18030", "big5"])
_SURROGATES = re.compile("[\ud800-\udfff]")
_REPLACED = re.compile("[\ud800-\udfff\ufffd]")


@dataclass(frozen=True, slots=True)
class Encoding:
    """An encoding and how we know it. `mark` is the length in bytes of the byte order mark to skip."""

    name: str
    declared: bool
    mark: int = 0

    def decoder(self) -> "Decoder":
        """A new decoder for the file's bytes from the first on."""
        return Decoder(self)

    def why_wrong(self) -> str:
        """What to tell someone whose bytes do not fit."""
        if self.declared:
            return f"has bytes that are not valid {self.name}, the encoding that was declared for this file"
        return (
            f"has bytes that are not valid {self.name}, which the start of the file was recognised as; "
            "declare the right encoding in the mapping"
        )


def check_encoding(name: str) -> str:
    """The canonical name of an encoding that files may have. Raises ValueError."""
    lowered = name.strip().lower()
    if lowered in {"utf-16", "utf16", "utf_16"}:
        return "utf-16"
    try:
        canonical = codecs.lookup("utf-8" if lowered in {"utf-8-sig", "utf8"} else lowered).name
    except (LookupError, ValueError):
        raise ValueError(f"'{name}' is no known encoding") from None
    if canonical not in _SINGLE_BYTE | _UNICODE | _MULTI_BYTE:
        raise ValueError(f"'{name}' is not an encoding that files can be imported in")
    return canonical


def choose_encoding(declared: str | None, sample: bytes) -> Encoding:
    """By byte order mark, else UTF-8 when the sample is valid UTF-8, else windows-1252.

    A declared encoding is taken at its word; its own byte order mark is skipped. Declared UTF-16 without a mark is
    little-endian, as Windows writes it. Raises ValueError for a name that is no encoding of files.
    """
    found = next(((name, len(mark)) for mark, name in _MARKS if sample.startswith(mark)), None)
    if declared is not None:
        name = check_encoding(declared)
        if found is not None and (found[0] == name or (name == "utf-16" and found[0] != "utf-8")):
            return Encoding(found[0], True, found[1])
        return Encoding("utf-16-le" if name == "utf-16" else name, True)
    if found is not None:
        return Encoding(found[0], False, found[1])
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        return Encoding(FALLBACK, False)
    return Encoding("utf-8", False)


class Decoder:
    """Decodes blocks of bytes; `marks` finds the wrong bytes once there have been any, and is None before."""

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        self._strict = codecs.getincrementaldecoder(encoding.name)()
        self.marks: re.Pattern[str] | None = None
        self._skip = encoding.mark

    def decode_all(self, blocks: Iterable[bytes]) -> Iterator[str]:
        """The text of a whole file, block by block."""
        for block in blocks:
            text = self.decode(block)
            if text:
                yield text
        rest = self.decode(b"", final=True)
        if rest:
            yield rest

    def decode(self, block: bytes, *, final: bool = False) -> str:
        """The next text. A character that a block cuts in two comes with the later block."""
        if self._skip:
            skip = min(self._skip, len(block))
            block = block[skip:]
            self._skip -= skip
        state = self._strict.getstate()
        try:
            return self._strict.decode(block, final)
        except UnicodeDecodeError:
            return self._marked(state, block, final=final)

    def _marked(self, state: tuple[bytes, int], block: bytes, *, final: bool) -> str:
        """Reads the same bytes again with wrong ones marked; strict reading goes on from where this one ends."""
        name = self._encoding.name
        self.marks = _REPLACED if name in _MULTI_BYTE or name.startswith("utf-16") else _SURROGATES
        decoder = codecs.getincrementaldecoder(name)(
            "replace" if self.marks is _REPLACED else "surrogateescape"
        )
        decoder.setstate(state)
        text = decoder.decode(block, final)
        self._strict.setstate(decoder.getstate())
        return text
