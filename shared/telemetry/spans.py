"""A finished span as a tuple: cheap to make on a request's path, written for the wire elsewhere."""

from collections.abc import Mapping, Sequence
from random import getrandbits
from typing import Final, NamedTuple

from opentelemetry.trace import SpanKind
from opentelemetry.util.types import AttributeValue

Attributes = Mapping[str, AttributeValue]
SpanEvent = tuple[str, int, Attributes]
"""Its name, its wall-clock time in ns, its attributes."""


class CommonAttributes:
    """Attributes that many spans have alike, the same object in each: what it is on the wire is worked out once."""

    __slots__ = ("values",)

    def __init__(self, values: Attributes) -> None:
        self.values = values


NOTHING_IN_COMMON: Final = CommonAttributes({})


class SpanRecord(NamedTuple):
    """A span that has ended.

    `parent_id` is 0 for a root. Times are nanoseconds of the wall clock since 1970; the end is the start plus a
    difference of the monotonic clock. `error` describes a failure ("" for one without words) and is None when
    there was none. `attributes` are its own, `common` those that it shares with others; no name is in both. Whoever
    makes a record changes its attributes and events no more.
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
    common: CommonAttributes = NOTHING_IN_COMMON

    @property
    def all_attributes(self) -> dict[str, AttributeValue]:
        """Those in common and its own."""
        return {**self.common.values, **self.attributes}


def new_trace_id() -> int:
    """128 random bits; never 0, which stands for no trace."""
    return getrandbits(128) or 1


def new_span_id() -> int:
    """64 random bits; never 0, which stands for no span."""
    return getrandbits(64) or 1
