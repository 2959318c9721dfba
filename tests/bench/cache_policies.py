"""The cache's eviction policies: hit ratios on published traces, and what an operation costs.

`make bench BENCH=cache_policies`. Hit ratios are exact and do not depend on the machine; the traces lie beside the
checkout, and without them that part is left out. Speed is CPU time as a ratio to the shortest LRU that Python can
write (an OrderedDict and nothing else), interleaved in the same rounds.
"""

import argparse
import statistics
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from random import Random
from time import process_time
from zlib import crc32

from services.gateway.caching.eviction.ghosts import CANDIDATES, GhostCaches
from services.gateway.caching.eviction.lfu import Lfu
from services.gateway.caching.eviction.node import Node
from services.gateway.caching.eviction.optimum import Request, optimum_hits
from services.gateway.caching.eviction.policies import POLICIES, make_policy
from services.gateway.caching.eviction.policy import Policy
from services.gateway.caching.store import Store
from tests.bench.harness import finish
from tests.gateway.caching.eviction.traces import (
    FOLDER,
    ORM,
    WEB,
    available,
    capacity,
    load,
    replay,
    replay_adaptive,
)

KEYS = 50_000
LIMIT = 5_000
REQUESTS = 200_000
FAR = 1 << 60


def zipf_requests(exponent: float = 0.9) -> list[int]:
    """Fingerprints; a cache of `LIMIT` of them hits about two thirds."""
    weights = list(accumulate(1 / (n + 1) ** exponent for n in range(KEYS)))
    drawn = Random(1).choices(range(KEYS), cum_weights=weights, k=REQUESTS)  # noqa: S311 (seeded load)
    prints = [crc32(b"%d" % key) for key in range(KEYS)]
    return [prints[key] for key in drawn]


def replay_ordered_dict(requests: Sequence[int], limit: int) -> int:
    """What everything is compared with."""
    held: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for key in requests:
        if key in held:
            held.move_to_end(key)
            hits += 1
        else:
            held[key] = None
            if len(held) > limit:
                held.popitem(last=False)
    return hits


def hits_only(policy: Policy) -> float:
    """CPU nanoseconds of one call of `hit`, with the loop around it."""
    nodes = [Node(n, 1) for n in range(LIMIT)]
    for node in nodes:
        policy.add(node)
    order = Random(2).choices(nodes, k=REQUESTS)  # noqa: S311 (seeded load)
    hit = policy.hit
    started = process_time()
    for node in order:
        hit(node)
    return (process_time() - started) / REQUESTS * 1e9


def store_costs(name: str, requests: Sequence[int]) -> tuple[float, float]:
    """CPU nanoseconds of `get` when it hits, and of a miss: `get` and `put`, evicting, with three tags."""
    store: Store[bytes] = Store(8 * 1024 * 1024, name)
    keys = {key: b"/tenants/1/accounts/%d" % key for key in set(requests)}
    tags = [b"account:1", b"accounts", b"contact:7"]
    value = bytes(1024)
    began = store.begin()
    for key in requests:
        if store.get(keys[key], 0) is None:
            store.put(keys[key], value, 1057, began=began, now_ns=0, expires_at_ns=FAR, tags=tags)
    present = [entry.key for entry in store.top(1000)]
    started = process_time()
    for _ in range(100):
        for there in present:
            store.get(there, 0)
    hit = (process_time() - started) / 100_000 * 1e9
    started = process_time()
    for n in range(20_000):
        if store.get(b"new/%d" % n, 0) is None:
            store.put(b"new/%d" % n, value, 1057, began=began, now_ns=0, expires_at_ns=FAR, tags=tags)
    return hit, (process_time() - started) / 20_000 * 1e9


def ghosts_cost(requests: Sequence[int]) -> float:
    """CPU nanoseconds that the ghost caches take of a request on average, less the loop."""

    def observe(threshold: int) -> float:
        ghosts = GhostCaches(LIMIT)
        started = process_time()
        for key in requests:
            if key < min(threshold, ghosts.threshold):
                ghosts.request(key, 1, 0, 1, 0)
        return process_time() - started

    return (observe(1 << 32) - observe(0)) / len(requests) * 1e9


