"""Places in the event log, as numbers and as text. Pure.

A place is a transaction and a number within the log: transactions are counted with PostgreSQL's 64-bit counter, which
goes on after restarts and crashes and never comes round. It means "all events up to here, this one included".
"""

import re
from typing import NamedTuple

_POSITION = re.compile(r"(\d{1,19})\.(\d{1,19})", re.ASCII)
_CURSOR = re.compile(r"(\d{1,20})@(.*)", re.ASCII)


class Position(NamedTuple):
    """A place in a log; of two the later one is the greater."""

    transaction: int
    sequence: int

    def __str__(self) -> str:
        return f"{self.transaction}.{self.sequence}"

    @classmethod
    def read(cls, text: str) -> "Position":
        """The place that the text names. Raises ValueError for anything else."""
        match = _POSITION.fullmatch(text)
        if match is None:
            raise ValueError("not a position in an event log")
        return cls(int(match[1]), int(match[2]))


class Cursor(NamedTuple):
    """A place in the log of one database cluster: restored elsewhere, the same numbers may mean other events."""

    log: str
    position: Position

    def __str__(self) -> str:
        return f"{self.log}@{self.position}"

    @classmethod
    def read(cls, text: str) -> "Cursor":
        """The place that the text names. Raises ValueError for anything else."""
        match = _CURSOR.fullmatch(text)
        if match is None:
            raise ValueError("not a cursor of an event log")
        return cls(match[1], Position.read(match[2]))
