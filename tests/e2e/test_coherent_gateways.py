"""Nobody is shown an older state than a write that was acknowledged, through whichever of several gateways.

Real services, PostgreSQL, Valkey and gateways of two workers each, every one of which reaches Valkey over a network
that can be cut. `tests.bench.coherence` reads longer and prints figures.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from tests.deploy.suite_process import SuiteProcess
from tests.e2e.coherent import ACCOUNTS, Gateways, Ledger, OwnGateway, clear, load, reads, serving
from tests.e2e.relay import Relay, relaying
from tests.gateway.caching.second.servers import Valkey
from tests.gateway.processes import eventually

pytestmark = pytest.mark.process

PEERS = {"freshness_s": 1.0, "lease_s": 1.0}


@dataclass
class Fleet:
    """Two gateways, each with its own way to the registry."""

    gateways: Gateways
    members: list[OwnGateway]
    relays: list[Relay]


def sections(relay: Relay) -> dict[str, Any]:
    servers = [{"host": "127.0.0.1", "port": relay.port}]
    return {"peers": PEERS, "shared_cache": {"servers": servers, "timeout_s": 0.3}}


@pytest.fixture(scope="module")
def gateways(suite: SuiteProcess, valkey: Valkey) -> Iterator[Fleet]:
    gateways = Gateways(suite)
    with ExitStack() as stack:
        relays = [stack.enter_context(relaying(valkey.port)) for _ in range(2)]
        members = [
            stack.enter_context(gateways.gateway(f"peer-{number}", workers=2, **sections(relay)))
            for number, relay in enumerate(relays)
        ]
        yield Fleet(gateways, members, relays)


@pytest.fixture
async def fleet(gateways: Fleet) -> AsyncIterator[Fleet]:
    callers = [gateways.gateways.through(member) for member in gateways.members]
    for caller in callers:
        await serving(caller)
    yield gateways
    for relay in gateways.relays:
        relay.mend()
    await serving(callers[0])  # a worker that held its connection may have been killed
    await clear(callers[0])
    for caller in callers:
        caller.close()


async def test_a_write_through_one_gateway_is_seen_through_the_other_at_once(fleet: Fleet) -> None:
    one, other = (fleet.gateways.through(member) for member in fleet.members)
    record = (await one.ask("POST", ACCOUNTS, {"name": "First"})).document
    target = f"{ACCOUNTS}/{record['id']}"
    hits = 0
    for number in range(40):
        writer, reader = (one, other) if number % 2 else (other, one)
        await reader.ask("GET", target)
        hits += (await reader.ask("GET", target)).from_cache
        version = (await writer.ask("PATCH", target, {"name": f"Name {number}"})).document["version"]
        assert (await reader.ask("GET", target)).document["version"] == version
    assert hits > 10  # else there was nothing to drop
    one.close()
    other.close()


async def test_whatever_becomes_of_the_registry_nobody_is_shown_less(fleet: Fleet, valkey: Valkey) -> None:
    ledger = Ledger()
    async with load(ledger, fleet.gateways, *fleet.members, writers=4, readers=8, pause_s=0.05, seed=5):
        await reads(ledger, 800)
        hits = ledger.hits.total()
        valkey.restart()
        await reads(ledger, 400)
        valkey.pause()
        await reads(ledger, 400)
        valkey.go_on()
        await reads(ledger, 200)
        fleet.relays[0].cut()  # others cannot tell it anything, and stop waiting for it
        await reads(ledger, 600)
        fleet.relays[0].mend()
        valkey.flush()
        await reads(ledger, 400)
        for member in fleet.members:  # one of them speaks for its gateway
            os.kill(member.workers()[0], signal.SIGKILL)
        await reads(ledger, 600, lambda: ledger.wrote_in_every_way() and ledger.writes.total() > 20)
    assert ledger.stale == []
    assert hits > 100


async def test_a_stopped_gateway_uses_nothing_that_it_has_when_it_goes_on(fleet: Fleet) -> None:
    one, other = (fleet.gateways.through(member) for member in fleet.members)
    record = (await one.ask("POST", ACCOUNTS, {"name": "First"})).document
    target = f"{ACCOUNTS}/{record['id']}"

    async def from_cache() -> bool:
        return (await other.ask("GET", target)).from_cache

    await eventually(from_cache)
    stopped = fleet.members[1].workers()
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    asking = None
    try:
        version = (await one.ask("PATCH", target, {"name": "Second"})).document["version"]
        asking = asyncio.create_task(other.ask("GET", target))
        await asyncio.sleep(0)
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    assert (await asking).document["version"] == version
    one.close()
    other.close()
