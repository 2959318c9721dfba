"""The balancing policies and their peers in the simulator: one table, reproducible to the bit.

    make bench BENCH=balancing ARGS="--fleets slow_pair --replicas 4 --loads 0.7 --gateways 1"

Virtual time: the machine's speed changes how long this takes and nothing else. A failed request counts as the client's
timeout, so that nobody gains by failing fast. Above capacity, where that hides everything else, what is compared is the
work that was lost: of a few thousand requests the share that fails depends more on whether large or small ones were
served than on the policy. All queues are full there before anything is measured. Figures are means over the seeds.
"""

import argparse
import math
import os
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import groupby, product

from tests.bench.harness import finish
from tests.simulation.contestants import EVERYONE
from tests.simulation.simulator import Result, simulate
from tests.simulation.world import MS, Scenario

FLEETS = ("equal", "slow_pair", "degrading", "antagonists")
REPLICAS = (4, 16, 100)
LOADS = (0.5, 0.7, 0.9, 1.1, 1.3, 1.7)
GATEWAYS = (1, 4)
TOLERANCE = 1.05
LOST_TOLERANCE = 0.005

Run = tuple[Scenario, str]
Seeds = Sequence[Result]
Table = Mapping[Scenario, Mapping[str, Result]]


def scenarios(options: argparse.Namespace) -> list[Scenario]:
    """The cells of the table."""
    return [
        Scenario(
            fleet,
            replicas,
            load,
            requests=int(options.scale * (25_000 + 750 * replicas)),
            gateways=gateways,
            service=options.service,
            limits=options.limits,
        ).begun()
        for gateways, fleet, replicas, load in product(
            options.gateways, options.fleets, options.replicas, options.loads
        )
    ]


def run(pair: Run) -> tuple[Run, Result]:
    """One cell, in a process of its own."""
    scenario, name = pair
    return pair, simulate(scenario, EVERYONE[name])


def simulate_all(cells: Sequence[Scenario], names: Sequence[str], seeds: Sequence[int], jobs: int) -> Table:
    """Everyone in every cell, with every seed."""
    pairs = [(replace(cell, seed=seed), name) for cell in cells for name in names for seed in seeds]
    with ProcessPoolExecutor(jobs) as pool:
        results = list(pool.map(run, pairs, chunksize=len(seeds)))
    found: dict[Scenario, dict[str, Result]] = {}
    for (cell, name), group in groupby(results, key=lambda one: (replace(one[0][0], seed=1), one[0][1])):
        found.setdefault(cell, {})[name] = mean([result for _, result in group])
    return found


def mean(results: Seeds) -> Result:
    """Of the same cell with several seeds."""
    return replace(
        results[0],
        p50=int(statistics.mean(one.p50 for one in results)),
        p99=int(statistics.mean(one.p99 for one in results)),
        p999=int(statistics.mean(one.p999 for one in results)),
        errors=statistics.mean(one.errors for one in results),
        lost=statistics.mean(one.lost for one in results),
        answered_p50=int(statistics.mean(one.answered_p50 for one in results)),
        answered_p99=int(statistics.mean(one.answered_p99 for one in results)),
    )


def print_table(table: Table) -> None:
    """For people: latencies in ms, a star on what is within 5 % of the best p99; answered: of those that were."""
    for cell, results in table.items():
        print(
            f"\n{cell.fleet}, {cell.replicas} replicas, {cell.load:.1f} x capacity, {cell.gateways} gateway(s)"
            f"\n{'':24}{'p50':>9}{'p99':>9} {'p99.9':>9}{'answered':>10}{'p99':>9}{'errors':>9}{'lost':>9}"
        )
        for name, result in results.items():
            star = "*" if ratio(results, name) <= TOLERANCE else " "
            print(
                f"  {name:22}{result.p50 / MS:9.1f}{result.p99 / MS:9.1f}{star}{result.p999 / MS:9.1f}"
                f"{result.answered_p50 / MS:10.1f}{result.answered_p99 / MS:9.1f}"
                f"{result.errors:9.2%}{result.lost:9.2%}"
            )


