"""Text that PostgreSQL can store and return unchanged, and the few formats that text comes in."""

import re
from functools import cache
from typing import Annotated
from zoneinfo import available_timezones

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError


def _storable(value: str) -> str:
    """PostgreSQL's text holds every Unicode character but NUL; a lone surrogate is no character."""
    if "\x00" in value:
        raise PydanticCustomError("nul_character", "must not contain the NUL character")
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise PydanticCustomError("lone_surrogate", "must not contain half of a surrogate pair")
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise PydanticCustomError("blank", "must not be empty or blank")
    return value


def _email(value: str) -> str:
    """Checks the form and keeps the spelling; delivery is not our question.

    Of RFC 5321's mailboxes it takes those that people have: no quoted local parts, no addresses of hosts.
    """
    try:
        validate_email(value, check_deliverability=False, allow_smtputf8=True, test_environment=True)
    except EmailNotValidError as error:
        raise PydanticCustomError("email", "is no e-mail address: {why}", {"why": str(error)}) from error
    return value


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _zone(value: str) -> str:
    if value not in _zones():
        raise PydanticCustomError("time_zone", "must be an IANA time zone such as Europe/Berlin")
    return value


_DOMAIN = re.compile(r"(?=.{1,253}\Z)(?:[\w](?:[\w-]{0,61}[\w])?\.)+[^\W\d_][\w-]{0,61}[\w]\Z")


def _domain(value: str) -> str:
    if not _DOMAIN.match(value):
        raise PydanticCustomError("domain", "must be a domain name such as example.com")
    return value


_storable_text = AfterValidator(_storable)
Line = Annotated[
    str, StringConstraints(min_length=1, max_length=300), _storable_text, AfterValidator(_not_blank)
]
"""A name or a title: 1 to 300 characters, not blank."""
Word = Annotated[
    str, StringConstraints(min_length=1, max_length=100), _storable_text, AfterValidator(_not_blank)
]
"""A short label: 1 to 100 characters, not blank."""
Prose = Annotated[str, StringConstraints(max_length=100_000), _storable_text]
"""Free text of up to 100,000 characters; may be empty."""
Key = Annotated[str, StringConstraints(min_length=1, max_length=255), _storable_text]
"""Somebody else's identifier: 1 to 255 characters, kept as it is."""
Email = Annotated[
    str,
    StringConstraints(min_length=3, max_length=320),
    _storable_text,
    AfterValidator(_email),
    Field(json_schema_extra={"format": "idn-email"}),
]
"""An e-mail address, kept as typed and compared without regard to case."""
Phone = Annotated[
    str, StringConstraints(min_length=1, max_length=60), _storable_text, AfterValidator(_not_blank)
]
"""A telephone number as people write it."""
Domain = Annotated[
    str,
    StringConstraints(min_length=3, max_length=253),
    _storable_text,
    AfterValidator(_domain),
    Field(json_schema_extra={"format": "idn-hostname"}),
]
"""A DNS name without scheme or path."""
ZoneName = Annotated[
    str,
    StringConstraints(max_length=64),
    AfterValidator(_zone),
    Field(json_schema_extra={"format": "time-zone", "examples": ["Europe/Berlin"]}),
]
"""An IANA time zone."""
LocaleTag = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$", max_length=35)
]
"""A language tag (BCP 47, the well-formed common part), such as pt-BR."""
CountryCode = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
"""ISO 3166-1 alpha-2."""
