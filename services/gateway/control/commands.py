"""What the parent can ask of a worker, and the worker's life from its first question to its end."""

import asyncio
import gc
import json
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import uvloop
from pydantic import ValidationError

from services.gateway.admin.explain import Question
from services.gateway.app import VERSION, Gateway
from services.gateway.auth.keys import KeyRing
from services.gateway.caching.coherence import EVERYONE
from services.gateway.caching.stamps import Stamps
from services.gateway.config import Snapshot
from services.gateway.control.channel import RefusedError, answer_all
from services.gateway.control.configuration import Configuration, understand
from services.gateway.control.steering import Order
from services.gateway.documents import DocumentError
from services.gateway.limits.shared import SharedLimits
from services.gateway.metrics.worker import GatewayMetrics
from services.gateway.outbox import Together
from services.gateway.server import Server
from services.gateway.settings import GatewaySettings
from shared.background import ended
from shared.identity.signer import IdentitySigner
from shared.logs.setup import configure_logging
from shared.problems import Problem
from shared.telemetry.metrics.export import MetricsExport, configure_metrics_export
from shared.telemetry.metrics.families import as_json
from shared.telemetry.setup import configure

log = logging.getLogger("kontor.gateway.worker")

_SHORTEST_KEY = 16


class SettingsError(Exception):
    """What is wrong with the settings, in one sentence."""


def read_settings() -> GatewaySettings:
    """From the environment. Raises `SettingsError`."""
    try:
        return GatewaySettings()
    except ValidationError as error:
        complaints = [
            f"GATEWAY_{str(item['loc'][0]).upper()}: {item['msg']}" if item["loc"] else item["msg"]
            for item in error.errors()
        ]
        raise SettingsError("; ".join(complaints)) from error


def check() -> dict[str, Any]:
    """What the parent has to know before it can begin, or the first mistake, as JSON (`parent.Beginning`)."""
    try:
        settings = read_settings()
        texts = Configuration.read(settings)
        understand(texts)
        admin = None
        if settings.admin_port is not None and settings.admin_key_file is not None:
            admin = settings.admin_host, settings.admin_port, _admin_key(settings.admin_key_file)
    except (SettingsError, DocumentError) as error:
        return {"mistake": str(error)}
    return {"address": (settings.host, settings.port), "admin": admin, "texts": texts.as_json()}


def _admin_key(path: Path) -> str:
    try:
        key = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the admin API's key cannot be read: {error}") from error
    if len(key) < _SHORTEST_KEY:
        raise SettingsError(f"the admin API's key in {path} is shorter than {_SHORTEST_KEY} characters")
    return key


def serve(control: socket.socket, *, first: bool) -> None:
    """Answer the parent's questions, the first of which starts the gateway; returns when it says stop or hangs up."""
    if first:
        control.sendall(json.dumps(check()).encode("ascii") + b"\n")
    _, descriptors, _, _ = socket.recv_fds(control, 1, 4)
    if not descriptors:
        return  # the parent found a mistake, or its end, before it had a socket
    listener, stamps, callers, clients = descriptors
    commands = Commands(socket.socket(fileno=listener), stamps, (callers, clients))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(control, commands))


async def _serve(control: socket.socket, commands: "Commands") -> None:
    answering = asyncio.create_task(answer_all(control, commands.answer, commands.last_words))
    stopping = asyncio.create_task(commands.stopping.wait())
    await asyncio.wait({answering, stopping}, return_when=asyncio.FIRST_COMPLETED)
    # Questions are answered while it drains; without a parent nobody is left to drain for.
    await commands.end(0.0 if answering.done() else commands.drain_s)
    await ended(answering, stopping)


