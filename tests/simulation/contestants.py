"""Everyone in the table: our policies, then the peers. Each is made with a seed, once for each gateway."""

from collections.abc import Callable, Mapping
from random import Random
from types import MappingProxyType
from typing import Final

from services.gateway.balancing.adaptive import Adaptive
from services.gateway.balancing.consistent_hash import ConsistentHash
from services.gateway.balancing.drawing import generator
from services.gateway.balancing.least_requests import LeastRequests
from services.gateway.balancing.peak_ewma import PeakEwma
from services.gateway.balancing.random_choice import RandomChoice
from services.gateway.balancing.round_robin import RoundRobin
from services.gateway.balancing.weighted_round_robin import WeightedRoundRobin
from tests.simulation import peers
from tests.simulation.simulator import Chooser

Maker = Callable[[int], Chooser]


def _drawing(policy: Callable[[Random], Chooser]) -> Maker:
    return lambda seed: policy(generator(seed))


OURS: Final[Mapping[str, Maker]] = MappingProxyType(
    {
        "adaptive": _drawing(Adaptive),
        "round_robin": lambda _: RoundRobin(),
        "random": _drawing(RandomChoice),
        "weighted_round_robin": lambda _: WeightedRoundRobin(),
        "least_requests": _drawing(LeastRequests),
        "peak_ewma": _drawing(PeakEwma),
        "consistent_hash": lambda _: ConsistentHash(),
    }
)
PEERS: Final[Mapping[str, Maker]] = MappingProxyType(
    {
        peer.name: peer
        for peer in (
            peers.NginxRoundRobin,
            peers.NginxLeastConn,
            peers.NginxRandomTwo,
            peers.EnvoyLeastRequest,
            peers.EnvoyPeakEwma,
            peers.LinkerdPeakEwma,
            peers.HaproxyLeastConn,
            peers.Prequal,
        )
    }
)
EVERYONE: Final[Mapping[str, Maker]] = MappingProxyType({**OURS, **PEERS})
