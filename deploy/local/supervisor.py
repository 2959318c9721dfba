"""Keeps processes running: starts them in stages, restarts what dies, stops them in reverse order."""

import asyncio
import signal
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from deploy.local.children import Launch, describe_status, exit_status, kill_group
from deploy.local.logs import LogSink
from deploy.local.output import OutputPipe

OWN_NAME = "kontor"
_READY_POLL_S = 0.03
_READY_TIMEOUT_S = 60.0
_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 5.0
_STABLE_S = 10.0  # who lived longer than this gets restarted without delay
_ATTEMPTS_AT_START = 2
_STOP_WITHIN_S = 2.6
_KILL_TIME_S = 0.25  # how much of that a process gets to die in
_LAST_WORDS_S = 0.02


class StartError(Exception):
    """A process does not come up; the message is one sentence with its last words."""


@dataclass(frozen=True, slots=True)
class Program:
    """One process to keep running.

    `launch` is asked before every start, so it may also clear up after a death; it raises StartError or
    OSError when that fails. `is_ready` gets the process id. `explain` makes a sentence of the last log lines.
    What `may_finish` is not started again after it ended by itself with status 0.
    """

    name: str
    launch: Callable[[], Awaitable[Launch]]
    is_ready: Callable[[int], Awaitable[bool]]
    stop_signal: signal.Signals = signal.SIGTERM
    kill_signal: signal.Signals = signal.SIGKILL
    may_finish: bool = False
    explain: Callable[[Sequence[str]], str] | None = None


