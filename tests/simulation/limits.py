"""What a gateway lets through to its replicas: the gateway's own limiter, for all of them or for each."""

from collections.abc import Sequence
from typing import Final

from services.gateway.balancing.endpoint import Endpoint
from services.gateway.resilience.adaptive_limit import AdaptiveLimit, LimitRule
from services.gateway.resilience.concurrency import ConcurrencyLimiter, QueueRule
from services.gateway.resilience.ledger import Outcome


class Limits(ConcurrencyLimiter):
    """One limit for all replicas, as the gateway has it."""

    def __init__(self, endpoints: Sequence[Endpoint], rule: LimitRule | None = None) -> None:
        super().__init__(QueueRule(), AdaptiveLimit(rule or LimitRule(), 0), 0)
        self._endpoints = endpoints

    def candidates(self) -> Sequence[Endpoint]:
        """Who may be sent something now."""
        return self._endpoints

    def release_of(self, endpoint: Endpoint, now: int, latency_ns: int, outcome: Outcome) -> None:
        """A request to an endpoint is over."""
        self.release(now, latency_ns, outcome)


class _Together:
    """The limits of several replicas as if they were one."""

    def __init__(self, endpoints: Sequence[Endpoint], rule: LimitRule) -> None:
        self.of = {endpoint: AdaptiveLimit(rule, 0) for endpoint in endpoints}
        self.asked: Endpoint = endpoints[0]
        self.limit = sum(one.limit for one in self.of.values())

    def on_result(self, now: int, latency_ns: int, outcome: Outcome, in_flight: int) -> None:
        """What is learnt is learnt of the one that was `asked`."""
        one = self.of[self.asked]
        before = one.limit
        # The endpoint has counted its end already.
        one.on_result(now, latency_ns, outcome, self.asked.active + 1)
        self.limit += one.limit - before


class ReplicaLimits(Limits):
    """A limit for each replica: who has reached his gets nothing; when all have, requests wait in one queue."""

    def __init__(self, endpoints: Sequence[Endpoint], rule: LimitRule) -> None:
        super().__init__(endpoints)
        self._together = _Together(endpoints, rule)
        self._adaptive = self._together  # type: ignore[assignment] # by its methods
        self._full: tuple[Endpoint, ...] = ()
        self._open = endpoints

    def candidates(self) -> Sequence[Endpoint]:
        """Those below their limits; the same object while these are the same."""
        full = tuple(one for one, limit in self._together.of.items() if one.active >= limit.limit)
        if full != self._full:
            self._full = full
            self._open = tuple(one for one in self._endpoints if one not in full) or self._endpoints
        return self._open

    def release_of(self, endpoint: Endpoint, now: int, latency_ns: int, outcome: Outcome) -> None:
        """A request to an endpoint is over."""
        self._together.asked = endpoint
        self.release(now, latency_ns, outcome)


REPLICA_RULE: Final = LimitRule(min_limit=2, initial_limit=8)
"""Of what an upstream of four begins with, a fourth."""


def make_limits(kind: str, endpoints: Sequence[Endpoint]) -> Limits | None:
    """The limits of one gateway, by their name in a scenario."""
    if kind == "none":
        return None
    return Limits(endpoints) if kind == "upstream" else ReplicaLimits(endpoints, REPLICA_RULE)
