"""Methods as spans and metrics name them: a bounded set, whatever callers send (OpenTelemetry's HTTP conventions)."""

from collections.abc import Mapping
from typing import Final

METHODS: Final = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"}
)
"""Anything else is `OTHER`, and a span about it is called `HTTP`."""
OTHER: Final = "_OTHER"
SPELLINGS: Final[Mapping[bytes | str, str]] = {
    **{name: name for name in METHODS},
    **{name.encode("ascii"): name for name in METHODS},
}
"""The name of each known method, as it is read from the wire or told by a server."""
_LONGEST: Final = 32


def original(method: bytes | str) -> str:
    """For `http.request.method_original`: an unknown method as it was sent, cut off after 32 characters."""
    return (method if isinstance(method, str) else method.decode("latin-1"))[:_LONGEST]
