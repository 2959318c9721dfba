"""Hearing what others publish, at real servers."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from services.gateway.caching.peers.registry import Registry
from services.gateway.caching.peers.roll import Settle
from services.gateway.caching.peers.subscription import Subscription
from services.gateway.caching.second.connection import Servers
from tests.gateway.caching.second.servers import Valkey, connected, rule

pytestmark = pytest.mark.process

PATIENCE_S = 30


@dataclass
class Listener:
    """What was heard, and how it is told."""

    registry: Registry
    subscription: Subscription
    channels: list[bytes]
    heard: "asyncio.Queue[tuple[bytes, bytes]]" = field(default_factory=asyncio.Queue)

    async def hears(self, channel: bytes) -> bool:
        """Publish there until something comes back, as others repeat what they have to say."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                self.registry.acknowledge(channel, b"something")
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.1):
                        while (await self.heard.get())[0] != channel:
                            pass
                        return True


@asynccontextmanager
async def listening(servers: Servers, links: int = 1) -> AsyncIterator[Listener]:
    servers.start()
    registry = Registry(await connected(servers, links), "test")
    channels = [registry.writes]
    heard: asyncio.Queue[tuple[bytes, bytes]] = asyncio.Queue()
    subscription = Subscription(registry, lambda: list(channels), lambda *message: heard.put_nowait(message))
    task = asyncio.create_task(subscription.run())
    try:
        yield Listener(registry, subscription, channels, heard)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await servers.stop()


async def test_what_is_published_is_heard_also_after_the_server_was_killed(valkey: Valkey) -> None:
    async with listening(Servers(rule(valkey))) as listener:
        assert await listener.hears(listener.registry.writes)
        valkey.restart()
        assert await listener.hears(listener.registry.writes)


async def test_a_server_that_stops_and_goes_on_is_heard_again(valkey: Valkey) -> None:
    async with listening(Servers(rule(valkey))) as listener:
        assert await listener.hears(listener.registry.writes)
        valkey.pause()
        async with asyncio.timeout(PATIENCE_S):
            while listener.subscription.connected:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.02)
        valkey.go_on()
        assert await listener.hears(listener.registry.writes)


async def test_other_channels_are_heard_once_they_are_wanted(shared_valkey: Valkey) -> None:
    async with listening(Servers(rule(shared_valkey))) as listener:
        assert await listener.hears(listener.registry.writes)
        listener.channels.append(b"another")
        listener.subscription.again()
        assert await listener.hears(b"another")


async def test_a_cluster_keeps_a_registry_and_passes_on_what_is_published(
    valkey_cluster: Sequence[Valkey],
) -> None:
    servers = Servers(rule(valkey_cluster[4], cluster=True))
    async with listening(servers, links=3) as listener:
        registry = listener.registry
        assert await registry.renew("a", "token") != await registry.renew("a", "other")
        await registry.heed(Settle("token"))
        told: asyncio.Future[frozenset[str] | None] = asyncio.get_running_loop().create_future()
        assert await listener.hears(registry.writes)
        assert registry.tell(b"written", told.set_result)
        assert await told == frozenset({"a"})
        async with asyncio.timeout(PATIENCE_S):
            while (await listener.heard.get())[1] != b"written":
                pass
        await registry.leave("a")
