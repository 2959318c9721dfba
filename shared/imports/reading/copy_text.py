"""Columns as PostgreSQL's COPY text format: tab separated, `\\N` for NULL."""

from collections.abc import Sequence
from typing import cast

# The backslash first: it is what the others are escaped with.
_ESCAPES = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"))
_NULL = "\\N"


def to_copy_text(columns: Sequence[Sequence[str | None]]) -> bytes:
    """The columns' rows. Clean text is joined at C speed; what needs escapes is noticed by counting."""
    rows = len(columns[0]) if columns else 0
    if rows == 0:
        return b""
    nulls = [column.count(None) for column in columns]
    text = _joined(
        [_filled(column) if empty else column for column, empty in zip(columns, nulls, strict=True)]
    )
    clean = (
        text.count("\t") == rows * (len(columns) - 1)
        and text.count("\n") == rows
        and text.count("\\") == sum(nulls)
        and "\r" not in text
    )
    if not clean:
        text = _joined([_escaped(column) for column in columns])
    return text.encode()


def _escaped(column: Sequence[str | None]) -> list[str]:
    whole = "".join(filter(None, column))
    cells = list(column)
    for character, escape in _ESCAPES:
        if character in whole:
            cells = [cell and cell.replace(character, escape) for cell in cells]
    return _filled(cells)


def _filled(column: Sequence[str | None]) -> list[str]:
    return [_NULL if cell is None else cell for cell in column]


def _joined(columns: Sequence[Sequence[str | None]]) -> str:
    rows = zip(*cast("Sequence[Sequence[str]]", columns), strict=True)  # what was None is filled by now
    return "\n".join(map("\t".join, rows)) + "\n"
