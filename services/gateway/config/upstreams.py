"""The entries of `upstreams`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, RootModel, Tag, model_validator

from services.gateway.balancing.balancer import BalancerRules
from services.gateway.balancing.policy import Replica
from services.gateway.config.routes import Hedging, HedgingSection, PolicyName, RetriesSection
from services.gateway.config.values import (
    MAPPING_OR_FALSE,
    AddressAndPort,
    Count,
    CountOrNone,
    DnsName,
    Factor,
    Name,
    Percent,
    Port,
    ReplicaHost,
    Seconds,
    SecondsOrNone,
    Text,
    UrlPath,
    Weight,
)
from services.gateway.discovery.rules import DnsRule, FileRule, SourceRule, StaticRule
from services.gateway.documents import Section
from services.gateway.forwarding.pool import ConnectionsRule
from services.gateway.resilience.adaptive_limit import LimitRule
from services.gateway.resilience.breaker import BreakerRule
from services.gateway.resilience.concurrency import QueueRule
from services.gateway.resilience.ejection import EjectionRule
from services.gateway.resilience.health import HealthRule
from services.gateway.resilience.retry_budget import BudgetRule

_SECOND_NS = 1_000_000_000

# Where the defaults stand.
_CONNECTIONS = ConnectionsRule()
_HEALTH = HealthRule()
_EJECTION = EjectionRule()
_BREAKER = BreakerRule()
_BUDGET = BudgetRule()
_LIMIT = LimitRule()
_QUEUE = QueueRule()


def doubles(values: Sequence[Any]) -> Iterator[tuple[int, int]]:
    """The index of each value that was there before, and the index of the first."""
    first: dict[Any, int] = {}
    for index, value in enumerate(values):
        if value in first:
            yield index, first[value]
        first.setdefault(value, index)


class ReplicaSection(Section):
    """One replica, in the document or in a file that is watched."""

    host: ReplicaHost
    port: Port
    weight: Weight = 1
    zone: Annotated[str, Field(max_length=63)] = ""

    def replica(self, upstream: str) -> Replica:
        """The replica of `upstream`."""
        return Replica(upstream, self.host, self.port, self.weight, self.zone)


class DnsSection(Section):
    """`dns`: replicas by a name."""

    name: DnsName
    type: Literal["A", "SRV"] = "A"
    port: Port | None = None
    every_s: Seconds = 5.0
    nameserver: AddressAndPort | None = None

    @model_validator(mode="after")
    def _port_where_it_is_needed(self) -> Self:
        if self.type == "A" and self.port is None:
            raise ValueError("port is missing: addresses have none of their own")
        if self.type == "SRV" and self.port is not None:
            raise ValueError("port is not taken: the records say it")
        return self


class DnsReplicas(Section):
    """`replicas` that DNS knows."""

    dns: DnsSection


class FileReplicas(Section):
    """`replicas` in a file of their own; its path is relative to the document's folder."""

    file: Text


class ReplicaList(RootModel[tuple[ReplicaSection, ...]]):
    """A whole file of replicas."""

    @model_validator(mode="after")
    def _no_doubles(self) -> Self:
        for index, first in doubles([(one.host, one.port) for one in self.root]):
            raise ValueError(f"[{index}] has the address of [{first}]")
        return self


def _kind_of_source(content: Any) -> str | None:
    if isinstance(content, tuple):
        return "<list>"
    if isinstance(content, dict) and ("dns" in content) != ("file" in content):
        return "<dns>" if "dns" in content else "<file>"
    return None


def _some(replicas: tuple[ReplicaSection, ...]) -> tuple[ReplicaSection, ...]:
    # pydantic's own minimum would also count replicas that have a mistake as absent.
    if not replicas:
        raise ValueError("must have at least one replica")
    return replicas


Replicas = Annotated[
    Annotated[tuple[ReplicaSection, ...], AfterValidator(_some), Tag("<list>")]
    | Annotated[DnsReplicas, Tag("<dns>")]
    | Annotated[FileReplicas, Tag("<file>")],
    Discriminator(
        _kind_of_source,
        custom_error_type="replicas",
        custom_error_message="must be a list of replicas, {dns: …} or {file: …}",
    ),
]


class ConnectionsSection(Section):
    """An upstream's `connections`, of one gateway process."""

    max_per_replica: Count = _CONNECTIONS.max_per_replica
    idle: CountOrNone = _CONNECTIONS.idle
    keep_s: Seconds = _CONNECTIONS.keep_s
    connect_timeout_s: Seconds = _CONNECTIONS.connect_timeout_s

    def rule(self) -> ConnectionsRule:
        """As the pools take it."""
        return ConnectionsRule(**self.model_dump())


class HealthSection(Section):
    """An upstream's `health`."""

    path: UrlPath = _HEALTH.path
    interval_s: Seconds = _HEALTH.interval_s
    timeout_s: Seconds = _HEALTH.timeout_s
    healthy_after: Annotated[int, Field(ge=1, le=100)] = _HEALTH.healthy_after
    unhealthy_after: Annotated[int, Field(ge=1, le=100)] = _HEALTH.unhealthy_after

    def rule(self) -> HealthRule:
        """As the prober takes it."""
        return HealthRule(**self.model_dump())


