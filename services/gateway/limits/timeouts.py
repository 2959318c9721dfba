"""How long a caller may take. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timeouts:
    """In nanoseconds: for a whole head, for silence within a body, for silence between requests."""

    head_ns: int = 10_000_000_000
    body_ns: int = 30_000_000_000
    idle_ns: int = 75_000_000_000
