"""Where lines leave the process: records at once, access lines in batches, all in one order."""

import asyncio
import logging
from collections.abc import Iterable
from typing import TextIO

from shared.logs.formats import AccessLine, LineFormatter

_MOST_LINES = 100
_LONGEST_S = 0.2


class LineHandler(logging.StreamHandler[TextIO]):
    """Writes to a stream. A request's line may wait for others, since each write is a system call.

    It waits for at most 0.2 s, 99 other lines, or the next record of any logger, whichever comes first; outside
    of an event loop it does not wait. What still waits when the process ends is written by `logging.shutdown`;
    only a kill loses it.
    """

    def __init__(self, stream: TextIO, formatter: LineFormatter) -> None:
        super().__init__(stream)
        self._lines_of = formatter
        # Appending is atomic and flushing takes lines from the front, so that no thread needs the lock to append.
        self._waiting: list[str] = []
        self._timer: asyncio.TimerHandle | None = None

    def format(self, record: logging.LogRecord) -> str:
        """The record's line, which may be followed by lines of a traceback."""
        return self._lines_of.format(record)

    def emit(self, record: logging.LogRecord) -> None:
        """Write whatever waits, and then the record."""
        try:
            self._waiting.append(self.format(record))
            self.flush()
        except Exception:  # noqa: BLE001 (logging never fails its caller: it tells standard error)
            self.handleError(record)

    def access(self, lines: Iterable[AccessLine]) -> None:
        """Write the lines of requests soon."""
        written = [self._lines_of.access(line) for line in lines]
        waiting = self._waiting
        alone = not waiting
        waiting += written
        if len(waiting) >= _MOST_LINES:
            self._write()
        elif alone:
            self._write_later()

    def flush(self) -> None:
        """Write what waits. Raises what the stream raises."""
        self.acquire()
        try:
            if lines := self._waiting[:]:
                del self._waiting[: len(lines)]
                self.stream.write("\n".join(lines) + "\n")
                super().flush()
        finally:
            self.release()

    def _write_later(self) -> None:
        if self._timer is not None:
            self._timer.cancel()  # it was for lines that have been written since, or its event loop has ended
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._write()
        else:
            self._timer = loop.call_later(_LONGEST_S, self._write)

    def _write(self) -> None:
        try:
            self.flush()
        except Exception:  # noqa: BLE001 (as in `emit`)
            self.handleError(logging.makeLogRecord({"msg": "lines of the access log"}))
