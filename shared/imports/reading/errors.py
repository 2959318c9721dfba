"""What can be wrong with a file, and the file of errors that goes back to whoever sent it."""

import csv
import io
from collections.abc import Sequence
from typing import NamedTuple

_MAX_EXCERPT = 200
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_FIELDS = ("row", "line", "column", "code", "reason", "value")


class RowError(NamedTuple):
    """One fault of one record.

    `row` counts data records from 1, `line` is the physical line of the
    file from 1, `column` is the file's own column, `value` an excerpt of what stood there.
    """

    row: int
    line: int
    column: str | None
    code: str
    reason: str
    value: str | None


class FileError(Exception):
    """The file as a whole cannot be read: empty, without a usable header, or without a column that is needed.

    The message is one or more sentences for whoever sent the file.
    """


def shown(text: str | None) -> str | None:
    """A value as an error may quote it."""
    return None if text is None else excerpt(text)


def excerpt(text: str) -> str:
    """The start of a value, in characters that a database and a terminal can hold."""
    start = text[:_MAX_EXCERPT] + ("…" if len(text) > _MAX_EXCERPT else "")
    return start.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")


def error_file_header() -> str:
    """The first line of an error file."""
    return _csv_line(_FIELDS)


def error_file_row(error: Sequence[object]) -> str:
    """One line of an error file, of `(row, line, column, code, reason, value)`.

    A spreadsheet runs text as a formula when it starts with certain characters (CWE-1236). Both texts that come from
    the file, the column's name and the value, get an apostrophe then; our own words never start so.
    """
    row, line, column, code, reason, value = error
    return _csv_line((row, line, _harmless(column), code, reason, _harmless(value)))


def _harmless(text: object) -> object:
    if isinstance(text, str) and text.startswith(_FORMULA_STARTS):
        return "'" + text
    return text


def _csv_line(fields: Sequence[object]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(fields)
    return line.getvalue()
