"""What a list may be filtered by: for each field its SQL, its type and the operators that make sense for it.

A filter never guesses: a value that is not of the field's type is refused with the field's name, and values reach
PostgreSQL as parameters only.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from shared.fields import parse_instant

EQUALITY = ("eq", "ne", "in", "nin")
ORDER = ("lt", "lte", "gt", "gte")
SUBSTRING = ("contains", "starts_with")
NULLNESS = ("is_null",)
OPERATORS = EQUALITY + ORDER + SUBSTRING + NULLNESS
MAX_LIST_VALUES = 200
_DECIMAL = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d{1,2})?\Z", re.ASCII)

_CONDITIONS = {
    "eq": "{sql} = {value}",
    "ne": "{sql} IS DISTINCT FROM {value}",
    "in": "{sql} = ANY({values})",
    "nin": "({sql} = ANY({values})) IS NOT TRUE",
    "lt": "{sql} < {value}",
    "lte": "{sql} <= {value}",
    "gt": "{sql} > {value}",
    "gte": "{sql} >= {value}",
    "contains": "{sql} LIKE {value}",
    "starts_with": "{sql} LIKE {value}",
    "is_null": "({sql} IS NULL) = {parameter}::boolean",
}


@dataclass(frozen=True)
class Kind:
    """A type that filters compare by: how its text is read, PostgreSQL's name for it, what may be asked of it."""

    name: str
    sql_type: str
    parse: Callable[[str], Any]
    operators: tuple[str, ...]
    schema: dict[str, Any]
    folded: bool = False
    """Whether upper and lower case are the same."""


@dataclass(frozen=True)
class Filter:
    """`sql` is an expression over the record's table, written `t`; `nullable` offers `is_null`."""

    sql: str
    kind: Kind
    nullable: bool = False

    @property
    def operators(self) -> tuple[str, ...]:
        return self.kind.operators + (NULLNESS if self.nullable else ())

    def condition(self, operator: str, parameter: str) -> str:
        """The SQL of one comparison; `parameter` is the placeholder of the value, such as `$3`."""
        sql, value, values = (
            self.sql,
            f"{parameter}::{self.kind.sql_type}",
            f"{parameter}::{self.kind.sql_type}[]",
        )
        if self.kind.folded and operator != "is_null":
            sql, value = f"lower({sql})", f"lower({value})"
            values = f"ARRAY(SELECT lower(v) FROM unnest({values}) v)"
        return _CONDITIONS[operator].format(sql=sql, value=value, values=values, parameter=parameter)

    def value(self, operator: str, text: str) -> Any:
        """The value as PostgreSQL takes it. Raises ValueError, saying what was expected."""
        match operator:
            case "in" | "nin":
                parts = text.split(",")
                if len(parts) > MAX_LIST_VALUES:
                    raise ValueError(f"takes at most {MAX_LIST_VALUES} values")
                return [self.kind.parse(part) for part in parts]
            case "contains":
                return f"%{_like(self.kind.parse(text))}%"
            case "starts_with":
                return f"{_like(self.kind.parse(text))}%"
            case "is_null":
                return _boolean(text)
            case _:
                return self.kind.parse(text)


@dataclass(frozen=True)
class ElementFilter(Filter):
    """Asks for an element of a JSON array of objects whose `member` equals the value, whatever its case.

    The search index narrows it down by words first, so that no index of its own is needed.
    """

    member: str = ""
    search: str = ""

    @property
    def operators(self) -> tuple[str, ...]:
        return ("eq",)

    def condition(self, operator: str, parameter: str) -> str:
        exact = f"lower({self.sql}::text)::jsonb @> lower({parameter}::text)::jsonb"
        text = words_of(f"({parameter}::text::jsonb -> 0 ->> '{self.member}')")
        words = f"phraseto_tsquery('simple', {text})"
        return f"({self.search} @@ {words} AND {exact})"

    def value(self, operator: str, text: str) -> Any:
        return json.dumps([{self.member: self.kind.parse(text)}], ensure_ascii=False)


@dataclass(frozen=True)
class ArrayFilter(Filter):
    """Asks for an element of an array column; a GIN index on the column serves it."""

    @property
    def operators(self) -> tuple[str, ...]:
        return ("eq", "in")

    def condition(self, operator: str, parameter: str) -> str:
        if operator == "in":
            return f"{self.sql} && {parameter}::{self.kind.sql_type}[]"
        return f"{self.sql} @> ARRAY[{parameter}::{self.kind.sql_type}]"


def words_of(sql: str) -> str:
    """SQL that turns punctuation inside addresses into spaces, so that each part is a word of its own."""
    return f"translate({sql}, '@._-/+', '      ')"


def _like(text: str) -> str:
    return str(text).replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _text(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not contain the NUL character")
    text.encode()  # a lone surrogate raises UnicodeEncodeError, which is a ValueError
    return text


def _integer(text: str) -> int:
    value = int(text) if text.isascii() and text.lstrip("-").isdigit() and len(text) <= 20 else None
    if value is None or not -(2**63) <= value < 2**63:
        raise ValueError("must be a whole number")
    return value


def _decimal(text: str) -> Decimal:
    value = Decimal(text) if len(text) <= 40 and _DECIMAL.match(text) else None
    if value is None or abs(value.adjusted()) > 30:
        raise ValueError("must be a decimal number")
    return value


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("must be true or false")
    return text == "true"


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ValueError("must be an id (a UUID)") from None


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text if len(text) == 10 else "")
    except ValueError:
        raise ValueError("must be a date such as 2026-01-31") from None


def _instant(text: str) -> Any:
    try:
        # A `+` of an offset that the caller did not escape arrives as a blank.
        return parse_instant(text.replace(" ", "+"))
    except (ValueError, OverflowError):
        raise ValueError("must be an RFC 3339 instant such as 2026-01-31T12:00:00Z") from None


TEXT = Kind("text", "text", _text, EQUALITY + SUBSTRING, {"type": "string"}, folded=True)
KEY = Kind("key", "text", _text, EQUALITY, {"type": "string"})
INTEGER = Kind("integer", "bigint", _integer, EQUALITY + ORDER, {"type": "integer"})
DECIMAL = Kind("decimal", "numeric", _decimal, EQUALITY + ORDER, {"type": "number"})
BOOLEAN = Kind("boolean", "boolean", _boolean, ("eq",), {"type": "boolean"})
ID = Kind("id", "uuid", _uuid, EQUALITY, {"type": "string", "format": "uuid"})
DATE = Kind("date", "date", _date, EQUALITY + ORDER, {"type": "string", "format": "date"})
INSTANT = Kind(
    "instant", "timestamptz", _instant, EQUALITY + ORDER, {"type": "string", "format": "date-time"}
)


def choice(*values: str) -> Kind:
    """A text that is one of a few; another value is refused rather than never found."""

    def parse(text: str) -> str:
        if text not in values:
            raise ValueError(f"must be one of {', '.join(values)}")
        return text

    return Kind("choice", "text", parse, EQUALITY, {"type": "string", "enum": list(values)})
