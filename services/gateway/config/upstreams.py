"""The entries of `upstreams`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, RootModel, Tag, model_validator

from services.gateway.balancing.balancer import BalancerRules
from services.gateway.balancing.policy import Replica
from services.gateway.config.routes import PolicyName, RetriesSection
from services.gateway.config.values import (
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
from services.gateway.resilience.breaker import BreakerRule
from services.gateway.resilience.ejection import EjectionRule
from services.gateway.resilience.health import HealthRule
from services.gateway.resilience.retry_budget import BudgetRule

_SECOND_NS = 1_000_000_000


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


class HealthSection(Section):
    """An upstream's `health`."""

    path: UrlPath = "/readyz"
    interval_s: Seconds = 0.5
    timeout_s: Seconds = 1.0
    healthy_after: Annotated[int, Field(ge=1, le=100)] = 1
    unhealthy_after: Annotated[int, Field(ge=1, le=100)] = 3

    def rule(self) -> HealthRule:
        """As the prober takes it."""
        return HealthRule(**self.model_dump())


class EjectionSection(Section):
    """An upstream's `ejection`: who does worse than the others is left out for a while."""

    interval_s: Seconds = 5.0
    base_ejection_s: Seconds = 10.0
    max_ejection_s: Seconds = 300.0
    jitter_percent: Percent = 10
    max_ejected_percent: Percent = 50
    consecutive_gateway_errors: CountOrNone = 5
    consecutive_server_errors: CountOrNone = 10
    success_rate_stdev_factor: Factor = 1.9
    success_rate_min_gap_percent: Percent = 5
    success_rate_min_endpoints: Count = 5
    success_rate_min_requests: Count = 50
    latency_factor: Factor = 4.0
    latency_floor_s: SecondsOrNone = 0.05
    latency_min_endpoints: Count = 3
    latency_min_requests: Count = 30
    latency_intervals: Count = 2

    def rule(self) -> EjectionRule:
        """As the ejection takes it."""
        return EjectionRule(**self.model_dump())


class BreakerSection(Section):
    """An upstream's `breaker`, one for each of its replicas."""

    failure_percent: Annotated[int, Field(ge=1, le=100)] = 50
    min_attempts: Count = 20
    window_s: Seconds = 10.0
    open_s: Seconds = 2.0
    max_open_s: Seconds = 60.0
    jitter_percent: Percent = 20
    half_open_probes: Annotated[int, Field(ge=1, le=1000)] = 3
    probe_timeout_s: Seconds = 30.0

    def rule(self) -> BreakerRule:
        """As the circuit breaker takes it."""
        return BreakerRule(**self.model_dump())


class RetryBudgetSection(Section):
    """An upstream's `retry_budget`, which hedging draws on as well."""

    percent: Percent = 20
    min_per_second: CountOrNone = 10
    window_s: Seconds = 10.0

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
    retries: RetriesSection = RetriesSection()
    retry_budget: RetryBudgetSection = RetryBudgetSection()

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