def ratio(results: Mapping[str, Result], name: str) -> float:
    """p99 against the best of all others."""
    others = (result.p99 for other, result in results.items() if other != name)
    return results[name].p99 / min(others, default=results[name].p99)


def geometric_mean(values: Iterable[float]) -> float:
    """As it should be with ratios."""
    logarithms = [math.log(value) for value in values]
    return math.exp(sum(logarithms) / len(logarithms)) if logarithms else 1.0


def figures(table: Table, gateways: int) -> dict[str, float]:
    """What we hold ourselves to, for one number of gateways."""
    cells = [cell for cell in table if cell.gateways == gateways]
    below = [table[cell] for cell in cells if cell.load < 1.0]
    above = [table[cell] for cell in cells if cell.load > 1.0]
    slow = [table[cell] for cell in cells if cell.load < 1.0 and cell.fleet == "slow_pair"]
    p99 = [ratio(results, "adaptive") for results in below]
    more_lost = [
        results["adaptive"].lost - min(result.lost for name, result in results.items() if name != "adaptive")
        for results in above
    ]
    found = {
        "p99_within_5pct_share": share(p99, lambda one: one <= TOLERANCE),
        "p99_vs_best_worst_cell": max(p99, default=1.0),
        "p99_vs_best": geometric_mean(p99),
        "overload_lost_within_half_a_point_share": share(more_lost, lambda one: one <= LOST_TOLERANCE),
        "overload_more_lost_mean": statistics.mean(more_lost) if more_lost else 0.0,
        "overload_more_lost_worst_cell": max(more_lost, default=0.0),
        "slow_pair_round_robin_p99_vs_adaptive_least": min(
            (results["round_robin"].p99 / results["adaptive"].p99 for results in slow), default=1.0
        ),
    }
    return {f"{name}_g{gateways}": value for name, value in found.items()}


def share(values: Sequence[float], good: Callable[[float], bool]) -> float:
    """Of the values, how many are good."""
    return sum(map(good, values)) / len(values) if values else 1.0


def print_summary(table: Table, gateways: int) -> None:
    """p99 below capacity against the best of the others: how everyone does on the whole."""
    below = [results for cell, results in table.items() if cell.gateways == gateways and cell.load < 1.0]
    if not below:
        return
    print(f"\n{gateways} gateway(s), below capacity: p99 against the best other one")
    print(f"{'':24}{'within 5 %':>12}{'geo. mean':>11}{'worst':>8}")
    for name in EVERYONE:
        ratios = [ratio(results, name) for results in below]
        near = f"{sum(one <= TOLERANCE for one in ratios)} of {len(ratios)}"
        print(f"  {name:22}{near:>12}{geometric_mean(ratios):11.2f}{max(ratios):8.2f}")


def main() -> None:
    """Reads the options, simulates, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--fleets", nargs="+", default=FLEETS, choices=(*FLEETS, "failing"))
    parser.add_argument("--replicas", nargs="+", type=int, default=REPLICAS)
    parser.add_argument("--loads", nargs="+", type=float, default=LOADS)
    parser.add_argument("--gateways", nargs="+", type=int, default=GATEWAYS)
    parser.add_argument("--service", default="lognormal", choices=("lognormal", "exponential"))
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of requests")
    parser.add_argument("--policies", nargs="+", default=tuple(EVERYONE), choices=tuple(EVERYONE))
    parser.add_argument("--limits", default="none", choices=("none", "upstream", "replica"))
    parser.add_argument("--seeds", nargs="+", type=int, default=(1,))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    table = simulate_all(scenarios(options), options.policies, options.seeds, options.jobs)
    print_table(table)
    if len(options.policies) < len(EVERYONE):
        return  # the figures are about everyone
    for gateways in options.gateways:
        print_summary(table, gateways)
    finish(
        "balancing",
        {name: value for gateways in options.gateways for name, value in figures(table, gateways).items()},
    )


if __name__ == "__main__":
    main()
