"""Strong entity tags (RFC 9110, section 8.8) made of the record's version.

The plain representation of version 7 is `"7"`. With chosen fields or included records the bytes depend on more than
the record, so their digest is added: `"7-1f3a…"`. Either may be sent back in `If-Match`: it is the version that counts.
"""

import re
from hashlib import blake2b

from shared.problems import Problem, precondition_failed

_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_OURS = re.compile(r"(\d{1,18})(?:-[0-9a-f]{16})?\Z")


def entity_tag(version: int, body: bytes, *, whole: bool) -> str:
    """The tag of a representation."""
    if whole:
        return f'"{version}"'
    return f'"{version}-{blake2b(body, digest_size=8).hexdigest()}"'


def not_modified(if_none_match: str | None, tag: str) -> bool:
    """Whether the caller has this representation already (weak comparison)."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or any(
        f'"{match[2]}"' == tag for match in _TAG.finditer(if_none_match)
    )


def check_if_match(if_match: str | None, version: int) -> None:
    """Raises 412 unless one of the tags is of this version (strong comparison, so weak tags never match)."""
    if if_match is None or if_match.strip() == "*":
        return
    tags = list(_TAG.finditer(if_match))
    if not tags:
        raise Problem(
            400, "bad_if_match", "Bad If-Match", 'If-Match takes entity tags in quotes, such as "7".'
        )
    versions = [ours[1] for match in tags if not match[1] and (ours := _OURS.match(match[2]))]
    if str(version) not in versions:
        raise precondition_failed(
            f"The record has changed: it is at version {version} now. Fetch it and try again."
        )
