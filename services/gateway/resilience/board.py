"""The health of every replica, and the balancing over the healthy ones."""

import logging
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from services.gateway.balancing.policy import BalancingPolicy, Replica
from services.gateway.balancing.smooth_weighted import SmoothWeightedRoundRobin
from services.gateway.resilience.health import HealthRule, ReplicaHealth

log = logging.getLogger("kontor.gateway.health")


@dataclass(frozen=True, slots=True)
class Upstream:
    """A service: the name it answers to as a token's audience, its replicas, how they are checked."""

    name: str
    audience: str
    replicas: tuple[Replica, ...]
    health: HealthRule


class Board:
    """Knows which replicas may be used, and has the upstream's policy choose one."""

    def __init__(self, upstreams: Mapping[str, Upstream]) -> None:
        self._upstreams = upstreams
        self._health = {
            replica: ReplicaHealth(upstream.health)
            for upstream in upstreams.values()
            for replica in upstream.replicas
        }
        self._policies: dict[str, BalancingPolicy] = {name: SmoothWeightedRoundRobin() for name in upstreams}

    def pick(self, upstream: str, excluding: Collection[Replica] = ()) -> Replica | None:
        """A healthy replica, or `None` when there is no other than `excluding`."""
        candidates = [replica for replica in self.healthy(upstream) if replica not in excluding]
        return self._policies[upstream].choose(candidates) if candidates else None

    def healthy(self, upstream: str) -> list[Replica]:
        """The replicas of an upstream that may be used now."""
        return [replica for replica in self._upstreams[upstream].replicas if self._health[replica].healthy]

    def lacking(self) -> list[str]:
        """The names of the upstreams without any healthy replica."""
        return [name for name in self._upstreams if not self.healthy(name)]

    def checks(self) -> Iterator[tuple[Replica, HealthRule]]:
        """Every replica with the rule by which it is to be checked."""
        for upstream in self._upstreams.values():
            for replica in upstream.replicas:
                yield replica, upstream.health

    def observe(self, replica: Replica, ok: bool, reason: str) -> None:
        """Take note of an active check."""
        if self._health[replica].observe(ok):
            log.log(
                logging.INFO if ok else logging.WARNING,
                "%s %s is %s (%s)",
                replica.upstream,
                replica.address,
                "healthy" if ok else "unhealthy",
                reason,
            )

    def mark_down(self, replica: Replica, reason: str) -> None:
        """Take note of a connection that was refused to a request."""
        if self._health[replica].mark_down():
            log.warning("%s %s is unhealthy (%s)", replica.upstream, replica.address, reason)
