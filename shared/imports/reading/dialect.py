"""How a file separates its fields, and a rule that finds the delimiter from the file's first records."""

import csv
import io
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _csv import Reader

DELIMITERS = (",", ";", "\t", "|")
_MAX_RECORDS = 200


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way of writing CSV (RFC 4180 by default; line ends may be LF, CRLF or CR anyway).

    `quote` None means that quotes are ordinary characters. `escape` makes the next character literal, on top of
    doubled quotes.
    """

    delimiter: str = ","
    quote: str | None = '"'
    escape: str | None = None
    skip_initial_space: bool = False

    def __post_init__(self) -> None:
        special = [
            character for character in (self.delimiter, self.quote, self.escape) if character is not None
        ]
        if any(len(character) != 1 or character in "\r\n\x00" for character in special):
            raise ValueError("delimiter, quote and escape are single characters, and no line ends")
        if len(set(special)) != len(special):
            raise ValueError("delimiter, quote and escape must differ from one another")

    def reader(self, lines: Iterable[str], *, strict: bool = True) -> "Reader":
        """The standard library's reader of this dialect; lines keep their ends."""
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quote,
            escapechar=self.escape,
            quoting=csv.QUOTE_NONE if self.quote is None else csv.QUOTE_MINIMAL,
            skipinitialspace=self.skip_initial_space,
            strict=strict,
        )


def detect_delimiter(sample: str, quote: str | None = '"', escape: str | None = None) -> str:
    """The delimiter of a file that starts with `sample`, whose last record may be cut off.

    The candidate under which the largest majority of records has the same number of fields, more than one; between
    equals, the one that makes more fields. Delimiters inside quotes do not count. A file of one column gets one that
    it does not use.
    """
    candidates = [candidate for candidate in DELIMITERS if candidate not in (quote, escape)]
    return max(
        candidates, key=lambda candidate: _consistency(_records(sample, Dialect(candidate, quote, escape)))
    )


def _records(sample: str, dialect: Dialect) -> list[list[str]]:
    """The sample's records without blank lines; the last may be cut off and does not count."""
    records: list[list[str]] = []
    limit = csv.field_size_limit()
    try:
        for record in dialect.reader(io.StringIO(sample[:limit], newline=""), strict=False):
            if record:
                records.append(record)
            if len(records) > _MAX_RECORDS:
                break
    except csv.Error:
        # A field longer than the limit: what came before it has to do.
        return records
    return records if len(records) < 2 else records[:-1]


def _consistency(records: list[list[str]]) -> tuple[bool, float, int]:
    widths = Counter(map(len, records))
    if not widths:
        return (False, 0.0, 0)
    width, times = max(widths.items(), key=lambda item: (item[1], item[0]))
    return (width > 1 and 2 * times > len(records), times / len(records), width)
