"""What every benchmark here shares: a load of its own, CPU accounting, interleaved rounds, one JSON line at the end.

Timings are noisy and machines differ, so a figure is a ratio: candidates take turns within each round, and the
median over the rounds of each round's ratio is what counts.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import cast

import psutil
import uvloop

ROOT = Path(__file__).parents[2]


@dataclass
class Sample:
    """One turn of one candidate. `cpu_s` is what the measured process burned meanwhile."""

    requests: int
    seconds: float
    cpu_s: float

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds

    @property
    def cpu_us(self) -> float:
        """CPU microseconds per request."""
        return self.cpu_s / self.requests * 1e6


@dataclass
class Candidate:
    """Something to measure: `turn` runs it once, in a steady state."""

    name: str
    turn: Callable[[], Awaitable[Sample]]
    samples: list[Sample] = field(default_factory=list)

    def median(self, what: str) -> float:
        """The median of one of the samples' properties."""
        return float(statistics.median(getattr(sample, what) for sample in self.samples))

    def spread(self) -> str:
        """Lowest and highest rate as shares of the median."""
        rates = [sample.rate for sample in self.samples]
        middle = statistics.median(rates)
        return f"{min(rates) / middle - 1:+.0%} {max(rates) / middle - 1:+.0%}"


async def interleave(candidates: Sequence[Candidate], rounds: int) -> None:
    """Rounds in which everyone takes a turn; the first round warms up and is thrown away."""
    for number in range(rounds + 1):
        for candidate in candidates:
            sample = await candidate.turn()
            if number:
                candidate.samples.append(sample)


def ratio(ours: Candidate, theirs: Candidate, what: str = "rate") -> float:
    """The median over the rounds of ours / theirs."""
    pairs = zip(ours.samples, theirs.samples, strict=True)
    return float(statistics.median(getattr(a, what) / getattr(b, what) for a, b in pairs))


def print_table(candidates: Sequence[Candidate]) -> None:
    """For people."""
    print(f"{'':34} {'req/s':>10} {'spread':>12} {'CPU µs/req':>11}")
    for candidate in candidates:
        rate, cpu = candidate.median("rate"), candidate.median("cpu_us")
        print(f"{candidate.name:34} {rate:10,.0f} {candidate.spread():>12} {cpu:11,.1f}")


def finish(bench: str, figures: Mapping[str, float]) -> None:
    """For programs: the last line."""
    print(json.dumps({"bench": bench, "figures": {name: round(value, 3) for name, value in figures.items()}}))


class _Client(asyncio.Protocol):
    """One keep-alive connection that sends the next request when an answer is complete."""

    def __init__(self, requests: Iterator[bytes], expected: int) -> None:
        self._requests = requests
        self._expected = b"HTTP/1.1 %d" % expected
        self._buffer = b""
        self._wanted = -1
        self._stopped = False
        self._transport: asyncio.Transport
        self.done = 0
        self.failed: str | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._stopped and self.failed is None:
            self.failed = f"the server closed the connection ({exc})"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class is no subclass
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        self._buffer = buffer = self._buffer + data if self._buffer else data
        if self._wanted < 0:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            if not buffer.startswith(self._expected):
                self.failed = buffer[:400].decode("latin-1")
                self._transport.close()
                return
            head = buffer[:end].lower()
            self._wanted = end + 4 + int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        if len(buffer) >= self._wanted:
            self._buffer, self._wanted = b"", -1
            self.done += 1
            self._transport.write(next(self._requests))

    def stop(self) -> None:
        """Ends in the middle of whatever runs."""
        self._stopped = True
        self._transport.close()


async def load(
    port: int,
    requests: Sequence[bytes],
    process: psutil.Process,
    *,
    connections: int = 32,
    seconds: float = 2.0,
    expected: int = 200,
) -> Sample:
    """Sends `requests` over and over on keep-alive connections to 127.0.0.1, bounded in time."""
    endless = cycle(requests)
    loop = asyncio.get_running_loop()
    clients = [_Client(endless, expected) for _ in range(connections)]
    cpu, started = _cpu(process), time.perf_counter()
    for client in clients:
        await loop.create_connection(partial(_itself, client), "127.0.0.1", port)
    await asyncio.sleep(seconds)
    done, elapsed, burned = sum(c.done for c in clients), time.perf_counter() - started, _cpu(process) - cpu
    for client in clients:
        client.stop()
    failed = next((client.failed for client in clients if client.failed), None)
    if failed is not None:
        raise RuntimeError(f"an answer was not {expected}: {failed}")
    await asyncio.sleep(0.05)
    return Sample(done, elapsed, burned)


def _itself(client: _Client) -> _Client:
    return client


def get(path: str, headers: Mapping[str, str]) -> bytes:
    """The bytes of a GET."""
    lines = [f"GET {path} HTTP/1.1", "Host: bench", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _cpu(process: psutil.Process) -> float:
    """User and system seconds of a process and its children."""
    family = [process, *process.children(recursive=True)]
    return float(sum(sum(member.cpu_times()[:2]) for member in family))


@contextmanager
def served(
    arguments: Sequence[str], environment: Mapping[str, str], port: int, ready: str
) -> Iterator[psutil.Process]:
    """A server in a process of its own, from its first good answer on `ready` until the end of the block."""
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.DEVNULL
    )
    try:
        _wait_until_ready(f"http://127.0.0.1:{port}{ready}", process)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(20)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError(f"{url}: the server ended with {process.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 (our own server on 127.0.0.1)
                if answer.status == 200:
                    return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    raise RuntimeError(f"{url}: not ready after 30 s")


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Runs a benchmark on uvloop, so that the client is not what is measured."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_as_coroutine(main))


async def _as_coroutine(main: Callable[[], Awaitable[None]]) -> None:
    await main()
