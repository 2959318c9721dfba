"""Whether the cache shows anybody an older state than a write that was acknowledged, and how late the feed tells.

make bench BENCH=coherence [ARGS="--reads 200000 --late 50"]

Two gateways of two workers each, which meet at a Valkey, two replicas of each service and PostgreSQL. While writers and
readers are at work through both gateways, and somebody changes records past them, replicas and gateway workers are
killed in turn, and Valkey is killed, stopped, flushed, and cut off from one of the gateways.

Then records are changed past the gateways, and through one that shares nothing with the other: `late` is the time from
the acknowledgement until the change is shown. And the same write is timed, in turns, through a gateway with peers and
through one that is alone: `write_ms`.
"""

import argparse
import asyncio
import os
import signal
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any

from tests.bench import harness
from tests.bench.availability import Killer
from tests.deploy.suite_process import SuiteProcess, passable_directory, running_suite
from tests.e2e.coherent import (
    ACCOUNTS,
    Connection,
    Gateways,
    Ledger,
    NoAnswerError,
    OwnGateway,
    load,
    serving,
)
from tests.e2e.relay import Relay, relaying
from tests.gateway.caching.second.servers import Valkey

_PEERS: dict[str, float] = {"freshness_s": 1.0, "lease_s": 2.0}


async def main() -> None:
    """Starts the suite and its gateways, and counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reads", type=int, default=200_000)
    parser.add_argument("--late", type=int, default=50)
    parser.add_argument("--timed", type=int, default=400, help="writes through each kind of gateway")
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--readers", type=int, default=12)
    parser.add_argument("--pause", type=float, default=0.15, help="seconds between a writer's writes")
    options = parser.parse_args()
    with (
        passable_directory() as root,
        running_suite(root / "data", root / "state", "--no-demo", module="deploy.local") as suite,
        ExitStack() as stack,
    ):
        await asyncio.to_thread(suite.wait_up)
        gateways = Gateways(suite)
        valkey = Valkey(root)
        stack.callback(valkey.stop)
        relays = [stack.enter_context(relaying(valkey.port)) for _ in range(2)]
        peers = [
            stack.enter_context(gateways.gateway(f"peer-{number}", workers=2, **_sections(relay)))
            for number, relay in enumerate(relays)
        ]
        for peer in peers:
            await _serving(gateways.through(peer))
        ledger = await _read(suite, gateways, peers, _faults(suite, valkey, relays, peers), options)
        with gateways.gateway("alone", workers=2) as alone:
            await _serving(gateways.through(alone))
            past = await _lateness(gateways.past(), gateways.through(alone), options.late)
            across = await _lateness(gateways.through(peers[0]), gateways.through(alone), options.late)
            written = await _timed([gateways.through(alone), gateways.through(peers[0])], options.timed)
    _print(ledger, past, across, written)


def _sections(relay: Relay) -> dict[str, Any]:
    servers = [{"host": "127.0.0.1", "port": relay.port}]
    return {"peers": _PEERS, "shared_cache": {"servers": servers, "timeout_s": 0.3}}


def _faults(
    suite: SuiteProcess, valkey: Valkey, relays: Sequence[Relay], peers: Sequence[OwnGateway]
) -> list[Callable[[], None]]:
    """What goes wrong, one after the other; each blocks until it is put right."""
    killer = Killer(suite)

    def replica(name: str) -> None:
        killer.wait_back(name, killer.kill(name))

    def stopped_valkey() -> None:
        valkey.pause()
        time.sleep(3.0)
        valkey.go_on()

    def cut(relay: Relay) -> None:
        relay.cut()
        time.sleep(5.0)
        relay.mend()

    def worker(peer: OwnGateway) -> None:
        os.kill(peer.workers()[0], signal.SIGKILL)  # as often as not the one that speaks for its gateway

    def stopped_gateway(peer: OwnGateway) -> None:
        pids = peer.workers()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(3.0)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)

    return [
        partial(replica, "customers-1"),
        valkey.restart,
        partial(worker, peers[0]),
        partial(cut, relays[0]),
        partial(replica, "customers-2"),
        stopped_valkey,
        partial(stopped_gateway, peers[1]),
        valkey.flush,
        partial(worker, peers[1]),
        partial(cut, relays[1]),
    ]


async def _read(
    suite: SuiteProcess,
    gateways: Gateways,
    peers: Sequence[OwnGateway],
    faults: Sequence[Callable[[], None]],
    options: argparse.Namespace,
) -> Ledger:
    ledger = Ledger()
    noise = asyncio.create_task(_change_past(ledger, gateways))
    async with load(
        ledger,
        gateways,
        *peers,
        writers=options.writers,
        readers=options.readers,
        pause_s=options.pause,
        seed=3,
    ):
        for number, fault in enumerate(faults, start=1):
            await _until(ledger, options.reads * number // (len(faults) + 1))
            await asyncio.to_thread(fault)
        await _until(ledger, options.reads)
    noise.cancel()
    await asyncio.gather(noise, return_exceptions=True)
    return ledger


async def _change_past(ledger: Ledger, gateways: Gateways) -> None:
    """Change records past the gateways, as an import does: they learn of it by asking, and by their feeds."""
    past = [gateways.past(replica) for replica in range(2)]
    ledger.started += 1
    record = (await past[0].ask("POST", ACCOUNTS, {"name": "Past"})).document
    number = 0
    try:
        while True:
            number += 1
            with suppress(NoAnswerError):
                await past[number % 2].ask("PATCH", f"{ACCOUNTS}/{record['id']}", {"name": f"Past {number}"})
            await asyncio.sleep(0.5)
    finally:
        for connection in past:
            connection.close()


async def _serving(connection: Connection) -> None:
    await serving(connection)
    connection.close()


async def _until(ledger: Ledger, reads: int) -> None:
    while ledger.reads.total() < reads:  # noqa: ASYNC110 - the readers wake nobody
        await asyncio.sleep(0.1)


async def _timed(callers: Sequence[Connection], count: int) -> list[list[float]]:
    """Milliseconds that one write after the other takes through each of these, in turns."""
    record = (await callers[0].ask("POST", ACCOUNTS, {"name": "Timed"})).document
    target, taken = f"{ACCOUNTS}/{record['id']}", [[0.0] for _ in callers]
    for number in range(count):
        for caller, own in zip(callers, taken, strict=True):
            began = time.perf_counter()
            await caller.ask("PATCH", target, {"name": f"Name {number}"})
            own.append(1e3 * (time.perf_counter() - began))
    for caller in callers:
        caller.close()
    return [own[1:] for own in taken]


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
    writer.close()
    reader.close()
    return late


def _print(
    ledger: Ledger, past: Sequence[float], across: Sequence[float], written: Sequence[Sequence[float]]
) -> None:
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
    for name, late in (("past_the_gateway", past), ("no_peer", across)):
        figures[f"late_ms_{name}_median"] = statistics.median(late)
        figures[f"late_ms_{name}_longest"] = max(late)
    for name, taken in zip(("alone", "with_peers"), written, strict=True):
        figures[f"write_ms_{name}_p50"] = statistics.median(taken)
        figures[f"write_ms_{name}_p99"] = statistics.quantiles(taken, n=100)[98]
    harness.finish("coherence", figures)


if __name__ == "__main__":
    harness.run(main)
