"""One connection to one server, shared by all: commands go out as they come, and are answered in their order.

redis-py opens it, speaks the protocol and reads the answers. Its clients, which take a connection out of a pool for
each command, cost 117 to 120 µs of CPU per script here; so it is 16 when there are 16 at a time, and 80 for one alone.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from hashlib import sha1
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from redis.exceptions import NoScriptError, ReadOnlyError, RedisError, ResponseError

from services.gateway.caching.second.server_clock import ServerClock

if TYPE_CHECKING:
    from redis.asyncio.connection import Connection

log = logging.getLogger("kontor.gateway.second")

MOST_WAITING: Final = 1024
_CLOCK_WINDOW_NS: Final = 3_600_000_000_000
_GRACE: Final = 0.2
"""Of the time-out, for an answer that is here already, when it is we who are late."""


class ServerError(Exception):
    """There is no answer, or it is a refusal."""


Done: TypeAlias = Callable[[Any], None]
"""Called once with a command's answer, or with a `ServerError`; on the event loop, never within `send`."""


async def answer_of(send: Callable[[Done], bool], unsent: str) -> Any:
    """What `done` gets that `send` is given. Raises `ServerError`; `unsent` says why if it cannot be sent."""
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def done(result: Any) -> None:
        if not answer.done():
            answer.set_result(result)

    if not send(done):
        raise ServerError(unsent)
    result = await answer
    if isinstance(result, ServerError):
        raise result
    return result


class Script:
    """A Lua script, sent in full once per connection and by its hash from then on."""

    def __init__(self, text: str) -> None:
        self.text = text.encode("ascii")
        # What the servers call it: no secret depends on it.
        self.sha = sha1(self.text, usedforsecurity=False).hexdigest().encode("ascii")


def _packed(command: tuple[bytes | int, ...]) -> bytes:
    """As the protocol has it: an array of strings. 2 µs for a script; redis-py's, which knows all types, takes 12."""
    parts = [b"*%d\r\n" % len(command)]
    for part in command:
        data = part if isinstance(part, bytes) else b"%d" % part
        parts += (b"$%d\r\n" % len(data), data, b"\r\n")
    return b"".join(parts)


class Link:
    """Use `open` first. `identity` is the server's process and its history: who has another knows nothing of what
    this one was told. `ended` is why it is of no use any more, empty while it is."""

    def __init__(
        self, connection: "Connection", address: str, timeout_s: float, on_end: Callable[[], None]
    ) -> None:
        self.address = address
        self.identity = b""
        self.clock = ServerClock(_CLOCK_WINDOW_NS)
        self.ended = ""
        self._connection = connection
        self._timeout_s = timeout_s
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[float, Done]] = deque()
        self._unsent: list[bytes] = []
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._known: set[bytes] = set()

    async def open(self) -> None:
        """Connect and be introduced. Raises `ServerError`; nothing is left behind then."""
        try:
            await self._connection.connect()  # type: ignore[no-untyped-call]
            self._tasks = [self._start(self._write()), self._start(self._read())]
            self.identity = await self._identity()
            await self.observe()
        except (RedisError, OSError) as error:
            await self.close(str(error) or type(error).__name__)
            raise ServerError(self.ended) from error
        except ServerError as error:
            await self.close(str(error))
            raise

    async def observe(self) -> None:
        """Ask for the time, and whether it is the primary still. Raises `ServerError`; it has ended then."""
        sent_ns = perf_counter_ns()
        seconds, microseconds = await self.ask(b"TIME")
        self.clock.observe(sent_ns, perf_counter_ns(), int(seconds) * 1_000_000 + int(microseconds))
        if self.identity and await self._identity() != self.identity:
            self._end("it is not the server any more that it was")

    def send(self, command: Iterable[bytes | int], done: Done) -> bool:
        """Send a command; False when it cannot be sent, and `done` is not going to be called."""
        if self.ended or len(self._waiting) >= MOST_WAITING:
            return False
        deadline = self._loop.time() + self._timeout_s
        self._waiting.append((deadline, done))
        self._unsent.append(_packed(tuple(command)))
        self._wake.set()
        if self._timer is None:
            self._timer = self._loop.call_at(deadline, self._look_at_clock)
        return True

    def run(
        self, script: Script, keys: Iterable[bytes], arguments: Iterable[bytes | int], done: Done
    ) -> bool:
        """Run a script as `send` sends a command."""
        keys = tuple(keys)
        if script.sha in self._known:
            opening = b"EVALSHA", script.sha
        else:
            self._known.add(script.sha)
            opening = b"EVAL", script.text
        return self.send((*opening, len(keys), *keys, *arguments), done)

    async def ask(self, *command: bytes | int) -> Any:
        """The answer to a command. Raises `ServerError`."""
        return await answer_of(lambda done: self.send(command, done), self.ended or "too much is waiting")

    async def close(self, why: str = "closed") -> None:
        """End it, whatever still waits."""
        self._end(why)
        # One of them may be where this is called from, by way of an answer.
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._connection.disconnect(nowait=True)

    async def _identity(self) -> bytes:
        said: dict[bytes, bytes] = {}
        for section in (b"server", b"replication"):
            text = bytes(await self.ask(b"INFO", section))
            said |= dict(line.split(b":", 1) for line in text.split(b"\r\n") if b":" in line)
        if said.get(b"role") != b"master":
            raise ServerError("it is not the primary")
        identity = said.get(b"run_id", b"") + said.get(b"master_replid", b"")
        if not identity:
            raise ServerError("it does not say who it is")
        return identity

    def _start(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = self._loop.create_task(work)
        task.add_done_callback(self._over)
        return task

    def _over(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and not isinstance(error, RedisError | OSError):
            log.error("a connection to %s failed by a mistake of ours", self.address, exc_info=error)
        self._end(str(error) or type(error).__name__)

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            data, self._unsent = self._unsent, []
            try:
                await self._connection.send_packed_command(data, check_health=False)
            except RuntimeError as error:
                # uvloop's, when the other side has closed it and we do not know yet.
                raise ConnectionError(str(error)) from error

    async def _read(self) -> None:
        while True:
            answer: Any
            try:
                answer = await self._connection.read_response()
            except ResponseError as error:
                answer = self._refusal(error)
            if not self._waiting:
                raise ConnectionError("it answers what nobody has asked")
            _, done = self._waiting.popleft()
            done(answer)

    def _refusal(self, error: ResponseError) -> ServerError:
        if isinstance(error, NoScriptError):
            self._known.clear()  # somebody has flushed them
        elif isinstance(error, ReadOnlyError):
            self._loop.call_soon(self._end, "it is not the primary any more")
        refusal = ServerError(str(error))
        refusal.__cause__ = error
        return refusal

    def _look_at_clock(self) -> None:
        self._timer = None
        if not self._waiting:
            return
        first = self._waiting[0]
        if self._loop.time() >= first[0]:
            self._timer = self._loop.call_later(_GRACE * self._timeout_s, self._give_up, first)
        else:
            self._timer = self._loop.call_at(first[0], self._look_at_clock)

    def _give_up(self, late: tuple[float, Done]) -> None:
        if self._waiting and self._waiting[0] is late:
            self._end(f"no answer within {self._timeout_s * 1e3:.0f} ms")
        else:
            self._look_at_clock()

    def _end(self, why: str) -> None:
        if self.ended:
            return
        self.ended = why
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        self._on_end()
        waiting, self._waiting = self._waiting, deque()
        for _, done in waiting:
            # Not here: whoever asks again at once, or fails, must not be in the way of the others.
            self._loop.call_soon(done, ServerError(why))
