"""Paths and URLs as they may stand in a trace or a log: without credentials, query values and personal data."""

import re
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
_LONGEST_PATH: Final = 512
REDACTED: Final = "REDACTED"


def plain_path(path: str) -> str:
    """The path, with each segment that could hold personal data replaced; at most 512 characters."""
    if len(path) <= _LONGEST_PATH and _PLAIN_PATH.fullmatch(path):
        return path
    segments = path[: _LONGEST_PATH + 1].split("/")
    kept = "/".join(part if not part or _PLAIN_SEGMENT.fullmatch(part) else REDACTED for part in segments)
    return kept[:_LONGEST_PATH]


def plain_url(url: str) -> str:
    """The URL without user information and fragment, its query reduced to the parameters' names."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    names = (pair.partition("=")[0] for pair in parts.query.split("&") if pair)
    query = "&".join(f"{name if _PLAIN_NAME.fullmatch(name) else REDACTED}={REDACTED}" for name in names)
    return f"{parts.scheme}://{host}{plain_path(parts.path)}{'?' + query if query else ''}"