def speed(rounds: int) -> dict[str, float]:
    """Ratios to the OrderedDict, and nanoseconds."""
    requests = zipf_requests()
    names = [*POLICIES, "ordered_dict"]
    turns: dict[str, list[float]] = {name: [] for name in names}
    hit_ns: dict[str, list[float]] = {name: [] for name in POLICIES}
    store_ns: dict[str, list[tuple[float, float]]] = {name: [] for name in POLICIES}
    ghost_ns = []
    for number in range(rounds + 1):
        for name in names:
            started = process_time()
            if name == "ordered_dict":
                replay_ordered_dict(requests, LIMIT)
            else:
                replay(requests, make_policy(name, LIMIT, GhostCaches(LIMIT)), LIMIT)
            if number:
                turns[name].append(process_time() - started)
                if name != "ordered_dict":
                    hit_ns[name].append(hits_only(make_policy(name, LIMIT, GhostCaches(LIMIT))))
                    store_ns[name].append(store_costs(name, requests))
        ghost_ns.append(ghosts_cost(requests))
    return {**_print_speed(turns, hit_ns, store_ns), "ghosts_ns": statistics.median(ghost_ns)}


def _print_speed(
    turns: dict[str, list[float]],
    hit_ns: dict[str, list[float]],
    store_ns: dict[str, list[tuple[float, float]]],
) -> dict[str, float]:
    figures: dict[str, float] = {}
    print(f"{'':14}{'ops/s':>12}{'x OrderedDict':>15}{'hit ns':>9}{'store hit':>11}{'store miss':>12}")
    for name in POLICIES:
        pairs = zip(turns["ordered_dict"], turns[name], strict=True)
        ratio = statistics.median(theirs / ours for theirs, ours in pairs)
        rate = REQUESTS / statistics.median(turns[name])
        hit = statistics.median(hit_ns[name])
        get, miss = (statistics.median(one) for one in zip(*store_ns[name], strict=True))
        print(f"{name:14}{rate:12,.0f}{ratio:15.2f}{hit:9.0f}{get:11.0f}{miss:12.0f}")
        figures |= {
            f"{name}_vs_ordered_dict": ratio,
            f"{name}_hit_ns": hit,
            f"{name}_store_hit_ns": get,
            f"{name}_store_miss_ns": miss,
        }
    return figures


def contestants() -> Iterator[tuple[str, Callable[[Sequence[int], int], int]]]:
    """Who is in the table of hit ratios."""
    yield "plain_lfu", lambda requests, limit: replay(requests, Lfu(limit, ageing=False), limit)
    for name, make in CANDIDATES.items():
        yield name, lambda requests, limit, make=make: replay(requests, make(limit), limit)  # type: ignore[misc]
    yield "adaptive", lambda requests, limit: replay_adaptive(requests, limit)[0]
    yield "optimum", lambda requests, limit: sum(optimum_hits([Request(key, 1) for key in requests], limit))


def hit_ratios() -> dict[str, float]:
    """In percent, of whole traces from a cold cache of 1 % and 10 % of the distinct keys."""
    if not available():
        print(f"no hit ratios: the traces are not in {FOLDER.name} beside the checkout")
        return {}
    figures: dict[str, float] = {}
    cells = [(trace, percent) for trace in (WEB, ORM) for percent in (1, 10)]
    print(f"{'':14}" + "".join(f"{trace + f' {percent} %':>15}" for trace, percent in cells))
    for name, run in contestants():
        print(f"{name:14}", end="")
        for trace, percent in cells:
            requests = load(trace)
            ratio = 100 * run(requests, capacity(trace, percent)) / len(requests)
            figures[f"{name}_{trace.replace('-', '_')}_{percent}"] = ratio
            print(f"{ratio:15.2f}", end="", flush=True)
        print()
    return figures


def main() -> None:
    """Both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--no-traces", action="store_true", help="leave out the hit ratios, which take minutes"
    )
    options = parser.parse_args()
    figures = speed(options.rounds)
    if not options.no_traces:
        figures |= hit_ratios()
    finish("cache_policies", figures)


if __name__ == "__main__":
    main()
