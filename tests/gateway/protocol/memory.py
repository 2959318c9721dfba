"""Parsers that have seen nothing yet: what they remember must not change what they say."""

from services.gateway.protocol import request_head
from services.gateway.protocol.fields import LineReader


def forget(reader: LineReader) -> None:
    """Let the lines and names go."""
    reader.known.clear()
    reader._names.clear()


def forget_requests() -> None:
    """Let everything go that request heads have left behind."""
    forget(request_head.READER)
