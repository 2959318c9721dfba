"""All of it together in one worker, between fakes of services and a registry that is there or not."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from services.gateway.caching.coherence import Coherence
from services.gateway.caching.peers.messages import Written, acknowledgement
from services.gateway.caching.peers.peers import Peers
from services.gateway.caching.peers.plan import PeersPlan
from services.gateway.caching.peers.registry import Registry
from services.gateway.caching.peers.rule import PeersRule
from services.gateway.caching.second.connection import Servers
from services.gateway.caching.stamps import Stamps
from shared.identity.signer import IdentitySigner
from shared.testing.services import Keys
from tests.gateway.caching.peers.test_proving import Replica, answer, replicas
from tests.gateway.caching.second.servers import Valkey, connected, rule

TENANT = UUID("01900000-0000-7000-8000-000000000001").hex.encode()
ALONE = PeersPlan(PeersRule(200_000_000, 200_000_000), None, "")


def nobody_knows(now_ns: int) -> bool:
    return True


class Upstream:
    """What the peers look at of one."""

    name = "customers"

    def __init__(self, replica: Replica) -> None:
        self.plan = self
        self.audience = "customers"
        self.healthy_addresses = lambda: [replica.address]


class Stage:
    """A worker's peers, and one upstream."""

    def __init__(self, signer: IdentitySigner | None, replica: Replica) -> None:
        self.stamps = Stamps.private()
        self.coherence = Coherence("customers", self.stamps)
        self.upstream: Any = Upstream(replica)
        self.peers = Peers(self.stamps, signer)
        self.current: Any = None

    def configure(self, plan: PeersPlan | None) -> None:
        self.peers.configure(plan)
        self.current = self.peers.add(self.upstream, self.coherence, nobody_knows)
        self.peers.configured()

    def write(self) -> asyncio.Event:
        """Something is written through this gateway; set when its caller is to be answered."""
        through = asyncio.Event()
        assert self.coherence.tell is not None
        self.coherence.tell(TENANT, (b"accounts/1",), through.set)
        return through

    def described(self) -> Any:
        return self.peers.describe(1)


@pytest.fixture
def signer(tmp_path: Any) -> IdentitySigner:
    return IdentitySigner(Keys.make(tmp_path).private_pem)


@pytest.fixture
async def replica() -> AsyncIterator[Replica]:
    async with replicas(1) as (one,):
        for number in range(200):
            one.say(answer(f"7@{number + 5}:{number + 5}:", reset=number == 0))
        yield one


async def until(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


async def test_who_is_alone_does_nothing(signer: IdentitySigner, replica: Replica) -> None:
    stage = Stage(signer, replica)
    stage.configure(None)
    stage.peers.start()
    assert (stage.current, stage.coherence.tell, stage.described()) == (nobody_knows, None, None)
    await stage.peers.stop()


async def test_without_a_registry_what_is_proven_is_used_and_writes_wait(
    signer: IdentitySigner, replica: Replica
) -> None:
    stage = Stage(signer, replica)
    stage.configure(ALONE)
    assert not stage.current(1)
    stage.peers.start()
    await until(lambda: stage.current(1))
    through = stage.write()
    assert stage.described()["writes"]["under_way"] == 1
    await until(through.is_set)
    assert stage.described()["writes"]["counts"] == {"unreachable": 1}
    assert stage.described()["speaker"]["registered"] is None
    await stage.peers.stop()
    assert not stage.current(1)


async def test_a_document_may_begin_and_end_it(signer: IdentitySigner, replica: Replica) -> None:
    stage = Stage(signer, replica)
    stage.configure(None)
    stage.peers.start()
    stage.configure(ALONE)
    first = stage.current
    await until(lambda: stage.current(1))
    stage.configure(ALONE)
    assert stage.current is first  # or the cache would drop everything
    through = stage.write()
    stage.configure(None)
    assert (stage.current, stage.coherence.tell) == (nobody_knows, None)
    await until(through.is_set)  # who waits is answered all the same
    await stage.peers.stop()


async def test_without_a_key_to_sign_with_writes_are_told_and_nothing_is_used(replica: Replica) -> None:
    stage = Stage(None, replica)
    stage.configure(ALONE)
    stage.peers.start()
    await until(stage.write().is_set)
    assert not stage.current(1)
    await stage.peers.stop()


@pytest.mark.process
async def test_what_another_gateway_writes_is_stamped_and_acknowledged(
    signer: IdentitySigner, replica: Replica, shared_valkey: Valkey
) -> None:
    stage = Stage(signer, replica)
    servers = Servers(rule(shared_valkey))
    servers.start()
    registry = Registry(await connected(servers), "peers")
    await registry.renew("other", "token")
    await servers.ask(registry.key, b"HSET", registry.key, b"settled", b"1")
    stage.configure(PeersPlan(PeersRule(200_000_000, 20_000_000_000), rule(shared_valkey), "peers"))
    stage.peers.start()
    try:
        await until(lambda: stage.current(1))
        assert stage.described()["speaker"]["others"] == 1
        slots = stage.stamps.slots(stage.coherence.scope(TENANT), (b"accounts/1",))
        written = Written("other", registry.key + b":acks", 7, "customers", TENANT, (b"accounts/1",))
        stage.peers._heed(registry.writes, written.encode())
        assert stage.stamps.changed_since(slots, 1)
        assert stage.described()["speaker"]["heard"] == 1
        through = stage.write()
        await asyncio.sleep(0)
        assert stage.peers._teller is not None
        stage.peers._heed(stage.peers._teller.reply, acknowledgement(1, "other"))
        await until(through.is_set)
        assert stage.described()["writes"]["counts"] == {"acknowledged": 1}
        stage.peers._heed(registry.writes, b"nonsense")  # which is told in the log, and no more
    finally:
        await stage.peers.stop()
        found = await servers.ask(registry.key, b"HKEYS", registry.key)
        await servers.stop()
        shared_valkey.flush()
    assert [name for name in found if name.startswith(b"member:")] == [b"member:other"]  # ours has left


@pytest.mark.process
async def test_another_plan_begins_when_the_former_has_ended(
    signer: IdentitySigner, replica: Replica, shared_valkey: Valkey
) -> None:
    """Both have the same name: what ends last must not take the other's place away."""
    stage = Stage(signer, replica)
    servers = Servers(rule(shared_valkey))
    servers.start()
    registry = Registry(await connected(servers), "peers")
    plans = [
        PeersPlan(PeersRule(200_000_000, lease_ns), rule(shared_valkey), "peers")
        for lease_ns in (20_000_000_000, 30_000_000_000, 40_000_000_000)
    ]

    async def members() -> list[bytes]:
        found = await servers.ask(registry.key, b"HKEYS", registry.key)
        return [name for name in found if name.startswith(b"member:")]

    def entered() -> bool:
        speaker = stage.described()["speaker"]
        return speaker is not None and speaker["entries"] == 1

    stage.configure(plans[0])
    stage.peers.start()
    try:
        await until(entered)
        assert len(await members()) == 1
        for plan in plans[1:]:
            stage.configure(plan)
        await until(entered)
        assert len(await members()) == 1
        assert stage.peers._board.elected
    finally:
        await stage.peers.stop()
        assert await members() == []
        await servers.stop()
        shared_valkey.flush()
