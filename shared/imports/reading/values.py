"""A column's texts as canonical ones: what PostgreSQL's casts read, or a reason why not.

Conversion is remembered per distinct text: real files repeat their dates, numbers and names.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import TypeAdapter, ValidationError

from shared.fields import Email, LocaleTag, ZoneName
from shared.fields.money import minor_units

_REMEMBERED = 50_000
_INTEGER = re.compile(r"[+-]?\d{1,19}\Z", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(\d{1,3}(,\d{3})+|\d+)?(\.\d+)?\Z", re.ASCII)
_DATE = re.compile(r"(\d{1,4})[-/.](\d{1,2})[-/.](\d{1,4})\Z", re.ASCII)
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,6})\d*)?)?(?:\s*([AaPp])\.?[Mm]\.?)?\Z", re.ASCII)
_PLAIN_EMAIL = re.compile(
    r"[A-Za-z0-9_%+-]+(\.[A-Za-z0-9_%+-]+)*@([A-Za-z0-9]+(-+[A-Za-z0-9]+)*\.)+[A-Za-z]{2,24}\Z"
)
_TRUE = frozenset({"true", "t", "yes", "y", "1"})
_FALSE = frozenset({"false", "f", "no", "n", "0"})

Convert = Callable[[str], str]
Column = list[str | None]


@dataclass(frozen=True)
class Refusal:
    """Why a text is not a value of its kind."""

    code: str
    reason: str


class _Memo(dict[str, str | Refusal]):
    """Texts and what became of them; forgets everything when it has grown too large."""

    def __init__(self, convert: Convert, code: str) -> None:
        super().__init__()
        self._convert = convert
        self._code = code
        self.refused = False

    def __missing__(self, text: str) -> str | Refusal:
        value: str | Refusal
        try:
            value = self._convert(text)
        except ValueError as error:
            value = Refusal(self._code, str(error))
            self.refused = True
        if len(self) >= _REMEMBERED:
            self.clear()
        self[text] = value
        return value


class Converter:
    """Converts the columns of one field, batch after batch."""

    def __init__(self, convert: Convert, code: str) -> None:
        self._memo = _Memo(convert, code)
        self._fits = _whole_columns(convert)

    def __call__(self, texts: Sequence[str | None]) -> tuple[Column, list[tuple[int, Refusal]]]:
        """The canonical texts, and `(position, refusal)` of those that have none."""
        if self._fits is not None and self._fits(texts):
            return list(texts), []
        memo = self._memo
        found = [memo[text] if text is not None else None for text in texts]
        if not memo.refused:
            return found, []  # type: ignore[return-value]  # nothing was refused, so there is no Refusal
        refusals = [(position, value) for position, value in enumerate(found) if isinstance(value, Refusal)]
        return [None if isinstance(value, Refusal) else value for value in found], refusals


def integer(minimum: int | None, maximum: int | None) -> Convert:
    """Whole numbers within the bounds."""

    def convert(text: str) -> str:
        stripped = text.strip()
        if not _INTEGER.match(stripped):
            raise ValueError("is no whole number")
        value = int(stripped)
        if (minimum is not None and value < minimum) or (maximum is not None and value > maximum):
            raise ValueError(f"is not between {minimum} and {maximum}")
        return str(value)

    return convert


def decimal(text: str) -> str:
    """A decimal number; commas may separate thousands."""
    return str(_decimal(text))


def _decimal(text: str) -> Decimal:
    stripped = text.strip()
    if not _DECIMAL.match(stripped) or len(stripped) > 40:
        raise ValueError("is no decimal number")
    try:
        return Decimal(stripped.replace(",", ""))
    except InvalidOperation:
        raise ValueError("is no decimal number") from None


def money(currency: str, scale: Decimal) -> Convert:
    """An amount as `<amount> <currency>`, times `scale`, with the decimals that the currency has."""
    units = minor_units(currency)
    if units is None:
        raise ValueError(f"{currency!a} is no ISO 4217 currency")
    quantum = Decimal(1).scaleb(-units)

    def convert(text: str) -> str:
        value = _decimal(text) * scale
        if abs(value) >= Decimal(10) ** 14:
            raise ValueError("is too large an amount")
        amount = value.quantize(quantum)
        if amount != value:
            raise ValueError(f"has more decimals than {currency}")
        return f"{amount} {currency}"

    return convert


def boolean(text: str) -> str:
    """true/false, t/f, yes/no, y/n, 1/0."""
    folded = text.strip().lower()
    if folded in _TRUE:
        return "true"
    if folded in _FALSE:
        return "false"
    raise ValueError("is neither true nor false")


def choice(choices: Sequence[str]) -> Convert:
    """One of the field's words, whatever its case."""
    known = {word.lower(): word for word in choices}

    def convert(text: str) -> str:
        word = known.get(text.strip().lower())
        if word is None:
            raise ValueError(f"is none of {', '.join(choices)}")
        return word

    return convert


