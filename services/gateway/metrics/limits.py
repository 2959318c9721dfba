"""How a worker holds rate limits together with other gateways, as metrics. Pure."""

from collections.abc import Mapping
from typing import Any

from services.gateway.metrics.definitions import RATE_LIMIT_ALONE, RATE_LIMIT_SHARED
from shared.telemetry.metrics.families import Family, Number


def shared_limit_families(shared: Mapping[str, Any] | None) -> list[Family]:
    """Of the limit as the worker describes it; none where no other gateways are named."""
    if shared is None:
        return []
    counts = shared["counts"]
    return [
        Family(RATE_LIMIT_ALONE, [Number((), int(not shared["in_step"]))]),
        Family(RATE_LIMIT_SHARED, [Number((outcome,), count) for outcome, count in counts.items()]),
    ]
