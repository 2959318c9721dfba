"""The request that is being served here: its place in the trace, its stopwatch, its spans so far."""

from contextvars import ContextVar

from shared.telemetry.clocks import wall_offset_ns
from shared.telemetry.spans import SpanRecord
from shared.telemetry.stopwatch import Stopwatch


class RequestContext:
    """Made once per request, for everything that happens on its behalf.

    `trace_id` and `span_id` name the span that work of this request belongs under; both are 0 where there is no
    trace at all. `flags` and `trace_state` go on to the services that are called. Only a `recorded` request collects
    `spans`. `offset_ns` is the wall clock minus the monotonic one as it stood at the start: every time of the request
    is a monotonic reading plus this, so that durations hold when the wall clock is set.
    """

    __slots__ = ("flags", "offset_ns", "recorded", "span_id", "spans", "trace_id", "trace_state", "watch")

    def __init__(self, watch: Stopwatch) -> None:
        self.watch = watch
        self.trace_id = 0
        self.span_id = 0
        self.flags = 0
        self.trace_state = ""
        self.recorded = False
        self.offset_ns = 0
        self.spans: list[SpanRecord] = []

    def record(self) -> None:
        """From now on spans are collected."""
        self.recorded = True
        self.offset_ns = wall_offset_ns()


current_request: ContextVar[RequestContext | None] = ContextVar("current_request", default=None)
"""Of the task that asks, and of the tasks that it started."""
