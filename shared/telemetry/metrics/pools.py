"""How much of its pools of database connections a process uses."""

from collections.abc import Sequence
from typing import NamedTuple

from shared.telemetry.metrics.definitions import CONNECTIONS, CONNECTIONS_MAX
from shared.telemetry.metrics.families import Family, Number


class PoolUse(NamedTuple):
    """Connections of one pool: at work, open without work, and how many there may be."""

    name: str
    used: int
    idle: int
    most: int


def pool_families(pools: Sequence[PoolUse]) -> list[Family]:
    """Each pool by itself: one that is exhausted must not hide behind another that is idle."""
    return [
        Family(
            CONNECTIONS,
            [
                Number((state, pool.name), count)
                for pool in pools
                for state, count in (("used", pool.used), ("idle", pool.idle))
            ],
        ),
        Family(CONNECTIONS_MAX, [Number((pool.name,), pool.most) for pool in pools]),
    ]
