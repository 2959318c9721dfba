"""The parent's side of the workers: one socket each, started again when they die, asked together, drained."""

import asyncio
import logging
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from time import perf_counter_ns
from typing import Any

from services.gateway.control.channel import Asking, ChannelError, RefusedError
from services.gateway.control.restarting import RestartDelay
from services.gateway.control.sharing import SharedMemory
from services.gateway.control.spawning import Spawned, spawn_worker
from services.gateway.metrics.fleet import FleetFigures
from services.gateway.server import another
from shared.telemetry.metrics.families import Family

log = logging.getLogger("kontor.gateway.fleet")

# Reading a document of a megabyte takes a second, and a busy machine more.
START_PATIENCE_S = 60.0
RELOAD_PATIENCE_S = 30.0
# What a worker may take beyond its time to drain before it is killed: it sends its last spans.
_END_PATIENCE_S = 4.0

Orders = Callable[[int], dict[str, Any]]


class StartError(Exception):
    """A worker does not come up; the message is for people."""


class NotReadyError(Exception):
    """Workers are not ready for another configuration, which therefore is in force nowhere.

    `reasons` are for people, by the workers' numbers.
    """

    def __init__(self, reasons: Mapping[int, str]) -> None:
        super().__init__("; ".join(f"worker {number}: {reason}" for number, reason in reasons.items()))
        self.reasons = reasons


class Worker:
    """The worker with one number: its socket and row, which outlive the process, and the process of the day."""

    def __init__(
        self,
        number: int,
        listener: socket.socket,
        orders: Orders,
        figures: FleetFigures,
        memory: SharedMemory,
    ) -> None:
        self.number = number
        self.restarts = 0
        self.started_at = 0.0
        self._listener = listener
        self._orders = orders
        self._figures = figures
        self._memory = memory
        self._row = memory.take_row()
        self._delay = RestartDelay()
        self._asking = Asking()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = asyncio.Event()
        self._ready = False
        self._told = False
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Of the process that runs, if one does."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    @property
    def ready(self) -> bool:
        """Whether it serves."""
        return self._ready

    @property
    def told(self) -> bool:
        """Whether its process knows what to begin with; until then it will be what is in force by then."""
        return self._told

    @property
    def life(self) -> Asking:
        """The process of the day: each has a channel of its own."""
        return self._asking

    async def start(self, spawned: Spawned | None = None) -> Any:
        """Start it for the first time, with a process that was spawned already or a new one; what it answers.

        Raises `StartError`.
        """
        try:
            answer = await self._begin(spawned or spawn_worker())
            await self._listen()
        except (RefusedError, ChannelError) as error:
            await self.kill()
            raise StartError(str(error)) from error
        self._task = asyncio.create_task(self._keep())
        return answer

    async def start_with(self, configuration: dict[str, Any]) -> None:
        """Start it for the first time with what is not in force yet; it does not serve until `commit`.

        Raises `RefusedError` or `ChannelError`.
        """
        await self._begin(spawn_worker(), configuration)

    async def prepare(self, configuration: dict[str, Any]) -> None:
        """Have it get ready for another configuration. Raises as `ask`."""
        await self.ask("prepare", patience_s=RELOAD_PATIENCE_S, configuration=configuration)

    async def commit(self, life: Asking) -> bool:
        """Have a process that is ready put the other configuration in force, or begin to serve with it. Whether it has.

        If it has not, it is replaced: its successor begins with what is in force.
        """
        try:
            if self._task is None:
                await self._listen()
            else:
                await life.ask("commit", patience_s=RELOAD_PATIENCE_S)
        except (ChannelError, RefusedError) as error:
            log.warning("worker %d cannot be told the new configuration: %s", self.number, error)
            if life is self._asking:
                await self.kill()
            return False
        finally:
            if self._task is None:
                self._task = asyncio.create_task(self._keep())
        return True

    async def ask(self, question: str, /, **details: Any) -> Any:
        """Its answer. Raises `RefusedError`, or `ChannelError` while it does not run."""
        return await self._asking.ask(question, **details)

    async def tell_figures(self) -> None:
        """Have what it has counted entered among the figures. Raises as `ask`."""
        process = self._asking
        document = await process.ask("metrics")
        if not process.closed.is_set():  # else its last words are there already
            self._figures.told(process, document)

    async def stop(self, drain_s: float) -> None:
        """Have it finish what it does, and wait for its end; by force when it takes too long."""
        self._stopping.set()
        self._figures.stopped(self._asking, perf_counter_ns())
        self._listener.close()  # before the worker looks who is queued: nobody can come after that
        if self._task is None and self.pid is None:
            self._memory.give_back(self._row)
            return  # it never came up
        try:
            await self.ask("stop", drain_s=drain_s)
        except (ChannelError, RefusedError) as error:
            log.warning("worker %d cannot be told to stop: %s", self.number, error)
            await self.kill()
        if self._process is not None:
            waiting = asyncio.create_task(self._asking.closed.wait())
            done, _ = await asyncio.wait({waiting}, timeout=drain_s + _END_PATIENCE_S)
            if not done:
                log.warning("worker %d does not end, and is killed", self.number)
                waiting.cancel()
            await self.kill()
        if self._task is not None:
            await self._task
        self._memory.give_back(self._row)

    async def kill(self) -> None:
        """End its process at once, unless it has ended."""
        process = self._process
        if process is None:
            return
        with suppress(subprocess.TimeoutExpired):  # it has closed its channel: it is about to end by itself
            await asyncio.to_thread(process.wait, 0.5 if self._asking.closed.is_set() else 0.0)
        if process.returncode is None:
            process.kill()
        await asyncio.to_thread(process.wait)
        self._asking.close()

    async def _begin(self, spawned: Spawned, configuration: dict[str, Any] | None = None) -> Any:
        """Have a process ready to serve, with what is in force unless told otherwise."""
        self._process = spawned.process
        self._asking = asking = Asking()
        self.started_at = asyncio.get_running_loop().time()
        socket.send_fds(spawned.control, [b"\n"], [self._listener.fileno(), *self._memory.descriptors])
        await asking.open(spawned.control)
        self._told = True
        orders = self._orders(self.number)
        if configuration is not None:
            orders["configuration"] = configuration
        return await asking.ask("start", patience_s=START_PATIENCE_S, row=self._row, **orders)

    async def _listen(self) -> None:
        await self._asking.ask("listen", patience_s=START_PATIENCE_S)
        self._ready = True
        self._figures.began(self._asking, perf_counter_ns())

    async def _keep(self) -> None:
        """Start it again whenever it dies, until it is told to stop."""
        loop = asyncio.get_running_loop()
        while True:
            await self._asking.closed.wait()
            self._ready = self._told = False
            self._figures.ended(self._asking, self._asking.last_words, perf_counter_ns())
            await self.kill()
            self._memory.ended(self._row)
            if self._stopping.is_set():
                return
            delay_s = self._delay.after(loop.time() - self.started_at)
            ending, when = _ending(self._process), f"in {delay_s:g} s" if delay_s else "at once"
            log.error("worker %d %s; it is started again %s", self.number, ending, when)
            with suppress(TimeoutError):
                async with asyncio.timeout(delay_s):
                    await self._stopping.wait()
                    return
            self.restarts += 1
            try:
                await self._begin(spawn_worker())
                await self._listen()
            except (RefusedError, ChannelError, OSError) as error:
                # The sentence says all; a traceback would only bury it.
                log.error("worker %d does not start: %s", self.number, error)  # noqa: TRY400 - see above
                self._asking.close()
                self._asking.closed.set()


