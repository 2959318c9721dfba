"""One upstream at work: which replica gets an attempt, and what is learnt from how it ends."""

import logging
from collections.abc import Iterable, Iterator
from random import random
from time import perf_counter_ns
from typing import TYPE_CHECKING

from services.gateway.balancing.balancer import Balancer
from services.gateway.balancing.endpoint import Endpoint, EndpointRegistry
from services.gateway.balancing.load_report import LoadReportParser
from services.gateway.balancing.policies import make_policy
from services.gateway.balancing.policy import Replica
from services.gateway.forwarding.pool import Pool
from services.gateway.outbox import AtOnce, Outbox
from services.gateway.resilience.adaptive_limit import AdaptiveLimit
from services.gateway.resilience.breaker import BreakerState, CircuitBreaker
from services.gateway.resilience.concurrency import ConcurrencyLimiter
from services.gateway.resilience.ejection import Change, OutlierDetector
from services.gateway.resilience.health import ReplicaHealth
from services.gateway.resilience.hedge_timer import HedgeTimer
from services.gateway.resilience.hedging import Hedging, HedgingRule
from services.gateway.resilience.ledger import (
    BUSY,
    CLIENT_LEFT,
    HEDGE_LOSER,
    REFUSED,
    SERVER_ERROR,
    Ledger,
    Outcome,
)
from services.gateway.resilience.retry_budget import AttemptBudget, RetryPolicy, RetryRule

if TYPE_CHECKING:
    from services.gateway.caching.coherence import Coherence
    from services.gateway.config.snapshot import UpstreamPlan

log = logging.getLogger("kontor.gateway.upstream")

_SAYS_NOTHING = frozenset({CLIENT_LEFT, HEDGE_LOSER, BUSY})


