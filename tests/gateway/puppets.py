"""A gateway in the test's own process between puppets: callers and replicas do nothing but what the test has them do.

No byte leaves the process, and whatever takes time elsewhere happens here when the test says so.
"""

import asyncio
import json
from typing import Any, cast

from services.gateway import config
from services.gateway.app import Gateway
from services.gateway.auth.keys import KeyRing
from services.gateway.caching.cache import RouteCache
from services.gateway.exchange import Exchange
from services.gateway.forwarding.connection import UpstreamConnection
from services.gateway.outbox import Outbox
from services.gateway.protocol.client import ClientConnection
from services.gateway.resilience.upstream import Upstream
from shared.telemetry.setup import Telemetry

NAMES = ("one", "two", "three")


class PuppetTransport(asyncio.Transport):
    """Keeps what is written; ends, like the event loop's own, a turn of the loop after it was told to."""

    def __init__(self, protocol: ClientConnection | UpstreamConnection) -> None:
        super().__init__()
        self.protocol = protocol
        self.written = b""
        self.lost = False
        self._closing = False
        if isinstance(protocol, UpstreamConnection):
            protocol._poll = cast(Any, _Silent())

    def write(self, data: Any) -> None:
        if not self._closing:
            self.written += data

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self._lose, None)

    def abort(self) -> None:
        self.close()

    def breaks(self) -> None:
        """The other side resets the connection."""
        if not self._closing:
            self._closing = True
            self._lose(ConnectionResetError("reset"))

    def _lose(self, error: Exception | None) -> None:
        self.lost = True
        self.protocol.connection_lost(error)

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 5) if name == "peername" else default


class _Silent:
    """What tells whether a connection that is not used has ended: none has, but by the test."""

    def poll(self, timeout: int) -> list[tuple[int, int]]:
        return []


class Opening:
    """A connection to a replica that is not there yet."""

    def __init__(
        self, protocol: UpstreamConnection, made: list[PuppetTransport], transport: type[PuppetTransport]
    ) -> None:
        self.protocol = protocol
        self._made = made
        self._transport = transport
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def succeed(self) -> None:
        """The replica accepts it."""
        transport = self._transport(self.protocol)
        self._made.append(transport)
        self.protocol.connection_made(transport)
        if not self.done.done():
            self.done.set_result(None)
        await turns()

    async def fail(self) -> None:
        """The replica refuses it."""
        if not self.done.done():
            self.done.set_exception(ConnectionRefusedError("refused"))
        await turns()


class Stage:
    """The gateway with one upstream of three replicas, all healthy, and no connection to any. Close it at the end."""

    def __init__(
        self,
        route: dict[str, Any] | None = None,
        *,
        telemetry: Telemetry | None = None,
        transport: type[PuppetTransport] = PuppetTransport,
        outbox: Outbox | None = None,
        **upstream: Any,
    ) -> None:
        self._route = route or {}
        self._upstream = upstream
        self._transport = transport
        self.openings: list[Opening] = []
        self.connections: list[PuppetTransport] = []
        self.clients: list[ClientConnection] = []
        self.loop = asyncio.get_running_loop()
        self._create_connection = self.loop.create_connection
        self.loop.create_connection = self._open  # type: ignore[method-assign,assignment]
        self.gateway = Gateway(self.snapshot(), KeyRing(()), None, telemetry or Telemetry(), outbox=outbox)
        for endpoint in self.upstream.endpoints:
            self.upstream.observe(endpoint, True, "it says so")

    def close(self) -> None:
        """Give the event loop back."""
        self.loop.create_connection = self._create_connection  # type: ignore[method-assign]

    def snapshot(self, names: tuple[str, ...] = NAMES, **changes: Any) -> config.Snapshot:
        """A configuration like the first one but for some fields of its upstream."""
        upstream = {
            "replicas": [{"host": name, "port": 80} for name in names],
            "policy": "round_robin",
            "retries": {"backoff_base_s": 0.0001, "backoff_max_s": 0.001},
            **self._upstream,
            **changes,
        }
        route = {"name": "all", "prefix": "/", "upstream": "u", **self._route}
        document = {
            "auth": {"mode": "none"},
            "rate_limit": {"enabled": False},
            "routes": [route],
            "upstreams": {"u": upstream},
        }
        return config.parse(json.dumps(document))

    @property
    def upstream(self) -> Upstream:
        return self.gateway.upstreams["u"]

    @property
    def cache(self) -> RouteCache:
        """The route's, which has one."""
        cache = self.gateway.caches.get("all")
        assert cache is not None
        return cache

    async def _open(self, factory: Any, host: str, port: int) -> None:
        opening = Opening(factory(), self.connections, self._transport)
        self.openings.append(opening)
        try:
            await opening.done
        finally:
            self.openings.remove(opening)

    async def connect_all(self) -> None:
        """All replicas accept."""
        await turns()
        for opening in list(self.openings):
            await opening.succeed()

    def call(self, request: bytes) -> tuple[ClientConnection, PuppetTransport]:
        """A new caller sends this."""
        client = self.gateway.connection()
        transport = PuppetTransport(client)
        client.connection_made(transport)
        self.clients.append(client)
        client.data_received(request)
        return client, transport

    def exchanges(self) -> list[Exchange]:
        """All that are under way."""
        return [one.exchange for one in self.clients if one.exchange is not None]

    def complaints(self) -> list[str]:
        """What does not add up at this instant."""
        attempts = [
            one
            for exchange in self.exchanges()
            for one in (exchange.connection, exchange._rival)
            if one is not None
        ]
        upstream = self.upstream
        found = upstream.ledger.check(len(attempts))
        for endpoint in self.gateway._registry:
            here = sum(one.pool.endpoint is endpoint for one in attempts)
            if endpoint.active != here:
                found.append(f"{endpoint} has {here} attempts under way")
        limiter = upstream.limiter
        if limiter is not None:
            slots = sum(one._slot is limiter for one in self.exchanges())
            tickets = sum(one._ticket is not None for one in self.exchanges())
            if (limiter.in_flight, limiter.waiting) != (slots, tickets):
                found.append(f"{limiter.describe()}, but {slots} hold a place and {tickets} wait")
        return found

    def unrest(self) -> list[str]:
        """What is left behind when everything is over."""
        found = self.complaints()
        if self.exchanges():
            found.append(f"{len(self.exchanges())} requests are under way")
        for pool in self.upstream.pools.values():
            if pool.open != pool.idle:
                found.append(f"{pool.endpoint} has {pool.open} connections, of which {pool.idle} are idle")
        return found


def transport_of(connection: UpstreamConnection | None) -> PuppetTransport:
    """An attempt's connection, which exists by now."""
    assert connection is not None
    return cast(PuppetTransport, connection.transport)


async def turns(count: int = 5) -> None:
    """Let the event loop do what is due."""
    for _ in range(count):
        await asyncio.sleep(0)
