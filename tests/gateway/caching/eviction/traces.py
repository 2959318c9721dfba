"""Published traces of real caches, and a plain cache to replay them through."""

import lzma
from array import array
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Final
from zlib import crc32

from services.gateway.caching.eviction.adaptive import Adaptive
from services.gateway.caching.eviction.ghosts import GhostCaches
from services.gateway.caching.eviction.node import Node
from services.gateway.caching.eviction.policy import Policy

FOLDER = Path(__file__).parents[5] / "shared" / "data" / "cache_traces"
WEB: Final = "web07"
ORM: Final = "orm-busy"


def available() -> bool:
    """Whether the traces are on this machine."""
    return all((FOLDER / f"{name}.trace.xz").exists() for name in (WEB, ORM))


@cache
def load(name: str) -> Sequence[int]:
    """The keys in their order, as fingerprints (CRC-32, which is one to one for keys of four bytes)."""
    keys = array("i", lzma.decompress((FOLDER / f"{name}.trace.xz").read_bytes()))
    fingerprints = {key: crc32(key.to_bytes(4, "little", signed=True)) for key in set(keys)}
    return [fingerprints[key] for key in keys]


@cache
def capacity(name: str, percent: int) -> int:
    """So many percent of the distinct keys, rounded down."""
    return len(set(load(name))) * percent // 100


def replay(requests: Iterable[int], policy: Policy, limit: int) -> int:
    """Hits of a cache that holds `limit` things of equal size and is empty at first."""
    held: dict[int, Node] = {}
    hits = 0
    for key in requests:
        node = held.get(key)
        if node is not None:
            hits += 1
            policy.hit(node)
            continue
        if len(held) >= limit:
            del held[policy.evict().fingerprint]
        held[key] = node = Node(key, 1)
        policy.add(node)
    return hits


def replay_adaptive(requests: Iterable[int], limit: int) -> tuple[int, GhostCaches]:
    """The same for `adaptive`, with the ghost caches that it goes by."""
    ghosts = GhostCaches(limit)
    policy = Adaptive(limit, ghosts)
    held: dict[int, Node] = {}
    hits = 0
    for key in requests:
        node = held.get(key)
        if node is not None:
            hits += 1
            policy.hit(node)
        else:
            if len(held) >= limit:
                del held[policy.evict().fingerprint]
            held[key] = node = Node(key, 1)
            policy.add(node)
        if key < ghosts.threshold:
            ghosts.request(key, 1, 0, 1, 0)
    return hits, ghosts