class Supervisor:
    """Runs groups of programs; the group started last is stopped first."""

    def __init__(self, sink: LogSink, *, stop_within_s: float = _STOP_WITHIN_S) -> None:
        self._sink = sink
        self._stop_within_s = stop_within_s
        self._groups: list[list[_Keeper]] = []

    async def start(self, *groups: Sequence[Program]) -> None:
        """Start all programs of these groups at once and wait until each is ready.

        Raises StartError as soon as one of them does not come up; `stop` is then still to be called.
        """
        started = [[_Keeper(program, self._sink) for program in group] for group in groups]
        self._groups += started
        keepers = [keeper for group in started for keeper in group]
        for keeper in keepers:
            keeper.start()
        waiting = [asyncio.ensure_future(keeper.wait_ready()) for keeper in keepers]
        try:
            await asyncio.gather(*waiting)
        finally:
            for future in waiting:
                future.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def watch(self) -> None:
        """Wait for ever, or until supervising itself fails, which would be a defect and is raised."""
        tasks = [keeper.task for group in self._groups for keeper in group]
        # Not `gather`, which hands its own cancellation on: stopping has an order.
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()

    async def stop(self) -> None:
        """Stop group by group, the unwilling by force: within `stop_within_s`, which they share."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._stop_within_s
        while self._groups:
            share_s = max(0.0, deadline - loop.time()) / len(self._groups)
            await asyncio.gather(*(keeper.stop(share_s) for keeper in self._groups[-1]))
            self._groups.pop()

    def kill(self) -> None:
        """End everything at once. `stop` still has to be awaited, and then takes a moment only."""
        for group in self._groups:
            for keeper in group:
                keeper.kill()


class _Keeper:
    """One program, its current process, and the pipe all its processes write to."""

    def __init__(self, program: Program, sink: LogSink) -> None:
        self._program = program
        self._sink = sink
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = asyncio.Event()
        self._killing = False
        self._first_ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._output = OutputPipe(lambda line: sink.write(program.name, line))

    def start(self) -> None:
        self.task = asyncio.create_task(self._keep(), name=self._program.name)

    async def wait_ready(self) -> None:
        """Until it is ready for the first time. Raises StartError when it will not be."""
        await asyncio.wait({self._first_ready, self.task}, return_when=asyncio.FIRST_COMPLETED)
        await (self._first_ready if self._first_ready.done() else self.task)

    async def stop(self, within_s: float) -> None:
        self._stopping.set()
        self._signal(self._program.kill_signal if self._killing else self._program.stop_signal)
        for patience_s in (max(0.0, within_s - _KILL_TIME_S), _KILL_TIME_S):
            done, _ = await asyncio.wait({self.task}, timeout=patience_s)
            if done:
                break
            self._signal(self._program.kill_signal)
        else:
            if self._process is not None:
                kill_group(self._process)
            await asyncio.wait({self.task}, timeout=_LAST_WORDS_S)
            self.task.cancel()  # unless it is done: it may be preparing a start that nobody wants any more
        await asyncio.gather(self.task, return_exceptions=True)
        if not self._first_ready.cancel():
            self._first_ready.exception()  # told already, by whichever program failed first
        await self._output.close()

    def kill(self) -> None:
        self._killing = True
        self._stopping.set()
        self._signal(self._program.kill_signal)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        if number == signal.SIGKILL:
            kill_group(self._process)
        else:
            self._process.send_signal(number)

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        await self._output.open()
        delay_s = 0.0
        attempts = 0
        while not self._stopping.is_set():
            began = loop.time()
            try:
                status = await self._live()
                ending = describe_status(status)
            except (StartError, OSError) as error:
                status = 1
                if self._fail_start(str(error)):
                    break
                ending = f"cannot be started: {error}"
            if self._stopping.is_set() or (status == 0 and self._program.may_finish):
                break
            await asyncio.sleep(_LAST_WORDS_S)  # the end may be known before the last words are read
            self._output.flush()
            attempts += 1
            if attempts == _ATTEMPTS_AT_START and self._fail_start(self._explain(ending)):
                break
            delay_s = _next_delay(delay_s, lived_s=loop.time() - began)
            self._sink.write(OWN_NAME, f"{self._program.name}: {ending}; {_restart_phrase(delay_s)}")
            await self._pause(delay_s)

    async def _live(self) -> int:
        """Run one process from start to end; its status."""
        launch = await self._program.launch()
        if self._stopping.is_set():
            return 0
        self._process = launch.spawn(self._output.write_end)
        try:
            async with asyncio.TaskGroup() as tasks:
                readiness = tasks.create_task(self._become_ready(self._process.pid))
                status = await exit_status(self._process)
                readiness.cancel()
        finally:
            # Cancelled, or by a defect: no process stays that nobody watches.
            kill_group(self._process)
            self._process.wait()
        return status

    async def _become_ready(self, pid: int) -> None:
        deadline = asyncio.get_running_loop().time() + _READY_TIMEOUT_S
        while not await self._program.is_ready(pid):
            if asyncio.get_running_loop().time() > deadline:
                self._unready()
                return
            await asyncio.sleep(_READY_POLL_S)
        if not self._first_ready.done():
            self._first_ready.set_result(None)

    def _unready(self) -> None:
        message = f"{self._program.name} runs but is not ready after {_READY_TIMEOUT_S:.0f} s"
        if not self._fail_start(f"{message}. {self._sink.last_words(self._program.name)}"):
            self._sink.write(OWN_NAME, message)

    def _fail_start(self, sentence: str) -> bool:
        """Report that the program does not come up. False when it was up once: then it is only restarted."""
        if self._first_ready.done():
            return False
        self._first_ready.set_exception(StartError(sentence))
        return True

    async def _pause(self, delay_s: float) -> None:
        try:
            async with asyncio.timeout(delay_s):
                await self._stopping.wait()
        except TimeoutError:
            return  # the delay is over

    def _explain(self, ending: str) -> str:
        if self._program.explain:
            return self._program.explain(self._sink.last_lines(self._program.name))
        return f"{self._program.name} does not start: {ending}. {self._sink.last_words(self._program.name)}"


def _next_delay(previous_s: float, *, lived_s: float) -> float:
    """Seconds to wait before the next start: none after a good life, else doubling up to five."""
    if lived_s > _STABLE_S:
        return 0.0
    if previous_s == 0.0:
        return _FIRST_DELAY_S
    return min(previous_s * 2, _LONGEST_DELAY_S)


def _restart_phrase(delay_s: float) -> str:
    return f"starting it again in {delay_s:.1f} s" if delay_s else "starting it again"
