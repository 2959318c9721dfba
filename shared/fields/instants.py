"""Instants: RFC 3339 in, UTC with `Z` out, microseconds at most."""

from datetime import UTC, date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError


def format_instant(value: datetime) -> str:
    """RFC 3339 in UTC with `Z`, as the database writes it too: no trailing zeros in the fraction."""
    text = value.astimezone(UTC).replace(tzinfo=None).isoformat()
    if "." in text:
        text = text.rstrip("0")
    return text + "Z"


def parse_instant(text: str) -> datetime:
    """Reads RFC 3339 with an offset. Raises ValueError."""
    if "T" not in text and "t" not in text:
        raise ValueError("must be a date and a time joined by T")
    value = datetime.fromisoformat(text)
    if value.tzinfo is None:
        raise ValueError("must carry an offset, such as Z")
    return value.astimezone(UTC)


def _instant(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    try:
        return parse_instant(value if isinstance(value, str) else "")
    except (ValueError, OverflowError) as error:
        raise PydanticCustomError(
            "instant", "must be an RFC 3339 instant such as 2026-01-31T12:00:00Z"
        ) from error


def _not_absurd(value: datetime) -> datetime:
    if not 1 <= value.year <= 9999:
        raise PydanticCustomError("instant", "must lie in the years 1 to 9999")
    return value


def _plain_date(value: Any) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        text = value if isinstance(value, str) and len(value) == 10 else ""
        return date.fromisoformat(text)
    except ValueError as error:
        raise PydanticCustomError("date", "must be a date such as 2026-01-31") from error


Instant = Annotated[
    datetime,
    BeforeValidator(_instant),
    AfterValidator(_not_absurd),
    PlainSerializer(format_instant, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-01-31T12:00:00Z"]}),
]
"""A point in time. Any offset is accepted, UTC is answered."""
PlainDate = Annotated[
    date, BeforeValidator(_plain_date), WithJsonSchema({"type": "string", "format": "date"})
]
"""A calendar date without a time."""
