"""Entity tags and their lists (RFC 9110, 8.8.3 and 13.1). Pure."""

import re
from typing import Final

_TAG: Final = rb'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_ONE: Final = re.compile(_TAG)
# Empty members of a list are allowed for (RFC 9110, 5.6.1).
_LIST: Final = re.compile(rb"[ \t,]*" + _TAG + rb"(?:[ \t]*,[ \t,]*" + _TAG + rb")*[ \t,]*")


def entity_tag(value: bytes | None) -> bytes | None:
    """The tag in an `ETag` value, or None when it is none (RFC 9110, 8.8.3)."""
    return value if value is not None and _ONE.fullmatch(value) else None


def is_strong(tag: bytes) -> bool:
    """RFC 9110, 8.8.3."""
    return not tag.startswith(b"W/")


def same_weakly(one: bytes, other: bytes) -> bool:
    """The weak comparison (RFC 9110, 8.8.3.2)."""
    return one.removeprefix(b"W/") == other.removeprefix(b"W/")


def lists(value: bytes, tag: bytes | None) -> bool:
    """Whether `If-None-Match` names the answer with this tag (RFC 9110, 13.1.2), by the weak comparison.

    `*` names every answer; a list that is none names nothing.
    """
    if value in {b"*", tag}:  # the tag alone is what most callers send
        return True
    if tag is None or _LIST.fullmatch(value) is None:
        return False
    return any(same_weakly(tag, listed) for listed in _ONE.findall(value))
