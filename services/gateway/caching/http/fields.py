"""Header lines as the cache reads them: one value per name (RFC 9110, 5.3). Pure."""

from collections.abc import Mapping
from typing import TypeAlias

from services.gateway.protocol.fields import name_of, read_fields

__all__ = ["Fields", "name_of", "read_fields"]

Fields: TypeAlias = Mapping[bytes, bytes]
"""Values by lower-case name, those of several lines joined by commas, without white space around."""
