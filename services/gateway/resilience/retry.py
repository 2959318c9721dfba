"""May a failed attempt be made again? Pure."""

from services.gateway.forwarding.failures import FailureKind

IDEMPOTENT_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})


def may_retry(kind: FailureKind, *, idempotent: bool, replayable: bool, retries: int) -> bool:
    """Whether the request may go to another replica after `retries` earlier repetitions.

    A refused connection harms nobody, so the next replica is always tried. A connection that broke is
    retried once, if doing the request twice does no harm and its body can be sent again. A time-out is
    not: the caller has waited long enough, and what is slow does not get faster by being asked twice.
    """
    if kind is FailureKind.REFUSED:
        return True
    return kind is FailureKind.BROKEN and idempotent and replayable and retries == 0
