"""A finished span as a tuple: cheap to make on a request's path, turned into an SDK span elsewhere."""

from collections.abc import Mapping, Sequence
from random import getrandbits
from typing import NamedTuple

from opentelemetry.trace import SpanKind
from opentelemetry.util.types import AttributeValue

Attributes = Mapping[str, AttributeValue]
SpanEvent = tuple[str, int, Attributes]
"""Its name, its wall-clock time in ns, its attributes."""


class SpanRecord(NamedTuple):
    """A span that has ended.

    `parent_id` is 0 for a root. Times are nanoseconds of the wall clock since 1970; the end is the start plus a
    difference of the monotonic clock. `error` describes a failure ("" for one without words) and is None when
    there was none. Whoever makes a record changes its attributes and events no more.
    """

    trace_id: int
    span_id: int
    parent_id: int
    kind: SpanKind
    name: str
    start_ns: int
    end_ns: int
    attributes: Attributes
    events: Sequence[SpanEvent] = ()
    error: str | None = None
    trace_state: str = ""


def new_trace_id() -> int:
    """128 random bits; never 0, which stands for no trace."""
    return getrandbits(128) or 1


def new_span_id() -> int:
    """64 random bits; never 0, which stands for no span."""
    return getrandbits(64) or 1
