"""The balancing policies on real sockets and clocks, in the simulator's worlds.

    make bench BENCH=balancing_live ARGS="--fleets slow_pair degrading --replicas 4 --load 0.5 --rounds 3"

Each policy takes its turn in each round, with a gateway and replicas started for it alone; all see the same arrivals
(Poisson), the same service times (lognormal, 10 ms on average, spent asleep) and the same slowness of the same
replicas. Retries, hedging, ejection, circuit breakers and the concurrency limit are off: it is the policies that are
compared. A request that fails counts as the client's timeout of 1 s. Beside it, what the simulator says of that world.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from deploy.local.ports import free_port
from tests.bench.harness import finish, run, served
from tests.bench.live_fleet.load import Load
from tests.simulation.contestants import OURS
from tests.simulation.simulator import simulate
from tests.simulation.world import MS, SECOND, Scenario, build

POLICIES = ("adaptive", "round_robin", "least_requests", "peak_ewma")


@dataclass
class Seen:
    """What one policy's requests have seen, all rounds together: latencies in nanoseconds, sorted when asked."""

    latencies: list[int] = field(default_factory=list)
    errors: int = 0
    p99s: list[float] = field(default_factory=list)  # of each round

    def add(self, latencies: Sequence[int], timeout_ns: int) -> None:
        """One round's."""
        self.errors += sum(not one for one in latencies)
        counted = [one or timeout_ns for one in latencies]
        self.latencies += counted
        self.p99s.append(quantile(counted, 0.99))

    @property
    def error_share(self) -> float:
        return self.errors / len(self.latencies)


def quantile(values: Sequence[int], share: float) -> float:
    """In milliseconds."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] / MS


def document(policy: str, ports: Sequence[int], scenario: Scenario) -> dict[str, object]:
    """The gateway's document: nothing but the policy decides."""
    route = {"name": "all", "prefix": "/", "upstream": "fleet", "timeout_s": scenario.timeout_ns / SECOND}
    ejection = dict.fromkeys(
        (
            "consecutive_gateway_errors",
            "consecutive_server_errors",
            "success_rate_stdev_factor",
            "latency_factor",
        ),
        0,
    )
    upstream = {
        "replicas": [{"host": "127.0.0.1", "port": port} for port in ports],
        "policy": policy,
        "retries": {"max_retries": 0},
        "hedging": False,
        "concurrency": False,
        "ejection": ejection,
        "breaker": {"min_attempts": 1_000_000},
        "health": {"unhealthy_after": 100},
    }
    return {
        "workers": 1,
        "auth": {"mode": "none"},
        "rate_limit": {"enabled": False},
        "limits": {"connections_per_client": 10_000},
        "routes": [route],
        "upstreams": {"fleet": upstream},
    }


@contextmanager
def house(policy: str, scenario: Scenario) -> Iterator[int]:
    """A gateway and its replicas, started for this turn; gives the gateway's port."""
    with ExitStack() as stack:
        ports = [free_port() for _ in range(scenario.replicas)]
        for index, port in enumerate(ports):
            arguments = ["-m", "tests.bench.live_fleet.replica", str(port), str(index)]
            stack.enter_context(served([*arguments, json.dumps(asdict(scenario))], {}, port, "/readyz"))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "gateway.yaml").write_text(json.dumps(document(policy, ports, scenario)))
        port = free_port()
        environment = {"GATEWAY_PORT": str(port), "GATEWAY_CONFIG_FILE": str(folder / "gateway.yaml")}
        stack.enter_context(served(["-m", "services.gateway"], environment, port, "/readyz"))
        for replica in ports:
            urllib.request.urlopen(f"http://127.0.0.1:{replica}/begin", timeout=5).close()
        yield port


async def turn(policy: str, scenario: Scenario) -> Load:
    """One policy in one world, cold."""
    with house(policy, scenario) as port:
        await asyncio.sleep(0.3)  # until all replicas are known to be healthy
        load = Load(build(scenario), port)
        await load.run(patience_s=3 * scenario.timeout_ns / SECOND)
        return load


async def compare(scenario: Scenario, policies: Sequence[str], rounds: int) -> dict[str, Seen]:
    """All policies in one world after the other."""
    seen = {policy: Seen() for policy in policies}
    for number in range(rounds):
        world = Scenario(**{**asdict(scenario), "seed": scenario.seed + number})
        for policy in policies:
            load = await turn(policy, world)
            seen[policy].add(load.latency_ns[world.first_measured :], world.timeout_ns)
            if load.lag_ns > 50 * MS:
                print(f"  ({policy}: the load was up to {load.lag_ns / MS:.0f} ms late: the machine is busy)")
    return seen


def simulated(scenario: Scenario, policy: str, rounds: int) -> tuple[float, float, float]:
    """p50 and p99 in milliseconds and the errors' share, medians over the rounds' worlds, in virtual time."""
    results = [
        simulate(Scenario(**{**asdict(scenario), "seed": scenario.seed + number}), OURS[policy])
        for number in range(rounds)
    ]
    return (
        statistics.median(one.p50 / MS for one in results),
        statistics.median(one.p99 / MS for one in results),
        statistics.median(one.errors for one in results),
    )


def print_table(scenario: Scenario, seen: dict[str, Seen], rounds: int) -> None:
    """For people."""
    print(f"\n{scenario.fleet}, {scenario.replicas} replicas, {scenario.load} x capacity: ms")
    print(
        f"{'':22}{'p50':>8}{'p99':>9}{'p99.9':>9}{'errors':>9}{'simulator: p50':>17}{'p99':>9}{'errors':>9}"
    )
    for policy, one in seen.items():
        p50, p99, p999 = (quantile(one.latencies, share) for share in (0.5, 0.99, 0.999))
        virtual = simulated(scenario, policy, rounds)
        print(
            f"  {policy:20}{p50:8.1f}{p99:9.1f}{p999:9.1f}{one.error_share:9.2%}"
            f"{virtual[0]:17.1f}{virtual[1]:9.1f}{virtual[2]:9.2%}"
        )


async def main(options: argparse.Namespace) -> None:
    """Compares, prints, and tells how round robin does against adaptive."""
    figures: dict[str, float] = {}
    for fleet in options.fleets:
        for replicas in options.replicas:
            scenario = Scenario(fleet, replicas, options.load, requests=options.requests)
            seen = await compare(scenario, options.policies, options.rounds)
            print_table(scenario, seen, options.rounds)
            for policy in options.policies:
                if policy != "adaptive" and "adaptive" in seen:
                    ratios = zip(seen[policy].p99s, seen["adaptive"].p99s, strict=True)
                    name = f"p99_{fleet}_{replicas}_{policy}_vs_adaptive"
                    figures[name] = statistics.median(theirs / ours for theirs, ours in ratios)
    finish("balancing_live", figures)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    fleets = ("equal", "slow_pair", "degrading", "antagonists", "failing")
    parser.add_argument("--fleets", nargs="+", default=("slow_pair", "degrading"), choices=fleets)
    parser.add_argument("--replicas", nargs="+", type=int, default=(4,))
    parser.add_argument("--policies", nargs="+", default=POLICIES, choices=tuple(OURS))
    parser.add_argument("--load", type=float, default=0.5, help="of the capacity")
    parser.add_argument(
        "--requests", type=int, default=6000, help="per turn; the first 40 %% are not measured"
    )
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    run(lambda: main(arguments))
