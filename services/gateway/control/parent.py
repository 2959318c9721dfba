"""The parent process: it starts the workers, gets the signals, reloads, and serves the admin API."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from services.gateway.control.configuration import Configuration, understand
from services.gateway.control.fleet import Fleet, NotReadyError, StartError
from services.gateway.control.spawning import Spawned
from services.gateway.control.steering import Order, Steering
from services.gateway.server import listen
from shared.background import telling_failure

if TYPE_CHECKING:
    from services.gateway.config import Snapshot
    from services.gateway.settings import GatewaySettings

log = logging.getLogger("kontor.gateway")
_tell_failure = telling_failure(log, "a part of the parent has ended")


@dataclass(frozen=True, slots=True)
class Beginning:
    """What the first worker has found to be in order. `admin` are the admin API's address and key."""

    address: tuple[str, int]
    admin: tuple[str, int, str] | None
    texts: dict[str, Any]


class Parent:
    """What the admin API and the signals work with. `admin` is the admin API's socket and key, if it is wanted."""

    def __init__(
        self,
        configuration: Configuration,
        listener: socket.socket,
        admin: tuple[socket.socket, str] | None,
    ) -> None:
        self._configuration = configuration
        self._admin = admin
        self._reloading = asyncio.Lock()
        self._background: set[asyncio.Task[None]] = set()
        self.steering = Steering()
        self.fleet = Fleet(listener, self._orders)

    @cached_property
    def _settings(self) -> "GatewaySettings":
        from services.gateway.settings import GatewaySettings  # noqa: PLC0415 - not before somebody has his answer

        return GatewaySettings()

    async def run(self, spawned: Spawned) -> None:
        """Serve until SIGTERM or SIGINT, then drain. Raises `StartError` when the first worker does not come up."""
        loop = asyncio.get_running_loop()
        told = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, told.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._in_background(self._reload_and_tell()))
        serving = asyncio.create_task(self._start(spawned))
        waiting = asyncio.create_task(told.wait())
        await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        try:
            if serving.done():
                serving.result()  # raises what kept it from starting
            await waiting
        finally:
            waiting.cancel()
            serving.cancel()
        await self.fleet.stop(self._settings.drain_s)
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, serving, return_exceptions=True)

    async def _start(self, spawned: Spawned) -> None:
        answer = await self.fleet.start(spawned)
        _configure_logging(self._settings)
        await self.fleet.grow(_count(answer["workers"]), self._settings.drain_s)
        if self._admin is not None:
            # Half a second of imports that nobody has to wait for who wants an answer from a service.
            serve_admin = await asyncio.to_thread(_import_admin)
            self._in_background(serve_admin(self, *self._admin))

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        task.add_done_callback(_tell_failure)

    def _orders(self, number: int) -> dict[str, Any]:
        """What a worker is started with."""
        return {
            "number": number,
            "configuration": self._configuration.as_json(),
            "orders": [order.as_json() for order in self.steering],
        }

    # What the admin API does

    async def snapshot(self) -> "Snapshot":
        """The configuration in force."""
        snapshot, _ = await asyncio.to_thread(understand, self._configuration)
        return snapshot

    async def reload(self) -> dict[str, Any]:
        """Read the files again, put them in force in every worker, and tell which have them.

        All or nothing: raises `DocumentError` with every mistake, or `NotReadyError` with the workers that are not
        ready for it, and then everything is as it was.
        """
        async with self._reloading:
            configuration = await asyncio.to_thread(Configuration.read, self._settings)
            snapshot, keys = await asyncio.to_thread(understand, configuration)
            count, before = _count(snapshot.workers), len(self.fleet.workers)

            def decide() -> None:
                self._configuration = configuration

            applied = await self.fleet.reload(configuration.as_json(), count, self._settings.drain_s, decide)
            log.info(
                "reloaded: %d routes, %d upstreams and %d keys in force in %d workers",
                len(snapshot.routes),
                len(snapshot.upstreams),
                len(keys),
                count,
            )
            return {
                "routes": len(snapshot.routes),
                "upstreams": len(snapshot.upstreams),
                "keys": len(keys),
                "workers": count,
                "workers_before": before,
                "applied": list(applied),
            }

    async def _reload_and_tell(self) -> None:
        from services.gateway.documents import DocumentError  # noqa: PLC0415 - needed only to reload

        try:
            await self.reload()
        except DocumentError as error:
            # The sentences say all; a traceback would only bury them.
            for line in str(error).splitlines():
                log.error("not reloaded, everything stays as it was: %s", line)  # noqa: TRY400 - see above
        except NotReadyError as error:
            log.error("not reloaded, everything stays as it was: %s", error)  # noqa: TRY400 - as above

    async def knows(self, upstream: str, address: str) -> bool:
        """Whether any worker has this replica."""
        answers = await self.fleet.ask("knows", upstream=upstream, address=address)
        return any(answers.values())

    async def steer(self, order: Order) -> None:
        """Give an order for a replica, to be heeded by every worker, also by those that start later."""
        self.steering.give(order)
        await self.fleet.ask("steer", order=order.as_json())


def run(spawned: Spawned) -> None:
    """Serve until told to stop. Raises `SystemExit` with one sentence when it cannot begin."""
    beginning = Beginning(**spawned.told())
    admin = None
    if beginning.admin is not None:
        host, port, key = beginning.admin
        admin = listen(host, port), key
    listener = listen(*beginning.address)
    try:
        asyncio.run(_run(Configuration(**beginning.texts), spawned, listener, admin))
    except StartError as error:
        sys.exit(f"gateway: {error}")


async def _run(
    configuration: Configuration,
    spawned: Spawned,
    listener: socket.socket,
    admin: tuple[socket.socket, str] | None,
) -> None:
    await Parent(configuration, listener, admin).run(spawned)


def _count(workers: int | None) -> int:
    """The number of workers that a document means."""
    return workers if workers is not None else len(os.sched_getaffinity(0))


def _configure_logging(settings: "GatewaySettings") -> None:
    from shared.logs.setup import configure_logging  # noqa: PLC0415 - as for the settings

    configure_logging(settings.log_format, "gateway", settings.instance)


def _import_admin() -> Callable[[Parent, socket.socket, str], Coroutine[Any, Any, None]]:
    from services.gateway.admin.serving import serve_admin  # noqa: PLC0415 - see where it is called

    return serve_admin
