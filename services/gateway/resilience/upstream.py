"""One upstream at work: which replica gets an attempt, and what is learnt from how it ends."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import random
from time import perf_counter_ns
from typing import TYPE_CHECKING

from services.gateway.balancing.balancer import Balancer, BalancerRules
from services.gateway.balancing.endpoint import Endpoint, EndpointRegistry
from services.gateway.balancing.load_report import LoadReportParser
from services.gateway.balancing.policies import make_policy
from services.gateway.balancing.policy import Replica
from services.gateway.forwarding.pool import ConnectionsRule, Pool
from services.gateway.resilience.breaker import BreakerRule, BreakerState, CircuitBreaker
from services.gateway.resilience.health import HealthRule, ReplicaHealth
from services.gateway.resilience.ledger import (
    BUSY,
    CLIENT_LEFT,
    HEDGE_LOSER,
    REFUSED,
    SERVER_ERROR,
    Ledger,
    Outcome,
)
from services.gateway.resilience.retry_budget import (
    AttemptBudget,
    BudgetRule,
    RetryDecision,
    RetryPolicy,
    RetryRule,
)

if TYPE_CHECKING:
    from services.gateway.exchange import Exchange

log = logging.getLogger("kontor.gateway.upstream")

_SAYS_NOTHING = frozenset({CLIENT_LEFT, HEDGE_LOSER, BUSY})


@dataclass(frozen=True, slots=True)
class UpstreamRules:
    """All that the configuration says of an upstream but its replicas.

    `hold_bytes`: an idempotent request's answer that says to be no longer is held until it is whole, so that a
    replica which dies in the middle of it costs the caller nothing.
    """

    name: str
    audience: str
    policy: str = "adaptive"
    balancer: BalancerRules = field(default_factory=BalancerRules)
    health: HealthRule = field(default_factory=HealthRule)
    breaker: BreakerRule = field(default_factory=BreakerRule)
    retry: RetryRule = field(default_factory=RetryRule)
    budget: BudgetRule = field(default_factory=BudgetRule)
    connections: ConnectionsRule = field(default_factory=ConnectionsRule)
    hold_bytes: int = 32 * 1024


class Upstream:
    """The replicas of a service, and what this process knows of them.

    Survives a change of the configuration (`configure`) and of the replica set (`replace`): what is in flight,
    the account and the health stay.
    """

    def __init__(self, rules: UpstreamRules, replicas: Iterable[Replica], registry: EndpointRegistry) -> None:
        now_ns = perf_counter_ns()
        self._registry = registry
        self.rules = rules
        self.name = rules.name
        self.audience = rules.audience
        self.ledger = Ledger()
        self._loads = LoadReportParser()
        self.pools: dict[Endpoint, Pool] = {}
        self.health: dict[Endpoint, ReplicaHealth] = {}
        self._budget = AttemptBudget(rules.budget, now_ns)
        self._retries = RetryPolicy(rules.retry, self._budget, random)
        self.hold_bytes = rules.hold_bytes
        endpoints = self._adopt(replicas, now_ns)
        self.balancer = Balancer(
            endpoints,
            make_policy(rules.policy),
            self._usable,
            now_ns,
            rules=rules.balancer,
            why_not=self._why_not,
        )
        self.retried: Callable[[], None] = self.ledger.retry
        self.hedged: Callable[[], None] = self.ledger.hedge

    # Its replicas

    def _adopt(self, replicas: Iterable[Replica], now_ns: int) -> list[Endpoint]:
        endpoints = [self._registry.endpoint(replica) for replica in replicas]
        for endpoint in endpoints:
            if endpoint not in self.pools:
                breaker = CircuitBreaker(self.rules.breaker, now_ns, random)
                self.pools[endpoint] = Pool(endpoint, self.rules.connections, breaker)
                self.health[endpoint] = ReplicaHealth(self.rules.health)
        return endpoints

    def replace(self, replicas: Iterable[Replica]) -> None:
        """Another set of replicas: who is gone gets nothing new, and finishes what runs there."""
        now_ns = perf_counter_ns()
        endpoints = self._adopt(replicas, now_ns)
        for gone in self.pools.keys() - set(endpoints):
            self.pools.pop(gone).close()
            del self.health[gone]
        self.balancer.replace(endpoints, now_ns)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """All of them, whatever their state."""
        return self.balancer.endpoints

    def ready(self) -> bool:
        """Whether any replica is healthy."""
        return any(health.healthy for health in self.health.values())

    def _usable(self, endpoint: Endpoint) -> bool:
        return self.health[endpoint].healthy and self.pools[endpoint].breaker.allows(perf_counter_ns())

    def _why_not(self, endpoint: Endpoint) -> str:
        return "its circuit is open" if self.health[endpoint].healthy else "unhealthy"

    def observe(self, endpoint: Endpoint, ok: bool, reason: str) -> None:
        """Take note of an active check."""
        health = self.health.get(endpoint)
        if health is not None and health.observe(ok):
            log.log(
                logging.INFO if ok else logging.WARNING,
                "%s %s is %s (%s)",
                self.name,
                endpoint.replica.address,
                "healthy" if ok else "unhealthy",
                reason,
            )
            self.balancer.refresh(perf_counter_ns())

    # A request

    def enter(self, exchange: "Exchange") -> bool:
        """Whether the request may go on at once; otherwise its `go` or `turned_away` is called later."""
        self._budget.on_request(exchange.received_ns)
        return True

    def leave(self, exchange: "Exchange") -> None:
        """A request that waited for a place does not want it any more."""

    def pick(self, now_ns: int, key: bytes, tried: tuple[Endpoint, ...]) -> Pool | None:
        """The replica for an attempt that begins now, or None when there is none but `tried`."""
        endpoint = self.balancer.pick(now_ns, key, tried)
        if endpoint is None:
            return None
        endpoint.began(now_ns)
        return self.pools[endpoint]

    def others(self, tried: tuple[Endpoint, ...]) -> bool:
        """Whether there is a replica besides `tried`."""
        return any(one not in tried for one in self.balancer.candidates)

    def ended(self, pool: Pool, token: int, now_ns: int, latency_ns: int, outcome: Outcome) -> None:
        """An attempt is over."""
        self.ledger.ended(outcome)
        endpoint = pool.endpoint
        if outcome in _SAYS_NOTHING:
            endpoint.abandoned(now_ns, latency_ns)
        else:
            endpoint.ended(now_ns, latency_ns, outcome < SERVER_ERROR)
        change = pool.breaker.on_result(now_ns, token, outcome)
        if change is not None:
            log.warning("%s %s: %s", self.name, endpoint.replica.address, change)
            self.balancer.refresh(now_ns)
        if outcome == REFUSED:
            self._refused(endpoint, now_ns)

    def _refused(self, endpoint: Endpoint, now_ns: int) -> None:
        health = self.health.get(endpoint)
        if health is not None and health.mark_down():
            log.warning("%s %s is unhealthy (it refuses connections)", self.name, endpoint.replica.address)
            self.balancer.refresh(now_ns)

    def reported(self, pool: Pool, load: bytes, now_ns: int) -> None:
        """A replica told its load with an answer."""
        report = self._loads.parse(load)
        if report is not None:
            pool.endpoint.reported(report, now_ns)

    def decide(self, exchange: "Exchange", outcome: Outcome, now_ns: int) -> RetryDecision:
        """Whether a failed attempt is made again."""
        return self._retries.decide(
            now_ns,
            outcome,
            retries=exchange.retries,
            idempotent=exchange.idempotent,
            replayable=exchange.replayable,
            answer_begun=False,
            remaining_ns=exchange.deadline_ns - now_ns,
        )

    def close(self) -> None:
        """Let go of the connections."""
        for pool in self.pools.values():
            pool.close()

    # From time to time

    def sweep(self, now_ns: int) -> None:
        """Called several times a second."""
        half_open = False
        for pool in self.pools.values():
            pool.expire(now_ns)
            half_open = half_open or pool.breaker.state is not BreakerState.CLOSED
        if half_open:
            self.balancer.refresh(now_ns)
