"""The connections to one replica: opened when needed, kept for the next request, the newest first."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from services.gateway.balancing.endpoint import Endpoint
from services.gateway.forwarding.connection import UpstreamConnection
from services.gateway.outbox import Outbox
from services.gateway.resilience.ledger import REFUSED

if TYPE_CHECKING:
    from services.gateway.forwarding.connection import Receiver
    from services.gateway.resilience.breaker import CircuitBreaker


@dataclass(frozen=True, slots=True)
class ConnectionsRule:
    """`keep_s` is for how long an idle connection is kept; the services' servers close theirs after 5 s
    (uvicorn's default), and we must be first."""

    max_per_replica: int = 1024
    idle: int = 256
    keep_s: float = 4.0
    connect_timeout_s: float = 2.0


class Pool:
    """What the gateway holds of one replica besides its endpoint: the connections, and their circuit's breaker."""

    def __init__(
        self, endpoint: Endpoint, rule: ConnectionsRule, breaker: "CircuitBreaker", outbox: Outbox
    ) -> None:
        self.endpoint = endpoint
        self.outbox = outbox
        self.breaker = breaker
        self.rule = rule
        replica = endpoint.replica
        self.address = replica.address
        self.host_line = b"Host: " + replica.address.encode("ascii") + b"\r\n"
        self._host = replica.host.strip("[]")
        self._port = replica.port
        self._idle: list[UpstreamConnection] = []
        self._connecting: set[asyncio.Task[None]] = set()
        self.open = 0
        self.opened = 0
        self.closed = False

    @property
    def idle(self) -> int:
        """How many connections wait for a request."""
        return len(self._idle)

    def send(
        self, receiver: "Receiver", data: bytes, *, complete: bool, fresh: bool, now_ns: int
    ) -> UpstreamConnection | None:
        """Send a request on the connection that was used last, or on a new one; None when there are too many.

        `fresh` asks the kernel whether an idle connection has ended in this very moment: for requests that
        cannot be repeated.
        """
        idle = self._idle
        while idle:
            connection = idle.pop()
            if connection.transport.is_closing() or (fresh and connection.stale()):
                connection.close()
                continue
            connection.send(receiver, data, complete=complete, now_ns=now_ns)
            return connection
        if self.open >= self.rule.max_per_replica:
            return None
        connection = UpstreamConnection(self)
        connection.send(receiver, data, complete=complete, now_ns=now_ns)
        self.open += 1
        self.opened += 1
        task = asyncio.get_running_loop().create_task(self._connect(connection))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        return connection

    def keep(self, connection: UpstreamConnection) -> None:
        """A request is through; its connection waits for the next."""
        if self.closed or len(self._idle) >= self.rule.idle:
            connection.close()
            return
        # A little too early, for the sake of one reading of the clock less per request: it is closed the sooner.
        connection.idle_since_ns = connection.first_byte_ns
        self._idle.append(connection)

    def drop(self, connection: UpstreamConnection) -> None:
        """An idle connection is of no use any more."""
        if connection in self._idle:
            self._idle.remove(connection)
        connection.close()

    def lost(self, connection: UpstreamConnection) -> None:
        """A connection has ended."""
        self.open -= 1
        if connection in self._idle:
            self._idle.remove(connection)

    def expire(self, now_ns: int) -> None:
        """Close what has been idle for too long; the oldest are in front."""
        oldest_kept = now_ns - int(self.rule.keep_s * 1e9)
        idle = self._idle
        stale = 0
        while stale < len(idle) and idle[stale].idle_since_ns < oldest_kept:
            stale += 1
        for connection in idle[:stale]:
            connection.close()
        del idle[:stale]

    def close(self) -> None:
        """Close what is idle, and the rest as it becomes so."""
        self.closed = True
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    async def _connect(self, connection: UpstreamConnection) -> None:
        rule = self.rule
        protocol = cast(asyncio.Protocol, connection)  # as the event loop takes it: by its methods
        try:
            async with asyncio.timeout(rule.connect_timeout_s):
                await asyncio.get_running_loop().create_connection(lambda: protocol, self._host, self._port)
        except TimeoutError:
            self._refused(connection, f"no connection within {rule.connect_timeout_s:g} s")
        except OSError as error:
            self._refused(connection, str(error))

    def _refused(self, connection: UpstreamConnection, detail: str) -> None:
        if connection.transport is not None:
            return  # it came about as its time was up, and the request is out: `connection_lost` follows
        self.open -= 1
        receiver, connection.receiver = connection.receiver, None
        if receiver is not None:
            receiver.failed(connection, REFUSED, detail)
