"""The names of a file's columns."""

import difflib
from collections.abc import Iterable, Sequence


def column_names(cells: Iterable[str]) -> tuple[str, ...]:
    """Names by which a mapping addresses the columns, each once.

    A name that has been there before gets its number, `category#2`; a column without a name is called its position.
    """
    names: dict[str, None] = {}
    for position, cell in enumerate(cells, start=1):
        base = cell.strip()
        name, number = base or str(position), 1
        while name in names:
            number += 1
            name = f"{base or position}#{number}"
        names[name] = None
    return tuple(names)


def positional_names(width: int) -> tuple[str, ...]:
    """The names of a file without a header: `1`, `2` …"""
    return tuple(str(position) for position in range(1, width + 1))


def missing_columns(columns: Sequence[str], expected: Iterable[str]) -> str | None:
    """What to say when columns that are asked for are not there."""
    wanted = list(dict.fromkeys(expected))
    missing = [name for name in wanted if name not in columns]
    if not missing:
        return None
    there = ", ".join(columns)[:500]
    if len(missing) == len(wanted) > 1:
        return f"none of the mapped columns is in the header; the first record is: {there}"
    hints = [_hint(name, columns) for name in missing]
    return f"the file has no column {', '.join(hints)}; it has: {there}"


def _hint(name: str, columns: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, columns, n=1)
    return f"'{name}' (did you mean '{near[0]}'?)" if near else f"'{name}'"
