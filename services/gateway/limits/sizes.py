"""Bounds on one request. Pure."""

from dataclasses import dataclass

from shared.problems import Problem

KEEP_BYTES = 64 * 1024
"""A body up to this size is read whole before a replica is bothered with it, and can be sent a second time."""


@dataclass(frozen=True, slots=True)
class SizeLimits:
    """`max_body_bytes` guards the services' disks, not our memory: bodies are streamed."""

    max_header_bytes: int = 32 * 1024
    max_body_bytes: int = 8 * 1024**3


def body_too_large(max_body_bytes: int) -> Problem:
    """413, known from the head or found out while streaming."""
    return Problem(413, "body_too_large", "Content too large", f"At most {max_body_bytes} bytes.")
