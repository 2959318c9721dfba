"""What the processes say: on the console, prefixed or as JSON, and in one file per process."""

import json
import queue
import threading
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TextIO

_LARGEST_FILE_BYTES = 20_000_000
_LONGEST_LINE_BYTES = 1_000_000
_LAST_LINES = 20
_QUEUED_LINES = 10_000
_FLUSH_S = 0.5
_COLOURS = (
    "36",
    "33",
    "32",
    "35",
    "34",
    "96",
    "93",
    "92",
    "95",
    "94",
)  # ANSI foregrounds, red left for trouble
_CLEAR_LINE = "\r\x1b[2K"


class Console:
    """Writes lines to a terminal or pipe from a thread of its own.

    Somebody who stops reading (`| less`, Ctrl-S) must not stop the supervision: what does not fit into the
    queue is left out, and said so. A status line, on terminals only, stays below the lines.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._queue: queue.Queue[tuple[str, str] | None] = queue.Queue(_QUEUED_LINES)
        self._left_out = 0
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="console", daemon=True)
        self.is_terminal = stream.isatty()
        self._thread.start()

    def line(self, text: str) -> None:
        """Write one line, soon."""
        self._put(("line", text))

    def status(self, text: str) -> None:
        """Replace the status line; an empty one takes it away. Does nothing where there is no terminal."""
        if self.is_terminal:
            self._put(("status", text))

    def close(self) -> None:
        """Write what is left, for at most half a second."""
        if not self._closed:
            self._closed = True
            self._put(None)
            self._thread.join(_FLUSH_S)

    def _put(self, item: tuple[str, str] | None) -> None:
        try:
            self._queue.put_nowait(item)
        except queue.Full:
            self._left_out += 1

    def _work(self) -> None:
        status = ""
        try:
            while item := self._queue.get():
                kind, text = item
                if kind == "status":
                    status = text
                    self._stream.write(_CLEAR_LINE + status)
                else:
                    self._stream.write(self._complete(text, status))
                if self._queue.empty():
                    self._stream.flush()
        except (OSError, ValueError):
            # The reader has gone (a closed pipe or terminal). The files still get everything.
            while self._queue.get():
                pass

    def _complete(self, text: str, status: str) -> str:
        missing, self._left_out = self._left_out, 0
        gap = f"... {missing} lines left out here; the log files have them\n" if missing else ""
        clear = _CLEAR_LINE if status else ""
        return f"{clear}{gap}{text}\n{status}"


class LogSink:
    """Takes the output of every process, line by line, to the console and to `directory`/<process>.log."""

    def __init__(self, directory: Path, console: Console, *, json_lines: bool, width: int) -> None:
        self._directory = directory
        self._console = console
        self._json_lines = json_lines
        self._width = width
        self._files: dict[str, IO[bytes]] = {}
        self._last: dict[str, deque[str]] = {}

    def write(self, process: str, line: str) -> None:
        """Log one line of a process."""
        self._last.setdefault(process, deque(maxlen=_LAST_LINES)).append(line)
        self._to_file(process, line)
        self._console.line(as_json(process, line) if self._json_lines else self._prefixed(process, line))

    def last_lines(self, process: str) -> list[str]:
        """The newest lines of a process, oldest first."""
        return list(self._last.get(process, ()))

    def last_words(self, process: str) -> str:
        """The last line of a process and where all are, as a sentence."""
        lines = [line.strip() for line in self.last_lines(process) if line.strip()]
        if not lines:
            return "It said nothing."
        return f"Its last words: {lines[-1]} (more in {self._directory / process}.log)"

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()
        self._files.clear()

    def _prefixed(self, process: str, line: str) -> str:
        prefix = f"{process:<{self._width}} |"
        if self._console.is_terminal:
            colour = _COLOURS[list(self._last).index(process) % len(_COLOURS)]
            prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
        return f"{prefix} {line}"

    def _to_file(self, process: str, line: str) -> None:
        file = self._files.get(process)
        if file is None or file.tell() > _LARGEST_FILE_BYTES:
            file = self._files[process] = self._open(process)
        file.write(line.encode(errors="replace") + b"\n")
        file.flush()

    def _open(self, process: str) -> IO[bytes]:
        path = self._directory / f"{process}.log"
        if previous := self._files.get(process):
            previous.close()
        if path.exists() and path.stat().st_size > _LARGEST_FILE_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return path.open("ab")


class LineSplitter:
    """Bytes as they come from a pipe, to lines of text; a line without end is cut at a million bytes."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """The lines that are complete now."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST_LINE_BYTES:
            lines.append(self._rest)
            self._rest = b""
        return [_text(line) for line in lines]

    def rest(self) -> list[str]:
        """The line that a process left unfinished, if any."""
        rest, self._rest = self._rest, b""
        return [_text(rest)] if rest else []


def as_json(process: str, line: str) -> str:
    """A line that is a JSON object as it is; any other (a server's own log, a traceback) inside one."""
    if line.startswith("{"):
        try:
            if isinstance(json.loads(line), dict):
                return line
        except ValueError:
            pass  # it only looks like JSON
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"timestamp": now, "process": process, "message": line}, ensure_ascii=False)


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode(errors="replace")
