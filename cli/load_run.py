"""A bounded load against this machine: some connections, each asking again as soon as it is answered.

It is closed: with N connections never more than N requests are under way. That makes every step a point
(N, throughput) of a scalability law. It is for finding the shape of the curve on one's own machine, and refuses
any other: load on somebody else's server is an attack.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

LONGEST_RUN_S: Final = 600
MOST_CONNECTIONS: Final = 256
_HERE: Final = "127.0.0.1"
_WARM_UP_S: Final = 0.5
_PAUSE_S: Final = 0.05
_MOST_HEAD_BYTES: Final = 65_536


class LoadError(Exception):
    """The load cannot be put, or nothing answers; the text is for people."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked for: `GET path` at 127.0.0.1:`port`."""

    port: int
    path: str
    key: str = ""
    """An API key; none is sent when it is empty."""

    def request(self) -> bytes:
        """The request's bytes."""
        lines = [f"GET {self.path} HTTP/1.1", f"Host: {_HERE}:{self.port}", "Accept: */*"]
        if self.key:
            lines.append(f"Authorization: Bearer {self.key}")
        return "\r\n".join([*lines, "", ""]).encode("ascii")


@dataclass(slots=True)
class Step:
    """What happened with `connections` within `seconds`."""

    connections: int
    seconds: float
    good: int = 0
    """Answers below 400."""
    good_s: float = 0.0
    """Their response times, added up."""
    bad: Counter[str] = field(default_factory=Counter)
    """All others, by status or by what went wrong."""
    own_cpu: float = 0.0
    """The share of a core that putting the load took."""

    @property
    def throughput(self) -> float:
        """Good answers per second."""
        return self.good / self.seconds


def target_of(url: str, key: str) -> Target:
    """Raises `LoadError` unless it is http on 127.0.0.1."""
    try:
        parts = urlsplit(url)
        port = parts.port or 80
    except ValueError as error:
        raise LoadError(f"{url} is no URL: {error}.") from None
    if parts.scheme != "http" or parts.hostname != _HERE:
        raise LoadError(
            f"A load is only put on this machine: the URL must begin with http://{_HERE}, and {url} does not."
        )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not path.isascii() or not key.isascii() or set(path + key) & set(" \r\n"):
        raise LoadError("The path and the key must be ASCII without spaces: write other characters as %XX.")
    return Target(port, path, key)


def check_plan(steps: Sequence[int], seconds: float) -> None:
    """Raises `LoadError` when the steps would be too many, too long, or too few to fit a law to."""
    if len(set(steps)) < 3:
        raise LoadError("At least three different steps are needed, such as 1,2,4,8,16,32.")
    if not all(1 <= step <= MOST_CONNECTIONS for step in steps):
        raise LoadError(f"Each step is a number of connections from 1 to {MOST_CONNECTIONS}.")
    if len(steps) * (seconds + _WARM_UP_S) > LONGEST_RUN_S:
        raise LoadError(
            f"{len(steps)} steps of {seconds:g} s are more than {LONGEST_RUN_S} s: take fewer or shorter."
        )


async def run_step(target: Target, connections: int, seconds: float) -> Step:
    """Puts the load and counts what ends within `seconds`, after half a second that is not counted.

    Raises `LoadError` when no answer was good.
    """
    step = Step(connections, seconds)
    begins = time.perf_counter() + _WARM_UP_S
    async with asyncio.TaskGroup() as group:
        callers = [group.create_task(_ask_again(target, step, begins)) for _ in range(connections)]
        await asyncio.sleep(_WARM_UP_S)
        cpu = time.process_time()
        await asyncio.sleep(begins + seconds - time.perf_counter())
        step.own_cpu = (time.process_time() - cpu) / seconds
        # Who is answered later does not count, so nobody need wait for it.
        for caller in callers:
            caller.cancel()
    if not step.good:
        raise LoadError(f"With {connections} connections no answer was good: {_told(step.bad)}.")
    return step


def _told(bad: Counter[str]) -> str:
    most = ", ".join(f"{count} x {what}" for what, count in bad.most_common(3)) or "nothing answers in time"
    hint = ""
    if any(what.startswith("401") for what in bad):
        hint = " (give an API key: --key or KONTOR_API_KEY)"
    elif any(what.startswith("429") for what in bad):
        hint = " (the key's rate limit, not the capacity: raise it, or use a key without one)"
    return most + hint


async def _ask_again(target: Target, step: Step, begins: float) -> None:
    request, ends = target.request(), begins + step.seconds
    connection: _Connection | None = None
    try:
        while True:
            asked = time.perf_counter()
            try:
                connection = connection or await _Connection.open(target.port)
                status = await connection.ask(request)
                what = "" if status < 400 else str(status)
            except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
                what = str(error) or type(error).__name__
                if connection:
                    connection.close()
                connection = None
            answered = time.perf_counter()
            if begins <= answered < ends:
                _count(step, what, answered - asked)
            if connection and not connection.stays:
                connection.close()
                connection = None
            if what:
                await asyncio.sleep(_PAUSE_S)  # a refusal costs next to nothing: do not flood with them
    finally:
        if connection:
            connection.close()


def _count(step: Step, what: str, seconds: float) -> None:
    if what:
        step.bad[what] += 1
    else:
        step.good += 1
        step.good_s += seconds


class _Connection:
    """One kept HTTP/1.1 connection; answers are read to their end and forgotten."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.stays = True

    @classmethod
    async def open(cls, port: int) -> "_Connection":
        reader, writer = await asyncio.open_connection(_HERE, port, limit=_MOST_HEAD_BYTES)
        return cls(reader, writer)

    def close(self) -> None:
        self._writer.transport.abort()

    async def ask(self, request: bytes) -> int:
        """The answer's status, once all of it is there."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        first, *lines = head.lower().split(b"\r\n")
        version, status, *_ = first.split(b" ")
        if not version.startswith(b"http/1."):
            raise ValueError("the answer is not HTTP/1")
        fields = {name: value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        self.stays = fields.get(b"connection") != b"close"
        await self._read_body(int(status), fields)
        return int(status)

    async def _read_body(self, status: int, fields: dict[bytes, bytes]) -> None:
        if status in (204, 304):
            return
        if fields.get(b"transfer-encoding") == b"chunked":
            await self._read_chunks()
        elif length := fields.get(b"content-length"):
            await self._reader.readexactly(int(length))
        else:
            self.stays = False
            while await self._reader.read(_MOST_HEAD_BYTES):
                pass

    async def _read_chunks(self) -> None:
        while size := int((await self._reader.readuntil(b"\r\n")).partition(b";")[0], 16):
            await self._reader.readexactly(size + 2)
        while await self._reader.readuntil(b"\r\n") != b"\r\n":
            pass  # trailers
