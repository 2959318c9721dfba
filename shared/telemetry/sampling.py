"""Which traces are recorded: a share of them, chosen by the trace id alone so that every hop chooses alike."""

from typing import Final

_RANDOM_BITS: Final = (1 << 64) - 1


def sampled(trace_id: int, share: float) -> bool:
    """Whether a trace belongs to the share (0 to 1) that is recorded.

    The decision of the SDK's TraceIdRatioBased: the id's lower 64 bits as a fraction. A caller's own flags have
    no part in it.
    """
    return trace_id & _RANDOM_BITS < round(share * (_RANDOM_BITS + 1))
