"""The server's HTTP protocol, with the time at which a request's first bytes came, and answers in one write.

Uvicorn's classes are not meant to be subclassed: the lock pins its version, and a test holds what is relied on here.
"""

import asyncio
from time import perf_counter_ns
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from shared.telemetry.server import RECEIVED
from shared.telemetry.stopwatch import LoopWork

_BEGINNING: Final = b"HTTP/1.1 "


class _Together:
    """A transport that writes an answer's head together with what follows it at once.

    Uvicorn writes them one after the other. Whoever is woken by the first may take the processor before the second is
    out, and the caller then counts as the network's what was only our turn to come (9 of 100 answers on two busy
    cores, up to 3 ms). Besides, it saves a system call: 2 of 37 us. A head that nothing follows at once goes alone.
    """

    __slots__ = ("_head", "_loop", "_transport", "is_closing", "pause_reading", "resume_reading")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._head = b""
        # What is asked with every request, without a detour.
        self.is_closing = transport.is_closing
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Uvicorn writes bytes only, and a head by itself."""
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(_BEGINNING):
            self._head = data
            self._loop.call_soon(self._flush)
            return
        self._transport.write(data)

    def close(self) -> None:
        """What was written goes out first."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)


class TimedHttpProtocol(HttpToolsProtocol):
    """Reads the clock before anything else is done with the bytes, and before there is a task."""

    work: LoopWork  # the process's; `timed_by` gives a class with its own
    _received_ns = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio: somebody has connected."""
        together = _Together(cast(asyncio.Transport, transport))  # uvloop's own class is no subclass
        super().connection_made(cast(asyncio.Transport, together))

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
