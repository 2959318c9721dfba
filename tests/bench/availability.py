"""What callers notice while the suite's processes are killed in turn: failed reads, silence, lost writes.

make bench BENCH=availability [ARGS="--rate 50 --seconds 3 --accounts 1000 --only customers-1,postgres"]
"""

import argparse
import asyncio
import itertools
import json
import os
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2

from deploy.local.topology import REPLICAS, SERVICES
from tests.bench import harness
from tests.deploy.suite_process import SuiteProcess, eventually, processes_of, running_suite

REPLICA_NAMES = [f"{service}-{number}" for service in SERVICES for number in range(1, REPLICAS + 1)]
WORKER_NAMES = [f"{service}-worker" for service in SERVICES]
# The gateway is a parent and the worker that serves; both are killed, each in its turn.
GATEWAY_WORKER = "gateway-worker"
VICTIMS = [*REPLICA_NAMES, *WORKER_NAMES, "postgres", GATEWAY_WORKER, "gateway"]
_BULK = 200  # items of one call
_PAGE = 200
_TIMEOUT_S = 10.0
_PAUSE_S = 0.02  # between a client's repetitions of one write
_PROBED_S = 1.0  # the gateway looks at each replica every half second
# What a caller may repeat: the gateway or a service says that it could not, or nobody said anything.
_REPEATABLE = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Answered:
    """A read as it ended; instants of the monotonic clock in seconds, `failure` empty for a good answer."""

    sent: float
    ended: float
    failure: str


@dataclass
class Toll:
    """What one death cost the readers. `longest_gap_s` runs from good answer to good answer."""

    victim: str
    requests: int
    failed: int
    longest_gap_s: float
    failures: Counter[str] = field(default_factory=Counter)


class Caller:
    """A caller of the gateway with the demo workspace's key."""

    def __init__(self, suite: SuiteProcess) -> None:
        key = json.loads((suite.data / "secrets" / "demo.json").read_text())["api_key"]
        self._client = httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{suite.port}",
            headers={"Authorization": f"Bearer {key}"},
            timeout=_TIMEOUT_S,
            trust_env=False,
        )
        self.ids: list[str] = []
        self.acknowledged: list[str] = []
        self.repetitions = 0

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def fill(self, count: int) -> None:
        """Make `count` accounts, and know their ids."""
        for first in range(0, count, _BULK):
            names = [f"Filled {number}" for number in range(first, min(first + _BULK, count))]
            items = [{"action": "create", "body": {"name": name}} for name in names]
            answer = await self._client.post("/v1/accounts/bulk", json={"items": items, "all_or_none": True})
            answer.raise_for_status()
        self.ids = [account["id"] async for account in self.accounts()]

    async def clear(self) -> None:
        """Delete all accounts."""
        items = [{"action": "delete", "id": account["id"]} async for account in self.accounts()]
        for first in range(0, len(items), _BULK):
            answer = await self._client.post(
                "/v1/accounts/bulk", json={"items": items[first : first + _BULK]}
            )
            answer.raise_for_status()

    async def accounts(self) -> AsyncIterator[dict[str, Any]]:
        """All accounts, page by page."""
        cursor = None
        while True:
            page = {"limit": str(_PAGE), **({"cursor": cursor} if cursor else {})}
            answer = (await self._client.get("/v1/accounts", params=page)).raise_for_status().json()
            for account in answer["data"]:
                yield account
            cursor = answer.get("next_cursor")
            if not answer["has_more"]:
                return

    def addresses(self) -> Iterator[str]:
        """Reads without end: accounts by id, and a list of every service."""
        lists = ["/v1/accounts?limit=50", "/v1/tickets?limit=50", "/v1/deals?limit=50"]
        for account, several in zip(itertools.cycle(self.ids), itertools.cycle(lists), strict=False):
            yield f"/v1/accounts/{account}"
            yield several

    async def read(self, address: str) -> Answered:
        """One read, not repeated."""
        sent = time.monotonic()
        failure = ""
        try:
            answer = await self._client.get(address)
            if answer.status_code != 200:
                failure = f"{answer.status_code} {answer.json().get('code')}"
        except httpx2.TransportError as error:
            failure = type(error).__name__
        return Answered(sent, time.monotonic(), failure)

    async def write_until(self, stop: asyncio.Event, interval_s: float) -> None:
        """Make accounts one after the other, each repeated under its key until it is acknowledged."""
        while not stop.is_set():
            name = f"Written {uuid4()}"
            while not await self._written(name):
                self.repetitions += 1
                await asyncio.sleep(_PAUSE_S)
            self.acknowledged.append(name)
            await asyncio.sleep(interval_s)

    async def _written(self, name: str) -> bool:
        try:
            answer = await self._client.post(
                "/v1/accounts", json={"name": name}, headers={"Idempotency-Key": name.rpartition(" ")[2]}
            )
        except httpx2.TransportError:
            return False
        # In flight: the first attempt lost its connection to us or to the gateway, and still runs.
        if answer.status_code in _REPEATABLE or answer.json().get("code") == "request_in_flight":
            return False
        answer.raise_for_status()
        return True

    async def lost_and_doubled(self) -> tuple[int, int]:
        """How many acknowledged writes are not there, and how many are there more than once."""
        seen = Counter([account["name"] async for account in self.accounts()])
        counts = [seen[name] for name in self.acknowledged]
        return counts.count(0), sum(count > 1 for count in counts)


