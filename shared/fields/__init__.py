"""Field types that every resource may use: text, money, instants. Each validates, stores and answers one way."""

from shared.fields.instants import Instant, PlainDate, format_instant, parse_instant
from shared.fields.money import Money
from shared.fields.text import (
    CountryCode,
    Domain,
    Email,
    Key,
    Line,
    LocaleTag,
    Phone,
    Prose,
    Word,
    ZoneName,
)

__all__ = [
    "CountryCode",
    "Domain",
    "Email",
    "Instant",
    "Key",
    "Line",
    "LocaleTag",
    "Money",
    "Phone",
    "PlainDate",
    "Prose",
    "Word",
    "ZoneName",
    "format_instant",
    "parse_instant",
]