class Upstream:
    """The replicas of a service, and what this process knows of them.

    Survives a change of the configuration (`configure`) and of the replica set (`replace`): what is in flight,
    the account, health and circuits stay.
    """

    def __init__(
        self, plan: "UpstreamPlan", registry: EndpointRegistry, outbox: Outbox | None = None
    ) -> None:
        self.name = plan.name
        self._outbox = outbox or AtOnce()
        self.ledger = Ledger()
        self.timer = HedgeTimer()
        self.pools: dict[Endpoint, Pool] = {}
        self.health: dict[Endpoint, ReplicaHealth] = {}
        self._registry = registry
        self._loads = LoadReportParser()
        self._endpoints: tuple[Endpoint, ...] = ()
        self._balancers: dict[str, Balancer] = {}
        self._hedging: dict[HedgingRule, Hedging] = {}
        now_ns = perf_counter_ns()
        self.plan = plan
        self.coherence: Coherence | None = None
        self.budget = AttemptBudget(plan.budget, now_ns)
        self.limiter = self._make_limiter(now_ns)
        self._detector = OutlierDetector(plan.ejection, (), now_ns, random)
        self.replace(plan.replicas)

    def configure(self, plan: "UpstreamPlan") -> None:
        """Another configuration: what it does not change keeps all that was learnt."""
        before, self.plan = self.plan, plan
        now_ns = perf_counter_ns()
        if plan.budget != before.budget:
            self.budget = AttemptBudget(plan.budget, now_ns)
        if (plan.limit, plan.queue) != (before.limit, before.queue):
            self.limiter = self._make_limiter(now_ns)
        if plan.ejection != before.ejection:
            ids = (endpoint.replica.address for endpoint in self._endpoints)
            self._detector = OutlierDetector(plan.ejection, ids, now_ns, random)
        if plan.balancer != before.balancer:
            self._balancers.clear()
        for pool in self.pools.values():
            pool.rule = plan.connections
            if plan.breaker != before.breaker:
                pool.breaker = CircuitBreaker(plan.breaker, now_ns, random)
        for health in self.health.values():
            health.rule = plan.health
        if plan.source != before.source and plan.replicas:
            self.replace(plan.replicas)  # else the former ones stay until the new source has found some
        self.refresh(now_ns)

    def _make_limiter(self, now_ns: int) -> ConcurrencyLimiter | None:
        plan = self.plan
        if plan.limit is None:
            return None
        return ConcurrencyLimiter(plan.queue, AdaptiveLimit(plan.limit, now_ns), now_ns)

    # What routes go by

    def balancer(self, policy: str | None = None) -> Balancer:
        """The balancer of a policy, the upstream's own unless told; routes with the same one share it."""
        name = policy or self.plan.policy
        known = self._balancers.get(name)
        if known is None:
            known = self._balancers[name] = Balancer(
                self._endpoints,
                make_policy(name),
                self._usable,
                perf_counter_ns(),
                rules=self.plan.balancer,
                why_not=self._why_not,
            )
        return known

    def retry_policy(self, rule: RetryRule) -> RetryPolicy:
        """When a route's requests are retried, out of the budget that all routes share."""
        return RetryPolicy(rule, self.budget, random)

    def hedging(self, rule: HedgingRule | None) -> Hedging | None:
        """When a route's requests are hedged."""
        if rule is None:
            return None
        known = self._hedging.get(rule)
        if known is None:
            known = self._hedging[rule] = Hedging(rule, perf_counter_ns())
        return known

    # Its replicas

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """All of them, whatever their state."""
        return self._endpoints

    def replace(self, replicas: Iterable[Replica]) -> None:
        """Another set of replicas: who is gone gets nothing new, and finishes what runs there."""
        now_ns = perf_counter_ns()
        endpoints = tuple(self._registry.endpoint(replica) for replica in replicas)
        for endpoint in endpoints:
            if endpoint not in self.pools:
                breaker = CircuitBreaker(self.plan.breaker, now_ns, random)
                self.pools[endpoint] = Pool(endpoint, self.plan.connections, breaker, self._outbox)
                self.health[endpoint] = ReplicaHealth(self.plan.health)
        for gone in self.pools.keys() - set(endpoints):
            self.pools.pop(gone).close()
            del self.health[gone]
        self._endpoints = endpoints
        self._detector.set_endpoints(endpoint.replica.address for endpoint in endpoints)
        for balancer in self._balancers.values():
            balancer.replace(endpoints, now_ns)

    def refresh(self, now_ns: int) -> None:
        """Who may be used has changed."""
        for balancer in self._balancers.values():
            balancer.refresh(now_ns)

    def ready(self) -> bool:
        """Whether any replica is healthy."""
        return any(health.healthy for health in self.health.values())

    def healthy_addresses(self) -> list[str]:
        """The replicas that can be asked, as `host:port`."""
        return [one.replica.address for one in self._endpoints if self.health[one].healthy]

    def find(self, address: str) -> Endpoint | None:
        """The replica at `host:port`."""
        return next((one for one in self._endpoints if one.replica.address == address), None)

    def _usable(self, endpoint: Endpoint) -> bool:
        return (
            endpoint
            in self.pools  # a request of an earlier configuration may still ask for one that has left
            and self.health[endpoint].healthy
            and not self._detector.is_ejected(endpoint.replica.address)
            and self.pools[endpoint].breaker.allows(perf_counter_ns())
        )

    def _why_not(self, endpoint: Endpoint) -> str:
        if not self.health[endpoint].healthy:
            return "unhealthy"
        if self._detector.is_ejected(endpoint.replica.address):
            return "ejected"
        return "its circuit is open"

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
            self.refresh(perf_counter_ns())

    # Attempts

    def went_well(self, pool: Pool, token: int, now_ns: int, latency_ns: int) -> None:
        """An attempt is over with a whole answer below 500: `ended` with `OK`, in fewer steps."""
        self.ledger.went_well()
        pool.endpoint.ended(now_ns, latency_ns, True)
        change = pool.breaker.went_well(now_ns, token)
        if change is not None:
            self._circuit_changed(pool, change, now_ns)
        self._detector.went_well(pool.address, latency_ns)

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
            self._circuit_changed(pool, change, now_ns)
        ejection = self._detector.on_result(pool.address, now_ns, outcome, latency_ns)
        if ejection is not None:
            self._tell((ejection,), now_ns)
        if outcome == REFUSED:
            self._refused(endpoint, now_ns)

    def _circuit_changed(self, pool: Pool, change: str, now_ns: int) -> None:
        log.warning("%s %s: %s", self.name, pool.address, change)
        self.refresh(now_ns)

    def _tell(self, changes: Iterable[Change], now_ns: int) -> None:
        for change in changes:
            level = logging.WARNING if change.ejected else logging.INFO
            log.log(level, "%s %s: %s", self.name, change.endpoint_id, change.reason)
        self.refresh(now_ns)

    def _refused(self, endpoint: Endpoint, now_ns: int) -> None:
        health = self.health.get(endpoint)
        if health is not None and health.mark_down():
            log.warning("%s %s is unhealthy (it refuses connections)", self.name, endpoint.replica.address)
            self.refresh(now_ns)

    def reported(self, pool: Pool, load: bytes, now_ns: int) -> None:
        """A replica told its load with an answer."""
        report = self._loads.parse(load)
        if report is not None:
            pool.endpoint.reported(report, now_ns)

    # From time to time

    def sweep(self, now_ns: int) -> None:
        """Called several times a second."""
        half_open = False
        for pool in self.pools.values():
            pool.expire(now_ns)
            half_open = half_open or pool.breaker.state is not BreakerState.CLOSED
        if self.limiter is not None:
            self.limiter.expire(now_ns)
        changes = self._detector.sweep(now_ns)
        if changes:
            self._tell(changes, now_ns)
        elif half_open:
            self.refresh(now_ns)

    def close(self) -> None:
        """Let go of the connections."""
        for pool in self.pools.values():
            pool.close()

    # What it tells of itself

    def describe(self, now_ns: int) -> dict[str, object]:
        """The state as JSON, for the admin API."""
        return {
            "name": self.name,
            "policy": self.plan.policy,
            "panic": self.balancer().panic,
            "account": self.ledger.snapshot(),
            "concurrency": self.limiter.describe() if self.limiter is not None else None,
            "hedging": [policy.describe(now_ns) for policy in self._hedging.values()],
            "retries_available": self.budget.available(now_ns),
            "replicas": list(self._describe_replicas(now_ns)),
        }

    def _describe_replicas(self, now_ns: int) -> Iterator[dict[str, object]]:
        ejections = self._detector.describe(now_ns)
        for endpoint in self._endpoints:
            pool, health = self.pools[endpoint], self.health[endpoint]
            report = endpoint.report
            yield {
                "address": endpoint.replica.address,
                "zone": endpoint.replica.zone,
                "usable": self._usable(endpoint) and endpoint.live_weight > 0,
                "why_not": self._state(endpoint),
                "healthy": health.healthy,
                "weight": endpoint.weight,
                "configured_weight": endpoint.replica.weight,
                "live_weight": endpoint.live_weight,
                "active": endpoint.active,
                "requests": endpoint.requests,
                "failures": endpoint.failures,
                "latency_ms": endpoint.latency(now_ns) / 1e6,
                "load": None
                if report is None
                else {
                    "age_s": (now_ns - endpoint.report_at_ns) / 1e9,
                    "cpu_utilization": report.cpu_utilization,
                    "inflight": report.inflight,
                    **report.named_metrics,
                },
                "connections": {"open": pool.open, "idle": pool.idle, "opened": pool.opened},
                "circuit": pool.breaker.describe(now_ns),
                "ejection": ejections.get(endpoint.replica.address),
            }

    def _state(self, endpoint: Endpoint) -> str | None:
        if endpoint.live_weight <= 0:
            return "drained"
        return None if self._usable(endpoint) else self._why_not(endpoint)
