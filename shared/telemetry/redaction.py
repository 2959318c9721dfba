"""Paths and URLs as they may stand in a trace: without credentials, query values and personal data."""

import re
from urllib.parse import urlsplit

# What ids, numbers and resource names are made of. Anything else in a segment (an `@`, a space, a
# letter outside ASCII) may be an address or a name that somebody put into an external id.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9._~/:-]*")
_PLAIN_SEGMENT = re.compile(r"[A-Za-z0-9._~:-]{0,64}")
_LONGEST_PATH = 512
REDACTED = "REDACTED"


def plain_path(path: str) -> str:
    """The path, with each segment that could hold personal data replaced; at most 512 characters."""
    if len(path) <= 64 and _PLAIN_PATH.fullmatch(path):
        return path
    segments = path[: _LONGEST_PATH + 1].split("/")
    kept = "/".join(part if _PLAIN_SEGMENT.fullmatch(part) else REDACTED for part in segments)
    return kept[:_LONGEST_PATH]


def plain_url(url: str) -> str:
    """The URL without user information and fragment, its query reduced to the parameters' names."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    names = (pair.partition("=")[0] for pair in parts.query.split("&") if pair)
    query = "&".join(f"{name}={REDACTED}" for name in names)
    return f"{parts.scheme}://{host}{plain_path(parts.path)}{'?' + query if query else ''}"
