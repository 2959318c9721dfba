"""What the caches have counted, as metrics: read when somebody collects, at no cost before. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from services.gateway.metrics.definitions import (
    CACHE_BYTES,
    CACHE_ENTRIES,
    CACHE_EVICTIONS,
    CACHE_INVALIDATIONS,
    CACHE_REQUESTS,
)
from shared.telemetry.metrics.families import Family, Number, merged


def cache_families(caches: Iterable[Mapping[str, Any]]) -> list[Family]:
    """Of the caches as `Gateway.describe` has them. Routes with the same prefix are counted together."""
    return merged(_families(cache) for cache in caches)


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
