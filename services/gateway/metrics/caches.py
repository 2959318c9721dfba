"""What the caches have counted, as metrics: read when somebody collects, at no cost before. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from services.gateway.metrics.definitions import (
    CACHE_BYTES,
    CACHE_ENTRIES,
    CACHE_EVICTIONS,
    CACHE_INVALIDATIONS,
    CACHE_REQUESTS,
    CACHE_SECOND_FAILURES,
    CACHE_SECOND_OPERATIONS,
    CACHE_SECOND_SERVERS,
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
        Family(CACHE_SECOND_SERVERS, [Number((), len(second["servers"]))]),
    ]


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
    ]
