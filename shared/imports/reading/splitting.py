"""The fast way of reading a block of records: a few passes over the whole text in C, none per record or field.

It only ever answers for blocks that are beyond doubt; every other block is read record by record (`parsing`). Both
ways give the same columns.
"""

from shared.imports.reading.dialect import Dialect

# Stand-ins for separators outside quotes; a block that has these characters itself is read the other way.
_UNIT, _RECORD, _EDGE = "\x1f", "\x1e", "\x1d"


def split_clean(text: str, dialect: Dialect, width: int) -> list[list[str]] | None:
    """The columns of whole records (the last one's line end may be missing), or None when a closer look is needed."""
    if (
        "\x00" in text
        or dialect.skip_initial_space
        or (dialect.escape is not None and dialect.escape in text)
    ):
        return None
    if dialect.quote is None or dialect.quote not in text:
        lines = _plain_lines(text)
        return None if lines is None else _split(lines, dialect.delimiter, "\n", width)
    unquoted = _without_quotes(text, dialect.quote, dialect.delimiter)
    return None if unquoted is None else _split(unquoted, _UNIT, _RECORD, width)


def _plain_lines(text: str) -> str | None:
    """LF between records and nothing after the last, or None if there are blank lines."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\n\n" in text or text.startswith("\n"):
        return None
    return text.removesuffix("\n") or None


def _split(text: str, delimiter: str, record_end: str, width: int) -> list[list[str]] | None:
    """Splits all records at once, as one long record.

    Each record end becomes a delimiter with the end as the next field's first character. The records all have `width`
    fields exactly when the number of fields is right and every end stands in the first column.
    """
    count = text.count(record_end) + 1
    fields = text.replace(record_end, delimiter + record_end).split(delimiter)
    if len(fields) != count * width:
        return None
    columns = [fields[start::width] for start in range(width)]
    columns[0] = "".join(columns[0]).split(record_end)
    return columns if len(columns[0]) == count else None


def _without_quotes(text: str, quote: str, delimiter: str) -> str | None:
    """The text with stand-ins for separators and without enclosing quotes, or None if its quoting is not plain.

    Cut at every quote, the even parts lie outside quotes. They must begin and end with a separator, but for the
    text's own ends. An empty one between two quoted parts is a doubled quote: one literal quote.
    """
    if _UNIT in text or _RECORD in text or _EDGE in text:
        return None
    parts = text.split(quote)
    inside = "".join(parts[1::2])
    if len(parts) % 2 == 0 or "\n" in inside or "\r" in inside:
        return None
    outside = _plain_lines(_EDGE.join(parts[::2]))
    if outside is None:
        return None
    outside = outside.replace(delimiter, _UNIT).replace("\n", _RECORD)
    for _ in range(2):  # once for every other pair of neighbours
        outside = outside.replace(_EDGE + _EDGE, _EDGE + quote + _EDGE)
    if _has_stray(outside, quote):
        return None
    parts[::2] = outside.split(_EDGE)
    return "".join(parts)


def _has_stray(outside: str, quote: str) -> bool:
    """Whether something else than a separator, a doubled quote or the text's end touches an edge."""
    edges = outside.count(_EDGE)
    neighbours = (_UNIT, _RECORD, quote)
    before = sum(outside.count(neighbour + _EDGE) for neighbour in neighbours) + outside.startswith(_EDGE)
    after = sum(outside.count(_EDGE + neighbour) for neighbour in neighbours) + outside.endswith(_EDGE)
    return before != edges or after != edges