class Killer:
    """Finds the suite's processes by name, kills them, and waits until they are back."""

    def __init__(self, suite: SuiteProcess) -> None:
        self._data = suite.data
        self._port = suite.port

    def find(self, name: str) -> int | None:
        """The process id, None while there is no such process."""
        if name == "postgres":
            return self._postmaster()
        instance = f"_INSTANCE={'gateway-1' if name in ('gateway', GATEWAY_WORKER) else name}".encode()
        for pid in processes_of(self._data):
            try:
                environment = Path("/proc", str(pid), "environ").read_bytes().split(b"\0")
                serves = b"control.worker" in Path("/proc", str(pid), "cmdline").read_bytes()
            except OSError:
                continue  # it ended in this moment
            if any(one.endswith(instance) for one in environment) and serves == (name == GATEWAY_WORKER):
                return pid
        return None

    def kill(self, name: str) -> int:
        """Kill it as `kill -9` does; its former process id."""
        pid = self.find(name)
        if pid is None:
            raise RuntimeError(f"{name} does not run")
        os.kill(pid, signal.SIGKILL)
        return pid

    def wait_back(self, name: str, former: int) -> None:
        """Until there is another process and everything can serve again. Blocks."""
        eventually(lambda: self.find(name) not in (None, former), f"another {name}")
        for process in (*REPLICA_NAMES, "gateway"):
            eventually(partial(self._is_ready, process), f"{process} to be ready")

    def _is_ready(self, name: str) -> bool:
        pid = self.find(name)
        if pid is None:
            return False
        try:
            environment = Path("/proc", str(pid), "environ").read_bytes().split(b"\0")
            prefix = name.partition("-")[0].upper()
            port = next(v for v in environment if v.startswith(f"{prefix}_PORT=".encode())).partition(b"=")[2]
            return httpx2.get(f"http://127.0.0.1:{int(port)}/readyz", trust_env=False).status_code == 200
        except (OSError, httpx2.TransportError):
            return False

    def _postmaster(self) -> int | None:
        for file in self._data.glob("postgres/**/postmaster.pid"):
            lines = file.read_text().splitlines()
            if lines and Path("/proc", lines[0]).exists():
                return int(lines[0])
        return None


async def read_steadily(caller: Caller, rate: float, until: Callable[[], bool]) -> list[Answered]:
    """Reads at `rate` per second, whether or not earlier ones were answered, until told to stop."""
    loop = asyncio.get_running_loop()
    addresses, due = caller.addresses(), loop.time()
    reads: list[asyncio.Task[Answered]] = []
    while not until():
        reads.append(asyncio.create_task(caller.read(next(addresses))))
        due += 1 / rate
        await asyncio.sleep(max(0.0, due - loop.time()))
    return await asyncio.gather(*reads)


async def toll_of(victim: str, caller: Caller, killer: Killer, rate: float, seconds: float) -> Toll:
    """Kill the victim under reads, and read on for `seconds` and until everything is back."""
    former = await asyncio.to_thread(killer.kill, victim)
    ends = time.monotonic() + seconds
    back: asyncio.Future[None] = asyncio.ensure_future(asyncio.to_thread(killer.wait_back, victim, former))

    def over() -> bool:
        nonlocal ends
        if not back.done():
            ends = max(ends, time.monotonic() + _PROBED_S)
        return time.monotonic() >= ends

    reads = await read_steadily(caller, rate, over)
    back.result()
    return _toll(victim, reads)


