"""Header lines as the cache reads them: one value per name (RFC 9110, 5.3). Pure."""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

Fields: TypeAlias = Mapping[bytes, bytes]
"""Values by lower-case name, those of several lines joined by commas, without white space around."""


def read_fields(lines: Iterable[bytes]) -> dict[bytes, bytes]:
    """The values in header lines as they came, `Name: value` each (RFC 9110, 5.3).

    `Set-Cookie` must not be joined so; here it only counts whether there is one.
    """
    fields: dict[bytes, bytes] = {}
    for line in lines:
        raw_name, _, raw_value = line.partition(b":")
        name, value = raw_name.lower(), raw_value.strip(b" \t")
        fields[name] = fields[name] + b", " + value if name in fields else value
    return fields


def name_of(line: bytes) -> bytes:
    """The lower-case name of a header line."""
    return line.partition(b":")[0].lower()
