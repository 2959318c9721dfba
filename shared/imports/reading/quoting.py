"""What exactly is wrong with the quoting of one record. Slow and exact: only doubtful records come here."""

import re
from dataclasses import dataclass
from functools import cache

from shared.imports.reading.dialect import Dialect


@dataclass(frozen=True, slots=True)
class QuotingFault:
    """`field` counts from 0; `offset` is where the fault stands and `opened` where its field begins, in the record."""

    code: str
    reason: str
    field: int
    offset: int
    opened: int

    @property
    def unclosed(self) -> bool:
        """Whether more text could still put it right."""
        return self.code == "unclosed_quote"


def quoting_fault(record: str, dialect: Dialect) -> QuotingFault | None:
    """The first fault of a record (RFC 4180, section 2, rules 5 to 7), or None."""
    if dialect.quote is None:
        return None
    quoted, unquoted, space = _patterns(dialect)
    position = field = 0
    while True:
        opened = _end(space, record, position)
        if record.startswith(dialect.quote, opened):
            closed = quoted.match(record, opened)
            if closed is None:
                return QuotingFault(
                    "unclosed_quote", "a quote is opened and never closed", field, opened, opened
                )
            position = closed.end()
            if position < len(record) and record[position] not in (dialect.delimiter, "\r", "\n"):
                reason = "text follows a closing quote; a quote inside a quoted field must be doubled"
                return QuotingFault("text_after_quote", reason, field, position, opened)
        else:
            position = _end(unquoted, record, opened)
            if record.startswith(dialect.quote, position):
                reason = "a quote stands inside a field that does not begin with one"
                return QuotingFault("quote_in_field", reason, field, position, opened)
        if position >= len(record) or record[position] != dialect.delimiter:
            return None
        position += 1
        field += 1


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    found = pattern.match(text, position)
    return found.end() if found else position


@cache
def _patterns(dialect: Dialect) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """A quoted field, an unquoted one, and the space before either. Possessive: no input makes them slow."""
    quote, delimiter = re.escape(dialect.quote or ""), re.escape(dialect.delimiter)
    escape = re.escape(dialect.escape or "")
    escaped = f"|{escape}." if escape else ""
    quoted = re.compile(f"{quote}(?:[^{quote}{escape}]++|{quote}{quote}{escaped})*+{quote}", re.DOTALL)
    unquoted = re.compile(f"(?:[^{quote}{delimiter}{escape}\r\n]++{escaped})*+", re.DOTALL)
    return quoted, unquoted, re.compile(" *+" if dialect.skip_initial_space else "")
