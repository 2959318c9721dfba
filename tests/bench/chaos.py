"""Replicas are killed, stopped, slowed, broken, removed and added under steady load, and the gateway is reloaded.

    make bench BENCH=chaos ARGS="--seconds 120 --rate 200 --workers 2"

Four replicas, each request of which takes 5 to 15 ms; of twenty requests ten are GET, six PUT, two POST with an
Idempotency-Key and two POST without. Ends with an error if a request that may be repeated failed, an answer was not the
request's, a POST without key was executed twice, or the gateway's books do not balance.
"""

import argparse
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from tests.bench.harness import finish, run
from tests.gateway.chaos.drill import Report, drill, prepared
from tests.gateway.chaos.phases import phases
from tests.gateway.chaos.traffic import Tally

_PHASE_S = 2.0


def merged(report: Report) -> dict[str, Tally]:
    """The tallies of all rounds by phase."""
    found: defaultdict[str, Tally] = defaultdict(Tally)
    for phase, tally in report.tallies:
        one = found[phase.name]
        one.idempotent += tally.idempotent
        one.posts += tally.posts
        one.failed += tally.failed
        one.failed_posts += tally.failed_posts
    return found


def print_report(report: Report) -> None:
    """For people."""
    print(f"{'':16}{'idempotent':>11}{'failed':>8}{'POST':>8}{'failed':>8}")
    for name, tally in merged(report).items():
        failed, failed_posts = tally.failed.total(), tally.failed_posts.total()
        print(f"{name:16}{tally.idempotent:11,}{failed:8}{tally.posts:8,}{failed_posts:8}")
    account = report.account
    print(
        f"\nledger: {account['first']:,} first + {account['retries']:,} retries + {account['hedges']:,} hedges"
    )
    print(f"  = {account['attempts']:,} attempts, which ended as", end=" ")
    print(", ".join(f"{name} {count:,}" for name, count in account["outcomes"].items() if count))


async def main(options: argparse.Namespace) -> None:
    """Runs the drill and judges it."""
    upstream: dict[str, Any] = {"policy": options.policy}
    if options.no_hedging:
        upstream["hedging"] = False
    with tempfile.TemporaryDirectory() as folder:
        async with prepared(Path(folder), options.rate, options.seed, options.workers, **upstream) as parts:
            rounds = max(1, round(options.seconds / (len(phases(print)) * _PHASE_S * 1.5)))
            report = await drill(*parts, seconds=_PHASE_S, rounds=rounds)
    print_report(report)
    tallies = [tally for _, tally in report.tallies]
    posts = sum(tally.posts for tally in tallies)
    finish(
        "chaos",
        {
            "failed_idempotent": sum(tally.failed.total() for tally in tallies),
            "wrong_answers": sum(len(tally.wrong) for tally in tallies),
            "posts_executed_twice": len(report.doubled()),
            "failed_posts_share": sum(tally.failed_posts.total() for tally in tallies) / posts,
            "attempts_per_request": report.account["attempts"] / report.account["requests"],
        },
    )
    if complaints := report.complaints():
        sys.exit("\n".join(complaints[:40]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second")
    parser.add_argument("--policy", default="adaptive")
    parser.add_argument("--no-hedging", action="store_true")
    parser.add_argument("--workers", type=int, default=2, help="of the gateway")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    run(lambda: main(arguments))
