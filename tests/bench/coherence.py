"""Whether the cache shows anybody an older state than a write that was acknowledged, and how late the feed tells.

make bench BENCH=coherence [ARGS="--reads 200000 --late 50"]

Two gateway workers, two replicas of each service and PostgreSQL. While writers and readers are at work, replicas and a
gateway worker are killed in turn. Then records are changed past the gateway, and through another gateway that shares
nothing with it: `late` is the time from the acknowledgement until the change is shown.
"""

import argparse
import asyncio
import os
import signal
import statistics
import time
from collections.abc import Sequence

from tests.bench import harness
from tests.bench.availability import Killer
from tests.deploy.suite_process import SuiteProcess, passable_directory, running_suite
from tests.e2e.coherent import ACCOUNTS, Connection, Gateways, Ledger, OwnGateway, load, serving

_KILLS = 6


async def main() -> None:
    """Starts the suite and a gateway of two workers, and counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reads", type=int, default=200_000)
    parser.add_argument("--late", type=int, default=50)
    parser.add_argument("--writers", type=int, default=2)
    parser.add_argument("--readers", type=int, default=12)
    parser.add_argument("--pause", type=float, default=0.15, help="seconds between a writer's writes")
    options = parser.parse_args()
    with (
        passable_directory() as root,
        running_suite(root / "data", root / "state", "--no-demo", module="deploy.local") as suite,
    ):
        await asyncio.to_thread(suite.wait_up)
        gateways = Gateways(suite)
        with gateways.gateway("one", workers=2) as one, gateways.gateway("other", workers=1) as other:
            await serving(gateways.through(one))
            ledger = await _read(suite, gateways, one, options)
            past = await _lateness(gateways.past(), gateways.through(one), options.late)
            across = await _lateness(gateways.through(one), gateways.through(other), options.late)
    _print(ledger, past, across)


async def _read(
    suite: SuiteProcess, gateways: Gateways, gateway: OwnGateway, options: argparse.Namespace
) -> Ledger:
    ledger, killer = Ledger(), Killer(suite)
    victims = [f"customers-{1 + number % 2}" for number in range(_KILLS)]
    async with load(
        ledger,
        gateways,
        gateway,
        writers=options.writers,
        readers=options.readers,
        pause_s=options.pause,
        seed=3,
    ):
        for number, victim in enumerate(victims, start=1):
            await _until(ledger, options.reads * number // (_KILLS + 1))
            former = await asyncio.to_thread(killer.kill, victim)
            await asyncio.to_thread(killer.wait_back, victim, former)
            if number % 3 == 0:
                os.kill(gateway.workers()[0], signal.SIGKILL)
        await _until(ledger, options.reads)
    return ledger


async def _until(ledger: Ledger, reads: int) -> None:
    while ledger.reads.total() < reads:  # noqa: ASYNC110 - the readers wake nobody
        await asyncio.sleep(0.1)


async def _lateness(writer: Connection, reader: Connection, count: int) -> list[float]:
    """Milliseconds from the acknowledgement to the writer until the reader, who had it from the cache, is shown it."""
    await serving(reader)
    record = (await writer.ask("POST", ACCOUNTS, {"name": "First"})).document
    target = f"{ACCOUNTS}/{record['id']}"
    late = []
    for number in range(count):
        while not (await reader.ask("GET", target)).from_cache:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.01)
        wanted = (await writer.ask("PATCH", target, {"name": f"Changed {number}"})).document["version"]
        acknowledged = time.perf_counter()
        while (await reader.ask("GET", target)).document["version"] < wanted:
            pass
        late.append(1e3 * (time.perf_counter() - acknowledged))
    return late


def _print(ledger: Ledger, past: Sequence[float], across: Sequence[float]) -> None:
    for kind, count in ledger.reads.items():
        print(f"{kind:12} {count:8} reads, {ledger.hits[kind] / count:6.1%} from the cache")
    print(f"writes {dict(ledger.writes)}, failures {dict(ledger.failures)}")
    print(*ledger.stale[:20], sep="\n")
    figures: dict[str, float] = {
        "reads": ledger.reads.total(),
        "hit_share": ledger.hit_share,
        "stale_reads": len(ledger.stale),
        "writes": ledger.writes.total(),
    }
    for name, late in (("past_the_gateway", past), ("other_gateway", across)):
        figures[f"late_ms_{name}_median"] = statistics.median(late)
        figures[f"late_ms_{name}_longest"] = max(late)
    harness.finish("coherence", figures)


if __name__ == "__main__":
    harness.run(main)
