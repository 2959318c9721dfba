"""What others publish, as it comes: one connection that listens, made again whenever it is lost.

What is published meanwhile is missed, which costs a writer his patience and nobody the truth.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from redis.asyncio.connection import Connection
from redis.exceptions import RedisError

from services.gateway.caching.peers.registry import Registry
from shared.background import ended

log = logging.getLogger("kontor.gateway.peers")

_AGAIN_S: Final = 0.05
_PING_S: Final = 0.5
_PATIENCE_S: Final = 0.5

Heed = Callable[[bytes, bytes], None]


class Subscription:
    """Follows channels where the registry is, on one event loop; `heed` gets a channel and what came on it.

    `channels` are asked for with each connection.
    """

    def __init__(self, registry: Registry, channels: Callable[[], list[bytes]], heed: Heed) -> None:
        self._registry = registry
        self._channels = channels
        self._heed = heed
        self._reading: asyncio.Task[None] | None = None
        self.connected = False

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._reading = asyncio.create_task(self._follow())
            try:
                await self._reading
            except (RedisError, OSError, TimeoutError) as error:
                log.debug("nothing is heard of other gateways: %s", error or type(error).__name__)
            except asyncio.CancelledError:
                current = asyncio.current_task()
                if current is not None and current.cancelling():
                    await ended(self._reading)
                    raise
            finally:
                self.connected = False
            await asyncio.sleep(_AGAIN_S)

    def again(self) -> None:
        """Other channels are wanted."""
        if self._reading is not None:
            self._reading.cancel()

    async def _follow(self) -> None:
        servers = self._registry.servers
        link = servers.link(self._registry.key)
        if link is None:
            return
        connection = servers.connection(link.address)
        try:
            async with asyncio.timeout(_PATIENCE_S + servers.rule.connect_timeout_s):
                await connection.connect()  # type: ignore[no-untyped-call]
                await connection.send_command("SUBSCRIBE", *self._channels(), check_health=False)
            await self._listen(connection, link.address)
        finally:
            with suppress(RedisError, OSError):
                await connection.disconnect(nowait=True)

    async def _listen(self, connection: Connection, address: str) -> None:
        """As long as it answers, and what it keeps is asked for there."""
        asked = False
        while True:
            try:
                async with asyncio.timeout(_PATIENCE_S if asked else _PING_S):
                    reply = await connection.read_response(disconnect_on_error=False)
            except TimeoutError:
                if asked:
                    raise
                asked = True
                await connection.send_command("PING", check_health=False)
                continue
            asked = False
            self.connected = True
            if reply[0] == b"message":
                self._heed(reply[1], reply[2])
            link = self._registry.servers.link(self._registry.key)
            if link is not None and link.address != address:
                return
