"""Paths and URLs as they may stand in a trace or a log: without credentials, query values and personal data."""

import re
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

# What a path of ours is made of: names of resources, ids that we gave, short numbers. Anything else (a capital, a
# point, an `@`, a long number, a letter outside ASCII) may be somebody's name, address, telephone number or key that
# somebody put into an external id. Of a word in small letters nobody can tell.
_SEGMENT: Final = (
    r"[a-z][a-z0-9-]{0,31}(?:\.json)?|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9]{1,6}"
)
_PLAIN_SEGMENT: Final = re.compile(_SEGMENT)
_PLAIN_PATH: Final = re.compile(rf"(?:/(?:{_SEGMENT}))+")
# `limit`, `filter[created_at][gte]`, and how some write brackets.
_PLAIN_NAME: Final = re.compile(
    r"[a-z][a-z0-9_]{0,31}(?:(?:\[|%5[Bb])[a-z][a-z0-9_.]{0,31}(?:\]|%5[Dd])){0,2}"
)
_LONGER_THAN_ANY_NAME: Final = 128
_LONGEST_PATH: Final = 512
REDACTED: Final = "REDACTED"


def plain_path(path: str) -> str:
    """The path, with each segment that could hold personal data replaced; at most 512 characters."""
    if len(path) <= _LONGEST_PATH and _PLAIN_PATH.fullmatch(path):
        return path
    segments = path[: _LONGEST_PATH + 1].split("/")
    kept = "/".join(part if not part or _PLAIN_SEGMENT.fullmatch(part) else REDACTED for part in segments)
    return kept[:_LONGEST_PATH]


def plain_target(target: str) -> str:
    """A request's target: its path, and of its query the parameters' names."""
    path, mark, query = target.partition("?")
    return f"{plain_path(path)}?{_plain_query(query)}" if mark and query else plain_path(path)


def plain_url(url: str) -> str:
    """The URL without user information and fragment, its query reduced to the parameters' names."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{plain_target(f'{parts.path}?{parts.query}')}"


def _plain_query(query: str) -> str:
    names = [pair.partition("=")[0] for pair in query.split("&") if pair]
    return "&".join([_plain_name(name[:_LONGER_THAN_ANY_NAME]) for name in names])


@lru_cache(maxsize=1_024)
def _plain_name(name: str) -> str:
    """Most queries use the same few."""
    return f"{name if _PLAIN_NAME.fullmatch(name) else REDACTED}={REDACTED}"
