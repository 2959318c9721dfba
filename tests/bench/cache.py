"""Hits of the gateway's cache against nginx, HAProxy and Varnish: requests per CPU-second, throughput, latency.

make bench BENCH=cache [ARGS="--quick --only ours,nginx --cases 1k,64k --connections 32"]

Needs wrk and nginx (Debian: wrk, nginx-light); haproxy and varnish take part when they are found.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.bench import harness
from tests.bench.gateway import Contest, Turn, present, this_task
from tests.bench.gateway_peers.caches import STORABLE, find_caches
from tests.bench.gateway_peers.load import CASES, Case, find_wrk
from tests.bench.gateway_peers.processes import choose_cores
from tests.bench.gateway_peers.starters import Running, Surroundings, make_keys
from tests.bench.gateway_peers.upstream import find_nginx, requests_seen, upstream

# So many targets, each asked for by three callers with other headers: hundreds of megabytes of 64 KiB.
_TARGETS = {"1k": 4096, "64k": 1024}
_MOST_FETCHED = 0.005  # of a turn's requests: what is left of filling the cache
_CHECKS_PER_S = 20  # more than there are, and far fewer than hits
_ASKED_FOR = 3  # how often, see load.lua
_FILLING_S, _MOST_FILLING_S = 4, 64


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    rounds: int
    seconds: int
    only: frozenset[str]
    cases: tuple[Case, ...]
    connections: tuple[int, ...]


def read_options(arguments: Sequence[str] | None = None) -> Options:
    """Exits with a sentence when there is no such candidate or case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="of each turn")
    parser.add_argument("--only", help="candidates, with commas: " + ",".join(find_caches()))
    parser.add_argument("--cases", default=",".join(_TARGETS), help="with commas")
    parser.add_argument("--connections", default="32", help="with commas")
    parser.add_argument("--quick", action="store_true", help="one round of a second")
    given = parser.parse_args(arguments)
    cases = given.cases.split(",")
    only = frozenset(given.only.split(",") if given.only else find_caches())
    if strangers := ({*cases} - _TARGETS.keys()) | (only - find_caches().keys()):
        parser.error(f"there is no {', '.join(sorted(strangers))}")
    return Options(
        rounds=1 if given.quick else given.rounds,
        seconds=1 if given.quick else given.seconds,
        only=only,
        cases=tuple(Case(name, CASES[name].answer_bytes, _TARGETS[name]) for name in cases),
        connections=tuple(map(int, given.connections.split(","))),
    )


async def main() -> None:
    """Start everyone, fill the caches, then let all take turns case by case."""
    options = read_options()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this_task().cancel)
    nginx, wrk = find_nginx(), find_wrk()
    if nginx is None or wrk is None:
        sys.exit("This benchmark needs wrk and nginx, its upstream (Debian: apt install nginx-light wrk).")
    cores = choose_cores()
    print(cores, flush=True)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        replicas = stack.enter_context(upstream(folder, nginx, cores.upstream, STORABLE))
        around = Surroundings(folder, replicas, make_keys(folder), cores)
        (folder / "keys.txt").write_text("\n".join(around.keys))
        starters = present(find_caches(), options.only)
        started = {name: stack.enter_context(starter(around)) for name, starter in starters.items()}
        figures: dict[str, float] = {}
        for case in options.cases:
            for connections in options.connections:
                contest = Hits(around, started, wrk, case, connections, options.seconds)
                figures |= await contest.run(options.rounds)
    harness.finish("cache", figures)


class Hits(Contest):
    """Whoever fetches anything after the caches are filled did not only hit."""

    def __init__(
        self,
        around: Surroundings,
        started: Mapping[str, Running],
        wrk: str,
        case: Case,
        connections: int,
        seconds: int,
    ) -> None:
        super().__init__(around, started, wrk, case, connections, seconds, "hit")
        self._started = started
        self._counter = around.replicas[0]

    async def run(self, rounds: int) -> dict[str, float]:
        """Fill the caches first."""
        for name, candidate in self._started.items():
            await self._fill(name, candidate)
        return await super().run(rounds)

    async def _fill(self, name: str, candidate: Running) -> None:
        """In turns that become longer until one gets through all that is asked for."""
        usual, self._seconds = self._seconds, _FILLING_S
        while self._seconds <= _MOST_FILLING_S:
            turn, share = await self._counted(name, candidate)
            if turn.requests >= self._case.targets * _ASKED_FOR and share <= _MOST_FETCHED:
                break
            self._seconds *= 2
        else:
            raise RuntimeError(f"{name} still fetches {share:.1%} of what it is asked for")
        self._seconds = usual

    async def turn(self, name: str, candidate: Running) -> Turn:
        """One turn of hits. Raises RuntimeError when there were others."""
        turn, share = await self._counted(name, candidate)
        if share > _MOST_FETCHED:
            raise RuntimeError(f"{name} fetched {share:.1%} of what it was asked for: these are no hits")
        return turn

    async def _counted(self, name: str, candidate: Running) -> tuple[Turn, float]:
        """A turn, and which share of its requests went on to the upstream."""
        before = requests_seen(self._counter)
        turn = await super().turn(name, candidate)
        fetched = requests_seen(self._counter) - before - _CHECKS_PER_S * turn.seconds
        return turn, max(0.0, fetched) / turn.requests


if __name__ == "__main__":
    harness.run(main)
