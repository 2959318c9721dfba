"""What the caches have counted, as metrics: read when somebody collects, at no cost before. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from services.gateway.metrics.definitions import (
    CACHE_BYTES,
    CACHE_ENTRIES,
    CACHE_EVICTIONS,
    CACHE_INVALIDATIONS,
    CACHE_PEERS_LAPSES,
    CACHE_PEERS_OTHERS,
    CACHE_PEERS_WAIT,
    CACHE_PEERS_WRITES,
    CACHE_REQUESTS,
    CACHE_SECOND_FAILURES,
    CACHE_SECOND_MISSING,
    CACHE_SECOND_OPERATIONS,
    CACHE_UNPROVEN,
)
from shared.telemetry.metrics.families import Family, Number, merged


def cache_families(caches: Iterable[Mapping[str, Any]]) -> list[Family]:
    """Of the caches as `Gateway.describe` has them. Routes with the same prefix are counted together."""
    return merged(_families(cache) for cache in caches)


def second_families(second: Mapping[str, Any] | None) -> list[Family]:
    """Of the second level as it describes itself; none where there is none."""
    if second is None:
        return []
    return [
        Family(
            CACHE_SECOND_OPERATIONS,
            [Number((outcome,), count) for outcome, count in second["counts"].items()],
        ),
        Family(CACHE_SECOND_FAILURES, [Number((kind,), count) for kind, count in second["failures"].items()]),
        Family(CACHE_SECOND_MISSING, [Number((), second["primaries"] - len(second["servers"]))]),
    ]


def peers_families(peers: Mapping[str, Any] | None) -> list[Family]:
    """Of other gateways, as this worker describes what it has to do with them; none where there are none."""
    if peers is None:
        return []
    writes, speaker = peers["writes"], peers["speaker"]
    families = [
        Family(
            CACHE_PEERS_WRITES, [Number((outcome,), count) for outcome, count in writes["counts"].items()]
        ),
        Family(CACHE_PEERS_WAIT, [Number((), writes["waited_s"])]),
    ]
    if speaker is not None:
        families.append(Family(CACHE_PEERS_LAPSES, [Number((), speaker["lapses"])]))
        if speaker["others"] is not None:
            families.append(Family(CACHE_PEERS_OTHERS, [Number((), speaker["others"])]))
    return families


def _families(cache: Mapping[str, Any]) -> list[Family]:
    route, counts = cache["prefix"], cache["statistics"]
    return [
        Family(
            CACHE_REQUESTS,
            [Number((route, outcome), count) for outcome, count in cache["requests"].items()],
        ),
        Family(CACHE_BYTES, [Number((route,), cache["used_bytes"])]),
        Family(CACHE_ENTRIES, [Number((route,), cache["entries"])]),
        Family(CACHE_EVICTIONS, [Number((route,), counts["evicted"])]),
        Family(CACHE_INVALIDATIONS, [Number((route,), counts["invalidated"])]),
        Family(CACHE_UNPROVEN, [Number((route,), cache["unproven"])]),
    ]
