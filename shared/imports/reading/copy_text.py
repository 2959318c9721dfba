"""Columns as PostgreSQL's COPY text format: tab separated, `\\N` for NULL."""

from collections.abc import Sequence

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_NULL = "\\N"


def to_copy_text(columns: Sequence[Sequence[str | None]]) -> bytes:
    """The columns' rows. Clean text is joined at C speed; what needs escapes is noticed by counting."""
    rows = len(columns[0]) if columns else 0
    if rows == 0:
        return b""
    filled = [[_NULL if cell is None else cell for cell in column] for column in columns]
    text = _joined(filled)
    nulls = sum(column.count(None) for column in columns)
    clean = (
        text.count("\t") == rows * (len(columns) - 1)
        and text.count("\n") == rows
        and text.count("\\") == nulls
        and "\r" not in text
    )
    if not clean:
        text = _joined(
            [[_NULL if c is None else c.translate(_ESCAPES) for c in column] for column in columns]
        )
    return text.encode()


def _joined(columns: Sequence[Sequence[str]]) -> str:
    return "\n".join(map("\t".join, zip(*columns, strict=True))) + "\n"
