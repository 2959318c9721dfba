"""The server's HTTP protocol, with the time at which a request's first bytes came.

Uvicorn's classes are not meant to be subclassed: the lock pins its version, and a test holds what is relied on here.
"""

from time import perf_counter_ns

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from shared.telemetry.server import RECEIVED
from shared.telemetry.stopwatch import LoopWork


class TimedHttpProtocol(HttpToolsProtocol):
    """Reads the clock before anything else is done with the bytes, and before there is a task."""

    work: LoopWork  # the process's; `timed_by` gives a class with its own
    _received_ns = 0

    def data_received(self, data: bytes) -> None:
        """Asyncio: bytes have come."""
        now = self._received_ns = perf_counter_ns()
        self.work.looked(now)
        super().data_received(data)
        self.work.ended(now, perf_counter_ns())

    def on_message_begin(self) -> None:
        """Httptools: the first byte of a request. What comes before its head is complete belongs to its time."""
        super().on_message_begin()
        self.scope[RECEIVED] = self._received_ns  # type: ignore[typeddict-unknown-key]  # ours


def timed_by(work: LoopWork) -> type[TimedHttpProtocol]:
    """The protocol of a process, to be given to uvicorn as `http`."""
    return type("TimedHttpProtocol", (TimedHttpProtocol,), {"work": work})