class EjectionSection(Section):
    """An upstream's `ejection`: who does worse than the others is left out for a while."""

    interval_s: Seconds = _EJECTION.interval_s
    base_ejection_s: Seconds = _EJECTION.base_ejection_s
    max_ejection_s: Seconds = _EJECTION.max_ejection_s
    jitter_percent: Percent = _EJECTION.jitter_percent
    max_ejected_percent: Percent = _EJECTION.max_ejected_percent
    consecutive_gateway_errors: CountOrNone = _EJECTION.consecutive_gateway_errors
    consecutive_server_errors: CountOrNone = _EJECTION.consecutive_server_errors
    success_rate_stdev_factor: Factor = _EJECTION.success_rate_stdev_factor
    success_rate_min_gap_percent: Percent = _EJECTION.success_rate_min_gap_percent
    success_rate_min_endpoints: Count = _EJECTION.success_rate_min_endpoints
    success_rate_min_requests: Count = _EJECTION.success_rate_min_requests
    latency_factor: Factor = _EJECTION.latency_factor
    latency_floor_s: SecondsOrNone = _EJECTION.latency_floor_s
    latency_min_endpoints: Count = _EJECTION.latency_min_endpoints
    latency_min_requests: Count = _EJECTION.latency_min_requests
    latency_intervals: Count = _EJECTION.latency_intervals

    def rule(self) -> EjectionRule:
        """As the ejection takes it."""
        return EjectionRule(**self.model_dump())


class BreakerSection(Section):
    """An upstream's `breaker`, one for each of its replicas."""

    failure_percent: Annotated[int, Field(ge=1, le=100)] = _BREAKER.failure_percent
    min_attempts: Count = _BREAKER.min_attempts
    window_s: Seconds = _BREAKER.window_s
    open_s: Seconds = _BREAKER.open_s
    max_open_s: Seconds = _BREAKER.max_open_s
    jitter_percent: Percent = _BREAKER.jitter_percent
    half_open_probes: Annotated[int, Field(ge=1, le=1000)] = _BREAKER.half_open_probes
    probe_timeout_s: Seconds = _BREAKER.probe_timeout_s

    def rule(self) -> BreakerRule:
        """As the circuit breaker takes it."""
        return BreakerRule(**self.model_dump())


class QueueSection(Section):
    """Who waits while as many requests as may be are under way."""

    max_waiting: CountOrNone = _QUEUE.max_waiting
    max_wait_s: SecondsOrNone = _QUEUE.max_wait_s
    overload_after_s: Seconds = _QUEUE.overload_after_s
    max_wait_overloaded_s: SecondsOrNone = _QUEUE.max_wait_overloaded_s
    retry_after_s: Annotated[int, Field(ge=1, le=3600)] = _QUEUE.retry_after_s

    def rule(self) -> QueueRule:
        """As the queue takes it."""
        return QueueRule(**self.model_dump())


class ConcurrencySection(Section):
    """An upstream's `concurrency`, of one gateway process: how many requests may be under way, by their latency."""

    min_limit: Count = _LIMIT.min_limit
    initial_limit: Count = _LIMIT.initial_limit
    max_limit: Count = _LIMIT.max_limit
    tolerance_percent: Annotated[int, Field(ge=0, le=1000)] = _LIMIT.tolerance_percent
    window_s: Seconds = _LIMIT.window_s
    window_samples: Count = _LIMIT.window_samples
    probe_interval_s: Seconds = _LIMIT.probe_interval_s
    queue: QueueSection = QueueSection()

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.min_limit <= self.initial_limit <= self.max_limit:
            raise ValueError("initial_limit must lie between min_limit and max_limit")
        return self

    def rule(self) -> LimitRule:
        """As the limit takes it."""
        return LimitRule(**self.model_dump(exclude={"queue"}))


Concurrency = Annotated[
    Annotated[ConcurrencySection, Tag("<mapping>")] | Annotated[Literal[False], Tag("<false>")],
    MAPPING_OR_FALSE,
]


class RetryBudgetSection(Section):
    """An upstream's `retry_budget`; hedges have one of their own."""

    percent: Percent = _BUDGET.percent
    min_per_second: CountOrNone = _BUDGET.min_per_second
    window_s: Seconds = _BUDGET.window_s

    def rule(self) -> BudgetRule:
        """As the budget takes it."""
        return BudgetRule(**self.model_dump())


class UpstreamSection(Section):
    """One entry of `upstreams`; the audience is the upstream's name unless told."""

    audience: Name | None = None
    replicas: Replicas
    policy: PolicyName = "adaptive"
    zone: Annotated[str, Field(max_length=63)] = ""
    panic_percent: Percent = 50
    slow_start_s: SecondsOrNone = 0.0
    health: HealthSection = HealthSection()
    ejection: EjectionSection = EjectionSection()
    breaker: BreakerSection = BreakerSection()
    # Off unless asked for: under a gateway that is itself the bottleneck, latency tells nothing of the upstream.
    concurrency: Concurrency = False
    retries: RetriesSection = RetriesSection()
    hedging: Hedging = HedgingSection()
    retry_budget: RetryBudgetSection = RetryBudgetSection()
    connections: ConnectionsSection = ConnectionsSection()
    # Whether its services say what answers contain and what changes (docs/adr/0014).
    changes: bool = False
    hold_bytes: Annotated[int, Field(ge=0, le=16 * 1024**2)] = 32 * 1024

    def source(self, name: str, folder: Path) -> SourceRule:
        """Where the replicas of the upstream `name` come from; files are looked for in `folder`."""
        if isinstance(self.replicas, DnsReplicas):
            return DnsRule(**self.replicas.dns.model_dump())
        if isinstance(self.replicas, FileReplicas):
            return FileRule(folder / self.replicas.file)
        return StaticRule(tuple(one.replica(name) for one in self.replicas))

    def balancer_rules(self) -> BalancerRules:
        """As the balancer takes them."""
        return BalancerRules(
            zone=self.zone,
            panic_below=self.panic_percent / 100,
            slow_start_ns=round(self.slow_start_s * _SECOND_NS),
        )
