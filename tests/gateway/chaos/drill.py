"""Everything happens in turn under steady load, and what must hold of it."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from httpx2 import TransportError

from tests.gateway.chaos.fleet import NAMES, Fleet
from tests.gateway.chaos.phases import Phase, phases
from tests.gateway.chaos.traffic import KEYED, Tally, Traffic
from tests.gateway.processes import GatewayProcess, eventually


@dataclass
class Report:
    """What a drill has shown: by phase, by the replicas' journal, and by the gateway's account at the end."""

    tallies: list[tuple[Phase, Tally]]
    answered: list[str]
    executions: Counter[str]
    upstream: dict[str, Any]
    ledger: dict[str, Any]

    @property
    def account(self) -> dict[str, Any]:
        """The ledger's, of the one upstream."""
        found: dict[str, Any] = self.ledger["upstreams"]["echo"]
        return found

    def complaints(self) -> list[str]:
        """What should not have been, in sentences."""
        found = []
        for phase, tally in self.tallies:
            found += [f"{phase.name}: {words}" for words in tally.wrong]
            found += [f"{phase.name}: {count} times {words}" for words, count in tally.failed.items()]
            if not phase.posts_may_fail:
                found += [f"{phase.name}: POST: {words}" for words in tally.failed_posts]
        found += [f"POST {one} was executed {self.executions[one]} times" for one in self.doubled()]
        found += [f"{one} was answered but not executed" for one in self.answered if not self.executions[one]]
        return found + self._mistakes()

    def doubled(self) -> list[str]:
        """The targets of POSTs without a key that were executed more than once."""
        return [one for one, times in self.executions.items() if times > 1 and not one.endswith(KEYED)]

    def _mistakes(self) -> list[str]:
        """What the gateway's books say against it."""
        account = self.account
        found: list[str] = list(self.ledger["mistakes"])
        begun = account["first"] + account["retries"] + account["hedges"]
        ended = sum(account["outcomes"].values())
        if not begun == account["attempts"] == ended:
            found.append(f"{begun} attempts began, {account['attempts']} were entered, {ended} ended")
        sent = sum(tally.idempotent + tally.posts for _, tally in self.tallies)
        if account["requests"] != sent:
            found.append(f"{sent} requests were sent, {account['requests']} are in the books")
        return found + [f"at rest: {count} {what}" for what, count in still(self.upstream) if count]


def still(upstream: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """What must be 0 at rest, as the admin API tells it."""
    yield "requests have a place", upstream["concurrency"]["in_flight"]
    for replica in upstream["replicas"]:
        address, connections = replica["address"], replica["connections"]
        yield f"requests are at {address}", replica["active"]
        yield f"connections to {address} are not idle", connections["open"] - connections["idle"]


@asynccontextmanager
async def prepared(
    folder: Path, rate: float, seed: int, workers: int, **upstream: Any
) -> AsyncIterator[tuple[Fleet, GatewayProcess, Traffic]]:
    """The replicas, the gateway in front of them with so many workers, and a load that has not begun.

    `upstream` changes the gateway's document.
    """
    fleet = Fleet(folder, workers, **upstream)
    try:
        await fleet.until_up()
        gateway = GatewayProcess(folder, [], fleet.content, admin=True)
        try:
            await gateway.until_ready()
            await _until_all_serve(gateway, workers)
            yield fleet, gateway, Traffic(gateway.port, gateway.keys[0], rate, seed)
        finally:
            printed = gateway.stop()
    finally:
        fleet.stop()
    assert "Traceback" not in printed, "an exception was not handled"


async def drill(
    fleet: Fleet, gateway: GatewayProcess, traffic: Traffic, *, seconds: float, rounds: int = 1
) -> Report:
    """Each phase in turn, with another replica each time: `seconds` of it, and half of that to recover."""
    tallies: list[tuple[Phase, Tally]] = []
    traffic.start()
    for phase in phases(lambda: gateway.signal(signal.SIGHUP)) * rounds:
        tallies.append((phase, traffic.phase()))
        await phase.go(fleet, fleet.replicas[len(tallies) % len(NAMES)], seconds)
        await asyncio.sleep(seconds / 2)
    await traffic.stop()
    await asyncio.sleep(0.5)  # a replica that was stopped may still execute what it had received
    upstream, ledger = await _at_rest(gateway)
    return Report(tallies, traffic.answered, fleet.executions(), upstream, ledger)


async def _until_all_serve(gateway: GatewayProcess, workers: int) -> None:
    async with gateway.admin() as admin:

        async def all_serve() -> bool:
            try:
                ready = [one["ready"] for one in (await admin.get("workers")).json()]
            except TransportError:  # the admin API comes last
                return False
            return ready == [True] * workers

        await eventually(all_serve)


async def _at_rest(gateway: GatewayProcess) -> tuple[dict[str, Any], dict[str, Any]]:
    """The upstream and the ledger, once nothing is under way any more, or after a few seconds."""
    async with gateway.admin() as admin:
        for _ in range(50):
            upstream = (await admin.get("upstreams/echo")).json()
            if not any(number for _, number in still(upstream)):
                break
            await asyncio.sleep(0.1)
        return upstream, (await admin.get("ledger")).json()
