"""Header fields as the cache reads them: one value per name (RFC 9110, 5.3). `protocol.fields` makes them of lines."""

from collections.abc import Mapping
from typing import TypeAlias

Fields: TypeAlias = Mapping[bytes, bytes]
"""Values by lower-case name, those of several lines joined by commas, without white space around."""
