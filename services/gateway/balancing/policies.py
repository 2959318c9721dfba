"""The policies by the names that a configuration gives them."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from services.gateway.balancing.adaptive import Adaptive
from services.gateway.balancing.consistent_hash import ConsistentHash
from services.gateway.balancing.least_requests import LeastRequests
from services.gateway.balancing.peak_ewma import PeakEwma
from services.gateway.balancing.policy import Policy
from services.gateway.balancing.random_choice import RandomChoice
from services.gateway.balancing.round_robin import RoundRobin
from services.gateway.balancing.weighted_round_robin import WeightedRoundRobin

POLICIES: Final[Mapping[str, Callable[[], Policy]]] = MappingProxyType(
    {
        policy.name: policy
        for policy in (
            Adaptive,
            ConsistentHash,
            LeastRequests,
            PeakEwma,
            RandomChoice,
            RoundRobin,
            WeightedRoundRobin,
        )
    }
)
DEFAULT_POLICY: Final = Adaptive.name


def make_policy(name: str = DEFAULT_POLICY) -> Policy:
    """A new policy with its own state. Raises `ValueError` naming what there is."""
    if name not in POLICIES:
        raise ValueError(f"there is no balancing policy {name!r}, only {', '.join(sorted(POLICIES))}")
    return POLICIES[name]()
