"""Hits of the gateway's cache against nginx, HAProxy and Varnish: requests per CPU-second, throughput, latency.

make bench BENCH=cache [ARGS="--quick --only ours,nginx --cases 1k,64k --connections 32"]

Needs wrk and nginx (Debian: wrk, nginx-light); haproxy and varnish take part when they are found.
"""

from dataclasses import replace
from typing import ClassVar

from tests.bench import harness
from tests.bench.gateway_peers.caches import STORABLE, find_caches
from tests.bench.gateway_peers.contest import Contest, Turn, command_line, hold, options_of
from tests.bench.gateway_peers.load import CASES
from tests.bench.gateway_peers.starters import Running
from tests.bench.gateway_peers.upstream import requests_seen

# So many targets, each asked for by three callers with other headers: hundreds of megabytes of 64 KiB.
_TARGETS = {"1k": 4096, "64k": 1024}
_CONNECTIONS = (32,)
_MOST_FETCHED = 0.005  # of a turn's requests: what is left of filling the cache
_CHECKS_PER_S = 20  # more than there are, and far fewer than hits
_ASKED_FOR = 3  # how often, see load.lua
_FILLING_S, _MOST_FILLING_S = 4, 64


async def main() -> None:
    """Start everyone, fill the caches, then let all take turns case by case."""
    cases = {
        name: (replace(CASES[name], targets=targets), _CONNECTIONS) for name, targets in _TARGETS.items()
    }
    starters = find_caches()
    parser = command_line(__doc__, starters, cases, seconds=2)
    options = options_of(parser, parser.parse_args(), starters, cases)
    await hold("cache", options, starters, Hits, STORABLE)


class Hits(Contest):
    """Whoever fetches anything after the caches are filled did not only hit."""

    kind: ClassVar[str] = "hit"

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
        counter = self._around.replicas[0]
        before = requests_seen(counter)
        turn = await super().turn(name, candidate)
        fetched = requests_seen(counter) - before - _CHECKS_PER_S * turn.seconds
        return turn, max(0.0, fetched) / turn.requests


if __name__ == "__main__":
    harness.run(main)