def _toll(victim: str, reads: Sequence[Answered]) -> Toll:
    good = sorted(read.ended for read in reads if not read.failure)
    edges = [min(read.sent for read in reads), *good, max(good, default=max(read.ended for read in reads))]
    failures = Counter(read.failure for read in reads if read.failure)
    gap = max(later - earlier for earlier, later in itertools.pairwise(edges))
    return Toll(victim, len(reads), failures.total(), gap, failures)


@asynccontextmanager
async def writing(caller: Caller, writers: int, interval_s: float) -> AsyncIterator[None]:
    """Writers beside the block; each finishes the write it is at."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(writers):
            group.create_task(caller.write_until(stop, interval_s))
        try:
            yield
        finally:
            stop.set()


async def main() -> None:
    """Starts the suite, fills it, kills one process after the other, and counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=50.0, help="reads per second")
    parser.add_argument("--seconds", type=float, default=3.0, help="at least this long between two kills")
    parser.add_argument("--accounts", type=int, default=1_000)
    parser.add_argument("--only", type=lambda text: text.split(","), default=VICTIMS)
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="kontor-bench-"))
    # Root's server runs as another account and has to get in.
    await asyncio.to_thread(root.chmod, 0o755)
    try:
        with running_suite(root / "data", root / "state", "--no-demo", module="deploy.local") as suite:
            await asyncio.to_thread(suite.wait_up)
            await _bench(suite, options)
    finally:
        shutil.rmtree(root)


async def _bench(suite: SuiteProcess, options: argparse.Namespace) -> None:
    caller, killer = Caller(suite), Killer(suite)
    try:
        await caller.fill(options.accounts)
        calm_ends = time.monotonic() + options.seconds
        calm = await read_steadily(caller, options.rate, lambda: time.monotonic() >= calm_ends)
        tolls = [_toll("(nobody)", calm)]
        for victim in options.only:
            tolls.append(await toll_of(victim, caller, killer, options.rate, options.seconds))
        async with writing(caller, writers=4, interval_s=0.05):
            for victim in [
                name
                for name in ("customers-1", "postgres", GATEWAY_WORKER, "gateway")
                if name in options.only
            ]:
                former = await asyncio.to_thread(killer.kill, victim)
                await asyncio.to_thread(killer.wait_back, victim, former)
                await asyncio.sleep(_PROBED_S)
        lost, doubled = await caller.lost_and_doubled()
    finally:
        await caller.aclose()
    _print(tolls)
    acknowledged = len(caller.acknowledged)
    print(
        f"{acknowledged} acknowledged writes, {caller.repetitions} repetitions: {lost} lost, {doubled} doubled"
    )
    harness.finish("availability", _figures(tolls, lost, doubled))


def _print(tolls: Sequence[Toll]) -> None:
    print(f"{'killed':18} {'requests':>9} {'failed':>7} {'longest gap s':>14}")
    for toll in tolls:
        failures = ", ".join(f"{count} of {what}" for what, count in toll.failures.most_common())
        print(f"{toll.victim:18} {toll.requests:9} {toll.failed:7} {toll.longest_gap_s:14.3f}  {failures}")


def _figures(tolls: Sequence[Toll], lost: int, doubled: int) -> dict[str, float]:
    by_name = {toll.victim: toll for toll in tolls}
    figures: dict[str, float] = {
        "lost_acknowledged_writes": lost,
        "doubled_writes": doubled,
        "failed_requests_replicas": sum(by_name[name].failed for name in REPLICA_NAMES if name in by_name),
        "failed_requests_workers": sum(by_name[name].failed for name in WORKER_NAMES if name in by_name),
    }
    for name in ("postgres", GATEWAY_WORKER, "gateway"):
        if name in by_name:
            figures[f"failed_requests_{name}"] = by_name[name].failed
            figures[f"unavailable_s_{name}"] = by_name[name].longest_gap_s
    return figures


if __name__ == "__main__":
    harness.run(main)