@dataclass(frozen=True)
class Text:
    """Any text that is neither blank nor too long. Few texts repeat, so a whole column is checked at once first."""

    max_length: int

    def __call__(self, value: str) -> str:
        """The text as it is."""
        if not value.strip():
            raise ValueError("is blank; name it under `null` if it stands for nothing")
        if len(value) > self.max_length:
            raise ValueError(f"has more than {self.max_length:,} characters")
        return value

    def fits(self, texts: Sequence[str | None]) -> bool:
        """Whether every text of a column is right."""
        present = [text for text in texts if text is not None]
        return all(map(str.strip, present)) and max(map(len, present), default=0) <= self.max_length


def text(max_length: int) -> Convert:
    """Any text that is not too long."""
    return Text(max_length)


_email: TypeAdapter[str] = TypeAdapter(Email)
_locale: TypeAdapter[str] = TypeAdapter(LocaleTag)
_zone: TypeAdapter[str] = TypeAdapter(ZoneName)


def _as_in_the_api(adapter: TypeAdapter[str], value: str) -> str:
    """What the API takes for such a field. Raises ValueError with its words."""
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise ValueError(error.errors()[0]["msg"]) from None


def locale(value: str) -> str:
    """A language tag such as pt-BR."""
    return _as_in_the_api(_locale, value.strip())


def zone(value: str) -> str:
    """An IANA time zone."""
    return _as_in_the_api(_zone, value.strip())


def email(value: str) -> str:
    """An address in the form that the API takes; the plain ones are recognised without the full grammar."""
    stripped = value.strip()
    if len(stripped) <= 254 and _PLAIN_EMAIL.match(stripped) and stripped.index("@") <= 64:
        return stripped
    return _as_in_the_api(_email, stripped)


def _plain_emails(texts: Sequence[str | None]) -> bool:
    """Whether a whole column is plain, short addresses. They hardly repeat, so remembering them only costs."""
    present = [text for text in texts if text is not None]
    return max(map(len, present), default=0) <= 64 and all(map(_PLAIN_EMAIL.match, present))


def _whole_columns(convert: Convert) -> Callable[[Sequence[str | None]], bool] | None:
    """How to tell that every text of a column stays as it is, for the kinds where that pays."""
    if isinstance(convert, Text):
        return convert.fits
    return _plain_emails if convert is email else None


def record_id(text: str) -> str:
    """A UUID."""
    try:
        return str(UUID(text.strip()))
    except ValueError:
        raise ValueError("is no id (a UUID)") from None


def plain_date(order: str) -> Convert:
    """A calendar date in this order of day, month and year; ISO 8601 is always understood."""

    def convert(value: str) -> str:
        return _date(value.strip(), order).isoformat()

    return convert


def instant(order: str, zone: ZoneInfo) -> Convert:
    """A date and a time of this zone, or RFC 3339 with its own offset; in UTC.

    A time that the zone has twice is the first of the two, one that it skips is moved by the gap (RFC 5545, 3.3.5).
    """

    def convert(value: str) -> str:
        stripped = value.strip()
        try:
            moment = _moment(stripped, order)
        except ValueError:
            raise ValueError(f"is no date and time ({order})") from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone)
        try:
            return moment.astimezone(UTC).isoformat()
        except OverflowError:
            raise ValueError("lies outside the years 1 to 9999") from None

    return convert


def _moment(value: str, order: str) -> datetime:
    day, separator, clock = value.partition("T" if "T" in value else " ")
    if not separator:
        return datetime.combine(_date(day, order), datetime.min.time())
    match = _TIME.match(clock.strip())
    if match is None:
        return datetime.fromisoformat(value)
    hour, minute, second = int(match[1]), int(match[2]), int(match[3] or 0)
    if match[5]:
        if not 1 <= hour <= 12:
            raise ValueError("no such hour")
        hour = hour % 12 + (12 if match[5] in "Pp" else 0)
    microsecond = int((match[4] or "0").ljust(6, "0"))
    start = datetime.combine(_date(day, order), datetime.min.time())
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError("no such time")
    return start + timedelta(hours=hour, minutes=minute, seconds=second, microseconds=microsecond)


def _date(value: str, order: str) -> date:
    match = _DATE.match(value)
    if match is None:
        raise ValueError(f"is no date ({order})")
    if len(match[1]) == 4:
        order = "ymd"
    parts = dict(zip(order, match.groups(), strict=True))
    if len(parts["y"]) != 4 or len(parts["d"]) > 2:
        raise ValueError("needs a year of four digits")
    try:
        return date(int(parts["y"]), int(parts["m"]), int(parts["d"]))
    except ValueError:
        raise ValueError(f"is no day of the calendar ({order})") from None
