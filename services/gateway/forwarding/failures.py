"""How forwarding fails. Pure."""

from enum import StrEnum


class FailureKind(StrEnum):
    """How an attempt failed before any byte of an answer arrived."""

    REFUSED = "refused"  # no connection came about: the replica has seen nothing of the request
    BROKEN = "broken"  # the connection ended: the replica may have done anything
    TIMED_OUT = "timed_out"  # silence for longer than the route allows
    BUSY = "busy"  # all our connections to the replica were taken for too long


class AttemptError(Exception):
    """No byte of an answer arrived."""

    def __init__(self, kind: FailureKind, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind


class CutShortError(Exception):
    """The replica's answer ended before its end, or went silent; its beginning is with the caller already."""
