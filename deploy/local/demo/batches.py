"""What the generators hand to the databases."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Table:
    """A table of one service's database and the columns that are filled, in the order of the rows' values.

    `records` tells what people count as records from the lines of their history.
    """

    service: str
    name: str
    columns: tuple[str, ...]
    records: bool = True


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one table."""

    table: Table
    rows: Sequence[tuple[Any, ...]]


def in_batches(table: Table, rows: Sequence[tuple[Any, ...]], size: int = 2_000) -> Iterator[Batch]:
    """The rows, in pieces that are sent while the next ones are made."""
    for first in range(0, len(rows), size):
        yield Batch(table, rows[first : first + size])


def columns(line: str, *, records: bool = True) -> tuple[str, ...]:
    """Column names from a line of words, after those that every table or every record has."""
    of_records = ("version", "created_at", "updated_at") if records else ()
    return ("tenant_id", "id", *of_records, *line.split())
