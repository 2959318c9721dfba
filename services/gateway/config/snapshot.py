"""What the pipeline works with, made of the document."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from services.gateway.balancing.balancer import BalancerRules
from services.gateway.balancing.policy import Replica
from services.gateway.caching.peers.plan import PeersPlan
from services.gateway.caching.second.rule import SecondLevelRule
from services.gateway.config.document import ConfigDocument
from services.gateway.config.routes import hedging_rule
from services.gateway.config.upstreams import UpstreamSection
from services.gateway.discovery.rules import SourceRule, StaticRule
from services.gateway.documents import parse_document
from services.gateway.documents.reading import read_text
from services.gateway.forwarding.pool import ConnectionsRule
from services.gateway.limits.common_rule import CommonRule
from services.gateway.limits.sizes import SizeLimits
from services.gateway.limits.timeouts import Timeouts
from services.gateway.limits.token_bucket import Rate
from services.gateway.resilience.adaptive_limit import LimitRule
from services.gateway.resilience.breaker import BreakerRule
from services.gateway.resilience.client_connections import ClientConnectionRule
from services.gateway.resilience.concurrency import QueueRule
from services.gateway.resilience.ejection import EjectionRule
from services.gateway.resilience.health import HealthRule
from services.gateway.resilience.hedging import HedgingRule
from services.gateway.resilience.retry_budget import BudgetRule, RetryRule
from services.gateway.routing.policy import RouteTable
from services.gateway.timing.keeping import KeepingRule


@dataclass(frozen=True, slots=True)
class UpstreamPlan:
    """How an upstream is found, balanced and protected; `audience` is whom a token for it is meant for.

    `replicas` are those that the document itself lists: none where `source` finds them. Without a `limit` as
    many requests may be under way as there are, and nobody queues. With `changes` its services have a change feed.
    """

    name: str
    audience: str
    source: SourceRule
    replicas: tuple[Replica, ...]
    health: HealthRule
    policy: str
    balancer: BalancerRules
    ejection: EjectionRule
    breaker: BreakerRule
    limit: LimitRule | None
    queue: QueueRule
    retry: RetryRule
    hedging: HedgingRule | None
    budget: BudgetRule
    connections: ConnectionsRule
    changes: bool
    hold_bytes: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the pipeline works with. `workers`: processes, `None` for one on each CPU.

    `max_pipelined_bytes`: of requests that wait for the one before them on their connection. `keeping` lacks the share
    of sampled traces, which is not the document's. Without a `common_limit` each gateway limits by itself, without a
    `shared_cache` the caches have one level, and without `peers` no other gateway is before the same services.
    """

    routes: RouteTable
    upstreams: Mapping[str, UpstreamPlan]
    limits: SizeLimits
    rate: Rate
    rate_limited: bool
    timeouts: Timeouts
    clients: ClientConnectionRule
    max_pipelined_bytes: int
    auth: Literal["keys", "none"]
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]
    workers: int | None
    keeping: KeepingRule
    common_limit: CommonRule | None = None
    shared_cache: SecondLevelRule | None = None
    peers: PeersPlan | None = None


def load(path: Path) -> Snapshot:
    """The snapshot of the document at `path`. Raises `DocumentError` naming file, line and field."""
    return read(read_text(path), str(path), path.parent)


def parse(text: str) -> Snapshot:
    """The snapshot of a document given as text. Raises `DocumentError` naming line and field."""
    return read(text, "document", Path())


def read(text: str, source: str, folder: Path) -> Snapshot:
    """The snapshot of a document that errors call `source`, and whose files are looked for in `folder`."""
    document = parse_document(text, ConfigDocument, source)
    plans = {name: _plan(name, section, folder) for name, section in document.upstreams.items()}
    routes = [
        route.route(plan.policy, plan.retry, plan.hedging, document.traces.slow_s)
        for route in document.routes
        for plan in [plans[route.upstream]]
    ]
    return Snapshot(
        routes=RouteTable(routes),
        upstreams=MappingProxyType(plans),
        limits=document.limits.sizes(),
        rate=document.rate_limit.rate(),
        rate_limited=document.rate_limit.enabled,
        common_limit=document.rate_limit.shared.rule(folder) if document.rate_limit.shared else None,
        timeouts=document.limits.timeouts(),
        clients=document.limits.clients(document.trusted_proxies),
        max_pipelined_bytes=document.limits.max_pipelined_bytes,
        auth=document.auth.mode,
        trusted_proxies=document.trusted_proxies,
        workers=document.workers,
        keeping=document.traces.rule(routes),
        shared_cache=document.shared_cache.rule(folder) if document.shared_cache else None,
        peers=document.peers.plan(document.shared_cache, folder) if document.peers else None,
    )


def _plan(name: str, section: UpstreamSection, folder: Path) -> UpstreamPlan:
    source = section.source(name, folder)
    return UpstreamPlan(
        name=name,
        audience=section.audience or name,
        replicas=source.replicas if isinstance(source, StaticRule) else (),
        health=section.health.rule(),
        source=source,
        policy=section.policy,
        balancer=section.balancer_rules(),
        ejection=section.ejection.rule(),
        breaker=section.breaker.rule(),
        limit=section.concurrency.rule() if section.concurrency else None,
        queue=section.concurrency.queue.rule() if section.concurrency else QueueRule(),
        retry=section.retries.rule(),
        hedging=hedging_rule(section.hedging),
        budget=section.retry_budget.rule(),
        connections=section.connections.rule(),
        changes=section.changes,
        hold_bytes=section.hold_bytes,
    )
