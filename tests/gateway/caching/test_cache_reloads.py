"""What a reload makes of caches, and of those who follow changes for them."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.gateway import config
from services.gateway.app import Gateway
from services.gateway.auth.keys import KeyRing
from services.gateway.caching.following import Follower
from shared.identity.signer import IdentitySigner
from shared.telemetry.setup import Telemetry
from shared.testing.services import Keys
from tests.gateway.caching.feeds import FakeFeed, feeding, start

CACHED = {"name": "cached", "prefix": "/cached", "upstream": "u", "cache": {"visibility": "tenant"}}
ALSO = {"name": "also", "prefix": "/also", "upstream": "u", "cache": {"visibility": "tenant"}}
PLAIN = {"name": "plain", "prefix": "/", "upstream": "u"}


def snapshot(address: str, *routes: dict[str, Any]) -> config.Snapshot:
    host, _, port = address.partition(":")
    upstream = {"audience": "u", "changes": True, "replicas": [{"host": host, "port": int(port)}]}
    return config.parse(json.dumps({"routes": routes, "upstreams": {"u": upstream}}))


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys.make(tmp_path)


@pytest.fixture
async def feed() -> AsyncIterator[FakeFeed]:
    async with feeding() as feed:
        yield feed


def follower_of(gateway: Gateway) -> Follower:
    """The only one, of an upstream whose replica answers."""
    (follower,) = gateway.caches._followers.values()
    for endpoint in gateway.upstreams["u"].endpoints:
        gateway.upstreams["u"].observe(endpoint, True, "it says so")
    return follower


async def test_nobody_follows_for_an_upstream_whose_last_cache_is_gone(feed: FakeFeed, keys: Keys) -> None:
    ring = KeyRing(())
    gateway = Gateway(
        snapshot(feed.address, CACHED, ALSO, PLAIN), ring, IdentitySigner(keys.private_pem), Telemetry()
    )
    follower = follower_of(gateway)
    follower.start()
    asked = await feed.asked()
    await asked.begin()
    await asked.tell(start("10.0"))
    gateway.apply(snapshot(feed.address, ALSO, PLAIN), ring)
    assert follower_of(gateway) is follower
    gateway.apply(snapshot(feed.address, PLAIN), ring)
    assert gateway.caches._followers == {}
    await feed.left()
    gateway.apply(snapshot(feed.address, CACHED, PLAIN), ring)
    again = follower_of(gateway)
    assert again is not follower
    again.start()
    assert "last-event-id" not in (await feed.asked()).headers  # of what was before it knows nothing
    await again.stop()