def _reasons(workers: Sequence[Worker], answers: Sequence[object]) -> dict[int, str]:
    """Why workers did not do what they were asked, by their numbers. Raises what is a mistake of ours."""
    found: dict[int, str] = {}
    for worker, answer in zip(workers, answers, strict=True):
        if isinstance(answer, RefusedError | ChannelError | OSError):
            found[worker.number] = str(answer)
        elif isinstance(answer, BaseException):
            raise answer
    return found


def _ending(process: subprocess.Popen[bytes] | None) -> str:
    status = process.returncode if process is not None else None
    if status is None or status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"


class Fleet:
    """All workers. `orders(number)` is what a worker is started with, asked anew for each start."""

    def __init__(self, listener: socket.socket, orders: Orders) -> None:
        self._first_listener = listener
        self._orders = orders
        self._workers: list[Worker] = []
        self._figures = FleetFigures()
        self._memory = SharedMemory()
        self._leaving: set[asyncio.Task[None]] = set()

    @property
    def workers(self) -> tuple[Worker, ...]:
        """Those that are wanted, by their numbers from 1."""
        return tuple(self._workers)

    async def start(self, spawned: Spawned) -> Any:
        """Start the first worker, whose process was spawned already; its answer. Raises `StartError`."""
        worker = Worker(1, self._first_listener, self._orders, self._figures, self._memory)
        self._workers.append(worker)
        return await worker.start(spawned)

    async def grow(self, count: int, drain_s: float) -> None:
        """Have so many workers, which are not fewer than there are. Raises `StartError`, and then there are no more."""
        new = self._further(count)
        self._workers += new
        started = await asyncio.gather(*(worker.start() for worker in new), return_exceptions=True)
        failures = [one for one in started if isinstance(one, BaseException)]
        if failures:
            del self._workers[-len(new) :]
            await asyncio.gather(*(worker.stop(drain_s) for worker in new))
            raise failures[0]

    def _further(self, count: int) -> list[Worker]:
        # All sockets before any worker: the address stays ours whoever dies first.
        return [
            Worker(number, another(self._first_listener), self._orders, self._figures, self._memory)
            for number in range(len(self._workers) + 1, count + 1)
        ]

    def _shrink(self, count: int, drain_s: float) -> None:
        """Let those drain that are too many; it is not waited for."""
        while len(self._workers) > count:
            leaving = asyncio.create_task(self._workers.pop().stop(drain_s))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)

    async def ask(self, question: str, /, **details: Any) -> dict[int, Any]:
        """The answers of all workers that run, by their numbers; who dies over the question is left out.

        Raises `RefusedError` when one refuses.
        """
        workers = self.workers
        answers = await asyncio.gather(
            *(worker.ask(question, **details) for worker in workers), return_exceptions=True
        )
        found: dict[int, Any] = {}
        for worker, answer in zip(workers, answers, strict=True):
            if isinstance(answer, ChannelError):
                log.warning("worker %d has no answer to %s: %s", worker.number, question, answer)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                found[worker.number] = answer
        return found

    async def figures(self) -> list[Family]:
        """What all workers have counted, also those that have ended."""
        asked = await asyncio.gather(
            *(worker.tell_figures() for worker in self.workers), return_exceptions=True
        )
        for failure in asked:
            if isinstance(failure, ChannelError):
                log.warning("a worker does not tell its figures: %s", failure)
            elif failure is not None:
                raise failure
        return self._figures.families(perf_counter_ns())

    async def reload(
        self, configuration: dict[str, Any], count: int, drain_s: float, decide: Callable[[], None]
    ) -> tuple[int, ...]:
        """Have `count` workers with another configuration, or leave everything as it is.

        First every worker gets ready, also those that are to be added; nothing changes by that. If all are, `decide`
        is called, and from then on it is what workers begin with; then each is told to go over to it. The numbers of
        those that have: another one has ended meanwhile, or does not answer and is replaced.

        Raises `NotReadyError` when one is not ready, or ends before all are. Only one such call at a time.
        """
        new = self._further(count)
        lives: dict[Asking, Worker] = {}
        try:
            await self._get_ready(new, configuration, lives)
            decide()
        except BaseException:
            await self._leave_as_it_was(new, lives)
            raise
        self._workers += new
        done = await asyncio.gather(*(worker.commit(life) for life, worker in lives.items()))
        self._shrink(count, drain_s)
        gone_over = (one.number for one, went in zip(lives.values(), done, strict=True) if went)
        return tuple(sorted(number for number in gone_over if number <= count))

    async def _get_ready(
        self, new: Sequence[Worker], configuration: dict[str, Any], lives: dict[Asking, Worker]
    ) -> None:
        """Which processes are ready comes to `lives`. Raises `NotReadyError` unless all are when this returns."""
        reasons = await self._start_with(new, configuration, lives) or await self._prepare(
            configuration, lives
        )
        # From here to the decision nothing is waited for: what is true now is true then.
        ended = {
            worker.number: "the worker has ended" for life, worker in lives.items() if life.closed.is_set()
        }
        reasons = ended | reasons
        if reasons:
            raise NotReadyError(dict(sorted(reasons.items())))

    async def _start_with(
        self, new: Sequence[Worker], configuration: dict[str, Any], lives: dict[Asking, Worker]
    ) -> dict[int, str]:
        """Why some of the workers that are to be added do not start."""
        started = await asyncio.gather(
            *(worker.start_with(configuration) for worker in new), return_exceptions=True
        )
        lives |= {worker.life: worker for worker in new}
        return _reasons(new, started)

    async def _prepare(self, configuration: dict[str, Any], lives: dict[Asking, Worker]) -> dict[int, str]:
        """Why some workers are not ready.

        A worker whose process has not been told yet what to begin with is not asked; if it is told while the others
        get ready, that is what was in force before, and it is asked, too.
        """
        while True:
            asked = [one for one in self._workers if one.told and one.life not in lives]
            if not asked:
                return {}
            lives |= {worker.life: worker for worker in asked}
            answers = await asyncio.gather(
                *(worker.prepare(configuration) for worker in asked), return_exceptions=True
            )
            reasons = _reasons(asked, answers)
            if reasons:
                return reasons

    async def _leave_as_it_was(self, new: Sequence[Worker], lives: Mapping[Asking, Worker]) -> None:
        await asyncio.gather(
            *(life.ask("discard") for life, worker in lives.items() if worker not in new),
            *(worker.stop(0.0) for worker in new),
            return_exceptions=True,  # who has ended meanwhile has nothing to forget
        )

    async def stop(self, drain_s: float) -> None:
        """Drain all, and wait for their ends."""
        await asyncio.gather(*(worker.stop(drain_s) for worker in self._workers), *self._leaving)
        self._memory.close()
