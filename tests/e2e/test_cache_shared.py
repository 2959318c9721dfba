"""Workers that share a second level show nobody less than was acknowledged, whatever becomes of its servers.

One gateway, without `peers`: what its workers promise one another must hold with the second level as without.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import pytest

from tests.deploy.suite_process import SuiteProcess
from tests.e2e.coherent import (
    ACCOUNTS,
    Answer,
    Connection,
    Gateways,
    Ledger,
    OwnGateway,
    clear,
    load,
    reads,
    serving,
)
from tests.gateway.caching.second.servers import Valkey
from tests.gateway.processes import eventually

pytestmark = pytest.mark.process


@dataclass
class SharedLedger(Ledger):
    """Knows besides how many reads the second level answered."""

    shared: list[str] = field(default_factory=list)

    def read(self, kind: str, answer: Answer) -> None:
        super().read(kind, answer)
        if "kontor-shared; hit" in answer.headers.get("cache-status", ""):
            self.shared.append(kind)


@pytest.fixture(scope="module")
def gateways(suite: SuiteProcess) -> Gateways:
    return Gateways(suite)


@pytest.fixture(scope="module")
def gateway(gateways: Gateways, valkey: Valkey) -> Iterator[OwnGateway]:
    section = {"servers": [{"host": "127.0.0.1", "port": valkey.port}], "timeout_s": 0.2}
    with gateways.gateway("sharing", workers=2, shared_cache=section) as gateway:
        yield gateway


@pytest.fixture
async def caller(gateways: Gateways, gateway: OwnGateway) -> AsyncIterator[Connection]:
    caller = gateways.through(gateway)
    await serving(caller)
    await sharing(gateways, gateway)
    yield caller
    await clear(caller)
    caller.close()


async def sharing(gateways: Gateways, gateway: OwnGateway) -> None:
    """Wait until both workers are there: what one of them has fetched is another's hit."""
    limits = iter(range(2, 200))

    async def shared() -> bool:
        target = f"{ACCOUNTS}?limit={next(limits)}"
        for _ in range(2):
            connection = gateways.through(gateway)
            answer = await connection.ask("GET", target)
            connection.close()
        return "kontor-shared; hit" in answer.headers["cache-status"]

    await eventually(shared)


async def test_nobody_is_shown_less_than_was_acknowledged(
    gateways: Gateways, gateway: OwnGateway, caller: Connection, valkey: Valkey
) -> None:
    ledger = SharedLedger()
    async with load(ledger, gateways, gateway, writers=3, readers=8, pause_s=0.05, seed=7):
        await reads(ledger, 2_000)
        valkey.flush()
        await reads(ledger, 200)
        await asyncio.to_thread(valkey.restart)
        await reads(ledger, 200)
        valkey.pause()
        await reads(ledger, 200)
        valkey.go_on()
        # Else there would be nothing to go wrong.
        await reads(ledger, 1_000, lambda: len(ledger.shared) > 5 and ledger.writes.total() > 10)
    assert ledger.stale == []
    assert ledger.failures == {}
