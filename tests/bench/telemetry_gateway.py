"""What telling where the time goes costs the gateway: the same requests by gateways that differ in nothing else.

Processes of their own, pinned where that can be, take turns of a few seconds under wrk. CPU time is that of all their
threads, by the scheduler's own count, so that the exporting thread's work is in it.
"""

import asyncio
import os
import statistics
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from deploy.local.ports import free_port
from tests.bench import harness
from tests.bench.gateway_peers.load import CASES, find_wrk, put_load
from tests.bench.gateway_peers.processes import Cores, choose_cores, running
from tests.bench.harness import Candidate, Sample
from tests.bench.timed_gateway import OFF, TIMING

CONNECTIONS = 16
TOLD = "timing, counted, logged"
_KEYS = 8


@dataclass
class Turn(Sample):
    """One turn of one gateway."""

    p99_us: float
    rss: int


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every gateway is started with."""

    folder: Path
    cores: Cores
    wrk: str
    replica: int


async def bench_gateway(folder: Path, endpoint: str, rounds: int, seconds: int) -> dict[str, float]:
    """CPU and requests/s of every form; `endpoint` is a collector's. Empty without wrk."""
    wrk = find_wrk()
    if wrk is None:
        print("The gateway's hop is left out: it needs wrk (Debian: wrk).")
        return {}
    with ExitStack() as stack:
        around = _surroundings(stack, folder, wrk)
        forms = {
            OFF: None,
            TIMING: None,
            TOLD: None,
            "1% recorded": 0.01,
            "10% recorded": 0.1,
            "100% recorded": 1.0,
        }
        candidates = [
            stack.enter_context(
                _candidate(around, name, seconds, endpoint if share is not None else None, share or 0.0)
            )
            for name, share in forms.items()
        ]
        await harness.interleave(candidates, rounds)
    return _print(candidates)


async def bench_collector_down(folder: Path, endpoint: str, rounds: int, seconds: int) -> dict[str, float]:
    """One gateway with a collector and one whose collector is away all the while. Empty without wrk."""
    wrk = find_wrk()
    if wrk is None:
        return {}
    with ExitStack() as stack:
        around = _surroundings(stack, folder, wrk)
        nobody = f"http://127.0.0.1:{free_port()}"
        up = stack.enter_context(_candidate(around, "collector up", seconds, endpoint, 1.0))
        down = stack.enter_context(_candidate(around, "collector down", seconds, nobody, 1.0))
        await harness.interleave([up, down], rounds)
    harness.print_table([up, down])
    rss = [turn.rss / 2**20 for turn in down.samples if isinstance(turn, Turn)]
    print(f"resident memory without a collector: {rss[0]:.0f} MiB after a turn, {rss[-1]:.0f} after {rounds}")
    return {
        "down_p99_ratio": harness.ratio(down, up, "p99_us"),
        "down_cpu_ratio": harness.ratio(down, up, "cpu_us"),
        "down_rss_growth_mib": rss[-1] - rss[len(rss) // 2],
    }


def _surroundings(stack: ExitStack, folder: Path, wrk: str) -> Surroundings:
    cores, port = choose_cores(), free_port()
    (folder / "keys.txt").write_text("\n".join(f"key-{number}" for number in range(_KEYS)))
    stack.enter_context(
        running(
            [sys.executable, "-m", "tests.bench.timed_replica", str(port)],
            folder / "replica.txt",
            core=cores.upstream,
            question=urllib.request.Request(f"http://127.0.0.1:{port}/"),
        )
    )
    return Surroundings(folder, cores, wrk, port)


@contextmanager
def _candidate(
    around: Surroundings, form: str, seconds: int, endpoint: str | None, share: float
) -> Iterator[Candidate]:
    port, log = free_port(), around.folder / f"{form}.log"
    environment = {"OTEL_TRACES_SAMPLER_ARG": str(share)}
    if endpoint is not None:
        environment["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = f"{endpoint}/v1/traces"
    with running(
        [sys.executable, "-m", "tests.bench.timed_gateway", form, str(port), str(around.replica)],
        log,
        core=around.cores.candidate,
        question=urllib.request.Request(f"http://127.0.0.1:{port}/v1/ready"),
        environment=environment,
    ) as process:
        yield Candidate(form, partial(_turn, around, process, port, seconds, log))


async def _turn(around: Surroundings, process: psutil.Process, port: int, seconds: int, log: Path) -> Turn:
    before = _cpu_s(process)
    outcome = await put_load(
        around.wrk,
        port,
        CASES["1k"],
        keys_file=around.folder / "keys.txt",
        connections=CONNECTIONS,
        seconds=seconds,
        core=around.cores.load,
    )
    await asyncio.sleep(1.2)  # the last batch goes within a second, and is this turn's
    burned = _cpu_s(process) - before
    os.truncate(log, 0)
    rss = process.memory_info().rss
    return Turn(outcome.requests, outcome.seconds, burned, outcome.p99_us, rss)


def _cpu_s(process: psutil.Process) -> float:
    """Of all threads, in the scheduler's nanoseconds; `times` counts in hundredths of a second."""
    tasks = Path(f"/proc/{process.pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def _print(candidates: Sequence[Candidate]) -> dict[str, float]:
    off = candidates[0]
    figures: dict[str, float] = {}
    print(f"{'gateway':26}{'CPU µs':>9}{'added':>8}{'req/s / off':>13}{'CPU / off':>11}")
    for one in candidates:
        pairs = zip(one.samples, off.samples, strict=True)
        added = statistics.median(ours.cpu_us - theirs.cpu_us for ours, theirs in pairs)
        rate, cpu = harness.ratio(one, off), harness.ratio(one, off, "cpu_us")
        print(f"{one.name:26}{one.median('cpu_us'):9.1f}{added:8.1f}{rate:13.2f}{cpu:11.2f}")
        key = one.name.replace(", ", "_").replace(" ", "_").replace("%", "")
        figures |= {
            f"gateway_added_us_{key}": added,
            f"gateway_cpu_ratio_{key}": cpu,
            f"gateway_rate_{key}": rate,
        }
    return figures
