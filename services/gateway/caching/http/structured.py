"""Cache directives for certain caches only, such as ours (RFC 9213), in structured fields (RFC 9651). Pure."""

import re
from functools import lru_cache
from typing import Any, Final, cast

from http_sf import StructuredFieldError, parse

from services.gateway.caching.http.directives import (
    MALFORMED,
    NO_ANSWER_DIRECTIVES,
    AnswerDirectives,
    Argument,
    answer_directives,
    read_answer,
)
from services.gateway.caching.http.fields import Fields

TARGETS: Final = (b"kontor-cache-control", b"cdn-cache-control")
"""The fields that are meant for us, the most specific first (RFC 9213, 2.2)."""

_LONGEST_REMEMBERED: Final = 256
_TOKEN: Final = re.compile(r"[A-Za-z*][!#$%&'*+\-.^_`|~:/0-9A-Za-z]*")
_NOT_IN_STRINGS: Final = re.compile(r"[^\x20-\x7e]")
_SECONDS: Final = frozenset({"max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"})
_QUALIFIED: Final = frozenset({"no-cache", "private"})


def governing(fields: Fields, targets: tuple[bytes, ...] = TARGETS) -> tuple[bytes, AnswerDirectives]:
    """The field that governs an answer, and its directives (RFC 9213, 2.2).

    The first of `targets` that is valid and not empty; where none is, `Cache-Control`. A targeted field that
    governs makes `Cache-Control` and `Expires` count for nothing.
    """
    for name in targets:
        value = fields.get(name)
        if value is not None:
            directives = targeted_directives(value)
            if directives is not None:
                return name, directives
    value = fields.get(b"cache-control")
    return b"cache-control", NO_ANSWER_DIRECTIVES if value is None else answer_directives(value)


def targeted_directives(value: bytes) -> AnswerDirectives | None:
    """The directives in a targeted field; None when it is empty or no dictionary (RFC 9213, 2.1).

    Parameters are ignored. A member of another type than its directive has (`max-age="60"`, `max-age=6.5`) is
    malformed, not converted.
    """
    return _remembered(value) if len(value) <= _LONGEST_REMEMBERED else _read(value)


def _read(value: bytes) -> AnswerDirectives | None:
    try:
        members = cast(dict[str, Any], parse(value, tltype="dictionary"))
    except StructuredFieldError:
        return None
    if not members:
        return None
    return read_answer((name.encode("ascii"), _argument(name, item[0])) for name, item in members.items())


def _argument(name: str, item: object) -> Argument:
    if item is True:
        return None
    if type(item) is int and name in _SECONDS:
        return b"%d" % item
    if isinstance(item, str) and name in _QUALIFIED:
        return item.encode("ascii")
    return MALFORMED


_remembered = lru_cache(maxsize=1024)(_read)


def token_or_string(text: str) -> bytes:
    """An item for a name: a token where it is one, else a string (RFC 9651, 4.1.6 and 4.1.7)."""
    return text.encode("ascii") if _TOKEN.fullmatch(text) else string(text)


def string(text: str) -> bytes:
    """A string item; what strings cannot hold, everything but visible ASCII and the space, becomes `?`."""
    plain = _NOT_IN_STRINGS.sub("?", text).replace("\\", "\\\\").replace('"', '\\"')
    return b'"' + plain.encode("ascii") + b'"'
