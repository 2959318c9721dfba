"""Waiting for other services: each instant to one call, the one that the request could not go on without. Pure."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from shared.telemetry.terms import Latency


class Wait(NamedTuple):
    """From and until when a request waited, in nanoseconds of a monotonic clock."""

    start: int
    end: int


class Call:
    """A call to another service. `end` is None while it is under way, `latency` where the service told its own."""

    __slots__ = ("end", "latency", "start")

    def __init__(self, start: int) -> None:
        self.start = start
        self.end: int | None = None
        self.latency: Latency | None = None

    def share(self, instants: int) -> Latency:
        """So much of the call's time (ns) in the proportions of its terms; what the service did not have is network."""
        latency = self.latency
        if latency is None or self.end is None or self.end <= self.start:
            return Latency(0, instants, 0)
        # A service cannot have taken longer than the call to it: then its clock runs faster than ours.
        whole = max(self.end - self.start, latency.total_ns)
        processing = instants * latency.processing_ns // whole
        system = instants * latency.system_ns // whole
        return Latency(processing, instants - processing - system, system)


def critical_path(waits: Iterable[Wait], calls: Sequence[Call]) -> Latency:
    """The waits' time, wholly, in the terms of the calls that were waited for.

    Of calls side by side the one that ends last decides when the request goes on: it has every instant since it
    began, and before that the one that ended last of the others.
    """
    processing = network = system = 0
    for wait in waits:
        end = wait.end
        while end > wait.start:
            call = _last_to_end(calls, end)
            begin = wait.start if call is None else max(call.start, wait.start)
            share = Latency(0, 0, end - begin) if call is None else call.share(end - begin)
            processing += share.processing_ns
            network += share.network_ns
            system += share.system_ns
            end = begin
    return Latency(processing, network, system)


def _last_to_end(calls: Sequence[Call], instant: int) -> Call | None:
    """Of the calls that had begun before an instant: the one that ended last, or has not."""
    begun = [call for call in calls if call.start < instant]
    return max(begun, key=lambda call: float("inf") if call.end is None else call.end, default=None)
