"""The response-time formula under mixed traffic: how many requests, what did not add up, how close callers come to it.

`make bench BENCH=response_time ARGS=20000`. Real gateway, services and PostgreSQL; every request is traced, logged and
measured by its caller as well. `tests/e2e/test_response_time.py` is the same with fewer requests.
"""

import asyncio
import io
import statistics
import sys
import tempfile
from collections import Counter
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from time import perf_counter

from deploy.local.postgres import temporary_server
from shared.testing.databases import Templates, migrate_by_command
from tests.bench.harness import finish
from tests.e2e.timed import world
from tests.e2e.timed.checks import judge, wrong_histograms
from tests.e2e.timed.stack import timed
from tests.e2e.timed.traffic import Traffic

REQUESTS = 10_500
CONCURRENCIES = (1, 2, 4, 8, 16, 32, 64)


async def bench(database_url: str, requests: int) -> None:
    # What the processes have printed is shown at their end: thousands of log lines.
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
        async with timed(Path(folder), database_url, **world.LAYOUT) as stack:
            traffic = Traffic(stack.gateway.port, stack.gateway.keys[0])
            for concurrency in CONCURRENCIES:
                began = perf_counter()
                await traffic.run(requests // len(CONCURRENCIES), concurrency)
                print(f"concurrency {concurrency:3}: {perf_counter() - began:6.1f} s", file=sys.stderr)
            samples = await stack.metrics()
            lines = await stack.end()
        spans = stack.receiver.spans
    verdict = judge(traffic.asked, lines, spans)
    wrong = [*verdict.wrong, *wrong_histograms(samples, spans)]
    for (kind, status), count in sorted(Counter((one.kind, one.status) for one in traffic.asked).items()):
        print(f"{kind:18} {status or 'none':>5} {count:6}")
    for text in wrong[:20]:
        print(text)
    transits = verdict.transits_ns
    finish(
        "response_time",
        {
            "requests": len(traffic.asked),
            "traced": verdict.requests,
            "attempts": verdict.attempts,
            "served": verdict.served,
            "spans": len(spans),
            "wrong": len(wrong),
            "transit_us_least": min(transits) / 1e3,
            "transit_us_median": statistics.median(transits) / 1e3,
        },
    )


def main() -> None:
    """The first argument is how many requests."""
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else REQUESTS
    with temporary_server(settings={"max_connections": "300"}, in_memory=True) as server:
        templates = Templates(
            url_of=server.url,
            execute=partial(server.execute, database="postgres"),
            migrate=migrate_by_command,
        )
        asyncio.run(bench(templates.clone("customers"), requests))


if __name__ == "__main__":
    main()