class Commands:
    """Each method named `do_…` answers the question of that name with JSON."""

    def __init__(
        self, listener: socket.socket, stamps_descriptor: int, limits_descriptors: tuple[int, int]
    ) -> None:
        """The descriptors are of what `fleet.SharedMemory` has, and stay open as long as the process lives."""
        self._listener = listener
        self._stamps_descriptor = stamps_descriptor
        self._limits_descriptors = limits_descriptors
        self._server: Server | None = None
        self._gateway: Gateway
        self._metrics: GatewayMetrics
        self._export: MetricsExport | None
        self._prepared: tuple[Snapshot, KeyRing] | None = None
        self._measuring = AsyncExitStack()
        self.stopping = asyncio.Event()
        self.drain_s = 0.0

    async def answer(self, question: str, details: dict[str, Any]) -> Any:
        """The answer to any question. Raises `RefusedError`."""
        command: Callable[..., Awaitable[Any]] = getattr(self, f"do_{question}")
        return await command(**details)

    async def end(self, drain_s: float) -> None:
        """Finish what is under way, for at most so many seconds."""
        if self._server is not None:
            self._metrics.serving(False)
            await self._server.stop(drain_s)
            await self._measuring.aclose()

    def last_words(self) -> list[Any]:
        """What was counted until the end."""
        return self._figures() if self._server is not None else []

    async def do_start(
        self, number: int, row: int, configuration: dict[str, Any], orders: list[dict[str, Any]]
    ) -> dict[str, Any]:
        """Be ready to serve, with this row of the memory that is shared; a mistake is refused with a sentence.

        The answer says how many workers the document wants.
        """
        texts = Configuration(**configuration)
        try:
            settings = read_settings()
            instance = settings.instance if number == 1 else f"{settings.instance}.{number}"
            configure_logging(settings.log_format, "gateway", instance)
            snapshot, keys = understand(texts)
            signer = _signer(texts.identity_file)
            telemetry = configure("gateway", version=VERSION, instance_id=instance, environ=os.environ)
            export = configure_metrics_export(
                "gateway", version=VERSION, instance_id=instance, environ=os.environ
            )
        except (SettingsError, DocumentError, OSError, ValueError) as error:
            raise RefusedError(str(error)) from error
        stamps = Stamps.open(self._stamps_descriptor, row)
        limits = SharedLimits.open(self._limits_descriptors, row)
        self._gateway = Gateway(snapshot, keys, signer, telemetry, stamps, limits, Together())
        self._metrics = self._gateway.metrics
        self._export = export
        for order in orders:
            self._gateway.steer(Order(**order))
        # What was made so far stays. Without looking through it again and again, reads of a service took 112 us
        # of CPU instead of 149, and their p99 was 6 ms instead of 38.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 50, 100)
        return {"workers": snapshot.workers}

    async def do_listen(self) -> None:
        """Serve."""
        metrics = self._metrics
        self._server = Server(self._gateway, self._listener)
        await self._server.start()
        metrics.serving(True)
        await self._measuring.enter_async_context(metrics.measuring(self._gateway.describe, self._export))

    async def do_prepare(self, configuration: dict[str, Any]) -> None:
        """Be ready to put other documents in force; a mistake is refused with a sentence. Nothing changes yet."""
        try:
            # Requests are served meanwhile: a long document takes a second.
            self._prepared = await asyncio.to_thread(understand, Configuration(**configuration))
        except DocumentError as error:
            raise RefusedError(str(error)) from error

    async def do_commit(self) -> None:
        """Put in force what was prepared last."""
        if self._prepared is None:
            raise RefusedError("nothing was prepared")
        prepared, self._prepared = self._prepared, None
        self._gateway.apply(*prepared)

    async def do_discard(self) -> None:
        """Forget what was prepared: everything stays as it is."""
        self._prepared = None

    async def do_state(self) -> dict[str, Any]:
        """What the gateway tells of itself."""
        return {"pid": os.getpid(), **self._gateway.describe()}

    async def do_traces(self, question: dict[str, Any]) -> list[dict[str, Any]]:
        """The latest requests that are remembered and answer a question (`recent.Question`)."""
        return self._gateway.traces.describe(question)

    async def do_trace(self, trace_id: str) -> list[dict[str, Any]]:
        """The remembered requests of one trace, explained."""
        return self._gateway.traces.explain(trace_id)

    async def do_record(self, **order: Any) -> None:
        """Keep every request of some kind for a while."""
        self._gateway.traces.record(**order, now_ns=perf_counter_ns())

    async def do_forget(self, **order: Any) -> None:
        """Withdraw such an order."""
        self._gateway.traces.forget(**order)

    async def do_recordings(self) -> list[dict[str, Any]]:
        """The orders in force."""
        return self._gateway.traces.recordings(perf_counter_ns())

    async def do_metrics(self) -> list[Any]:
        """What was counted so far (`families.from_json`)."""
        return self._figures()

    async def do_knows(self, upstream: str, address: str) -> bool:
        """Whether there is this replica."""
        known = self._gateway.upstreams.get(upstream)
        return known is not None and known.find(address) is not None

    async def do_steer(self, order: dict[str, Any]) -> None:
        """Put an order for a replica in force, found already or not."""
        self._gateway.steer(Order(**order))

    async def do_explain(self, question: dict[str, Any]) -> dict[str, Any]:
        """What would become of a request."""
        try:
            return self._gateway.explain(Question(**question))
        except Problem as problem:
            raise RefusedError(str(problem), status=problem.status) from problem

    async def do_cache_top(self, route: str, count: int) -> list[dict[str, Any]] | None:
        """The most used entries of a route's cache, None where it has none."""
        cache = self._gateway.caches.get(route)
        return None if cache is None else cache.top(count, perf_counter_ns())

    async def do_ghost_log(self, route: str) -> dict[str, Any] | None:
        """What a cache's policy is, and what tells how the others would do (`GhostLog.from_json`)."""
        cache = self._gateway.caches.get(route)
        if cache is None:
            return None
        return {"policy": cache.store.policy, "log": cache.store.ghost_log().as_json()}

    async def do_cache_policy(self, route: str, policy: str) -> bool | None:
        """Go by another eviction policy until the next reload."""
        cache = self._gateway.caches.get(route)
        if cache is None:
            return None
        cache.change_policy(policy)
        return True

    async def do_purge_route(self, route: str, target: str, prefix: bool, tenant: str | None) -> int | None:
        """Drop what a route's cache has of a target, or of all that begin with it; how many keys."""
        cache = self._gateway.caches.get(route)
        if cache is None:
            return None
        whose = tenant.encode("ascii") if tenant is not None else None
        return await cache.purge(target.encode("ascii"), prefix=prefix, tenant=whose)

    async def do_purge_tags(self, upstream: str, tenant: str | None, tags: list[str]) -> int | None:
        """Drop what shows something with these tags; how many keys. Without a tenant, what is for everyone."""
        known = self._gateway.upstreams.get(upstream)
        if known is None or known.coherence is None:
            return None
        whose = tenant.encode("ascii") if tenant is not None else EVERYONE
        return known.coherence.purge(whose, [tag.encode("ascii") for tag in tags], perf_counter_ns())

    async def do_stop(self, drain_s: float) -> None:
        """Drain and end; the answer says that this has begun."""
        self.drain_s = drain_s
        self.stopping.set()

    def _figures(self) -> list[Any]:
        return as_json(self._metrics.collect(self._gateway.describe()))


def _signer(file: str | None) -> IdentitySigner | None:
    return None if file is None else IdentitySigner(Path(file).read_bytes())
