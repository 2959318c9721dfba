"""The policies by the names that a configuration gives them."""

from typing import Final

from services.gateway.caching.eviction.adaptive import Adaptive
from services.gateway.caching.eviction.ghosts import CANDIDATES, GhostCaches
from services.gateway.caching.eviction.lfu import Lfu
from services.gateway.caching.eviction.lru import Lru
from services.gateway.caching.eviction.policy import Policy
from services.gateway.caching.eviction.s3fifo import S3Fifo
from services.gateway.caching.eviction.sieve import Sieve

POLICIES: Final = tuple(policy.name for policy in (Adaptive, Lfu, Lru, S3Fifo, Sieve))
DEFAULT_POLICY: Final = S3Fifo.name


def make_policy(name: str, capacity: int, ghosts: GhostCaches) -> Policy:
    """A new policy for a cache of `capacity` bytes whose requests `ghosts` sees.

    Raises `ValueError` naming what there is.
    """
    if name not in POLICIES:
        raise ValueError(f"there is no eviction policy {name!r}, only {', '.join(POLICIES)}")
    return Adaptive(capacity, ghosts) if name == Adaptive.name else CANDIDATES[name](capacity)
