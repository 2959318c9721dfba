"""Candidates in front of the same upstream take turns under the same load: command line, rounds, table, figures."""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from tests.bench import harness
from tests.bench.gateway_peers.load import Case, find_wrk, put_load
from tests.bench.gateway_peers.processes import choose_cores, cpu_time
from tests.bench.gateway_peers.starters import Running, Starter, Surroundings, make_keys
from tests.bench.gateway_peers.upstream import find_nginx, upstream
from tests.bench.harness import Candidate, Sample

_QUICK_CONNECTIONS = (32,)


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says; `plan` are cases, each with a number of connections."""

    rounds: int
    seconds: int
    only: frozenset[str]
    plan: tuple[tuple[Case, int], ...]


def command_line(
    description: str | None, candidates: Iterable[str], cases: Iterable[str], *, seconds: int
) -> argparse.ArgumentParser:
    """The options that all contests have."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=seconds, help="of each turn")
    parser.add_argument("--only", help="candidates, with commas: " + ",".join(candidates))
    parser.add_argument("--cases", help="with commas: " + ",".join(cases))
    parser.add_argument("--connections", help="with commas, for all cases")
    parser.add_argument("--quick", action="store_true", help="one round of a second, 32 connections")
    return parser


def options_of(
    parser: argparse.ArgumentParser,
    given: argparse.Namespace,
    candidates: Iterable[str],
    cases: Mapping[str, tuple[Case, Sequence[int]]],
) -> Options:
    """What was given; each case comes with the numbers of connections that it usually has.

    Exits with a sentence when there is no such candidate or case.
    """
    known = frozenset(candidates)
    only = frozenset(given.only.split(",")) if given.only else known
    chosen = given.cases.split(",") if given.cases else list(cases)
    if strangers := ({*chosen} - cases.keys()) | (only - known):
        parser.error(f"there is no {', '.join(sorted(strangers))}")
    told = [int(number) for number in given.connections.split(",")] if given.connections else None
    plan = [
        (case, number)
        for case, usual in (cases[name] for name in chosen)
        for number in told or (_QUICK_CONNECTIONS if given.quick else usual)
    ]
    return Options(
        rounds=1 if given.quick else given.rounds,
        seconds=1 if given.quick else given.seconds,
        only=only,
        plan=tuple(plan),
    )


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


class Contest:
    """One case at one number of connections, everyone in turn. `kind` is what its figures' names begin with."""

    kind: ClassVar[str] = "proxy"

    def __init__(
        self,
        around: Surroundings,
        started: Mapping[str, Running],
        wrk: str,
        case: Case,
        connections: int,
        seconds: int,
    ) -> None:
        self._title = f"{self.kind}_{case.name}_c{connections}"
        self._around = around
        self._started = started
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


async def hold(
    bench: str,
    options: Options,
    starters: Mapping[str, Starter | None],
    contest: type[Contest],
    about: Sequence[str] = (),
) -> None:
    """Start everyone, let them take turns case by case, print the figures.

    `about` are header lines of the upstream's answers. Exits with a sentence without wrk or nginx.
    """
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)  # so that everyone is stopped
    nginx, wrk = find_nginx(), find_wrk()
    if nginx is None or wrk is None:
        sys.exit("This benchmark needs wrk and nginx, its upstream (Debian: apt install nginx-light wrk).")
    cores = choose_cores()
    print(cores, flush=True)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        replicas = stack.enter_context(upstream(folder, nginx, cores.upstream, about))
        around = Surroundings(folder, replicas, make_keys(folder), cores)
        (folder / "keys.txt").write_text("\n".join(around.keys))
        present = _present(starters, options.only)
        started = {name: stack.enter_context(starter(around)) for name, starter in present.items()}
        figures: dict[str, float] = {}
        for case, connections in options.plan:
            held = contest(around, started, wrk, case, connections, options.seconds)
            figures |= await held.run(options.rounds)
    harness.finish(bench, figures)


def _present(starters: Mapping[str, Starter | None], only: frozenset[str]) -> dict[str, Starter]:
    """Those that shall take part and can."""
    found = {}
    for name, starter in starters.items():
        if name in only and starter is None:
            print(f"{name} is not on this machine and is left out.")
        elif name in only and starter is not None:
            found[name] = starter
    return found


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
