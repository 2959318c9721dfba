"""The entries of `routes`."""

from typing import Annotated, Any, Literal, get_args

from pydantic import Discriminator, Field, Tag

from services.gateway.caching.http.decision import Rules
from services.gateway.caching.http.keys import Visibility
from services.gateway.caching.rule import CacheRule
from services.gateway.config.values import (
    MAPPING_OR_FALSE,
    Count,
    FieldName,
    HostPattern,
    Method,
    Name,
    Percent,
    Seconds,
    SecondsOrNone,
    Text,
    UrlPath,
)
from services.gateway.documents import Section
from services.gateway.resilience.concurrency import Priority
from services.gateway.resilience.hedging import HedgingRule
from services.gateway.resilience.ledger import Outcome
from services.gateway.resilience.retry_budget import RetryRule
from services.gateway.routing.policy import HashOn, Route

# As `balancing.policies` names them; a test holds the two together.
PolicyName = Literal[
    "adaptive",
    "consistent_hash",
    "least_requests",
    "peak_ewma",
    "random",
    "round_robin",
    "weighted_round_robin",
]
CONSISTENT_HASH = "consistent_hash"

# Where the defaults stand.
_RETRY = RetryRule()
_HEDGING = HedgingRule()


class HeaderKey(Section):
    """`hash_on` a header."""

    header: FieldName


class QueryKey(Section):
    """`hash_on` a field of the query string."""

    query: Text


def _kind_of_key(content: Any) -> str | None:
    if isinstance(content, str):
        return "<word>"
    if isinstance(content, HeaderKey | QueryKey):
        return "<header>" if isinstance(content, HeaderKey) else "<query>"
    if isinstance(content, dict):
        return "<query>" if "query" in content else "<header>"
    return None


HashKey = Annotated[
    Annotated[Literal["client", "path"], Tag("<word>")]
    | Annotated[HeaderKey, Tag("<header>")]
    | Annotated[QueryKey, Tag("<query>")],
    Discriminator(
        _kind_of_key,
        custom_error_type="hash_on",
        custom_error_message="must be client, path, {header: name} or {query: name}",
    ),
]


# `resilience.ledger.Outcome` as labels: the failures that another attempt may mend.
Failure = Literal["refused", "busy", "broken", "timed_out", "unavailable", "server_error"]
PriorityName = Literal["high", "normal", "low"]


class RetriesSection(Section):
    """When a failed attempt is followed by another, of an upstream's requests or of one route's."""

    max_retries: Annotated[int, Field(ge=0, le=10)] = _RETRY.max_retries
    retry_on: tuple[Failure, ...] = get_args(Failure)
    backoff_base_s: SecondsOrNone = _RETRY.backoff_base_s
    backoff_max_s: SecondsOrNone = _RETRY.backoff_max_s
    min_remaining_s: SecondsOrNone = _RETRY.min_remaining_s

    def rule(self) -> RetryRule:
        """As the retries take it."""
        failures = frozenset(Outcome[label.upper()] for label in self.retry_on)
        return RetryRule(**self.model_dump(exclude={"retry_on"}), retry_on=failures)


class HedgingSection(Section):
    """When an idempotent request is sent a second time before the first is answered."""

    percentile: Annotated[float, Field(gt=0, lt=100)] = _HEDGING.percentile
    min_delay_s: SecondsOrNone = _HEDGING.min_delay_s
    max_hedges_percent: Percent = _HEDGING.max_hedges_percent
    budget_window_s: Seconds = _HEDGING.budget_window_s
    min_samples: Count = _HEDGING.min_samples
    half_life_s: Seconds = _HEDGING.half_life_s
    refresh_s: Seconds = _HEDGING.refresh_s

    def rule(self) -> HedgingRule:
        """As the hedging takes it."""
        return HedgingRule(**self.model_dump())


# `false` rather than `off`, which YAML 1.2 takes for text.
Hedging = Annotated[
    Annotated[HedgingSection, Tag("<mapping>")] | Annotated[Literal[False], Tag("<false>")], MAPPING_OR_FALSE
]


def hedging_rule(section: HedgingSection | Literal[False]) -> HedgingRule | None:
    """As the hedging takes it, `None` for none."""
    return section.rule() if section else None


# As `caching.eviction.policies` names them; a test holds the two together.
EvictionName = Literal["lru", "lfu", "sieve", "s3fifo", "adaptive"]
VisibilityName = Literal["everyone", "tenant", "scopes", "principal"]
_CACHE = CacheRule()


class CacheSection(Section):
    """What is kept of a route's answers."""

    bytes: Annotated[int, Field(ge=1024**2, le=64 * 1024**3)] = _CACHE.bound_bytes
    policy: EvictionName = "s3fifo"
    visibility: VisibilityName = "scopes"
    fresh_s: Annotated[int, Field(ge=1, le=86_400)] = _CACHE.fresh_s
    most_waiting: Count = _CACHE.most_waiting
    heuristics: bool = True
    obey_requests: bool = True
    shared: bool = True

    def rule(self) -> CacheRule:
        """As the cache takes it."""
        return CacheRule(
            bound_bytes=self.bytes,
            policy=self.policy,
            visibility=Visibility(self.visibility),
            fresh_s=self.fresh_s,
            most_waiting=self.most_waiting,
            rules=Rules(heuristics=self.heuristics, obey_requests=self.obey_requests),
            shared=self.shared,
        )


class RouteSection(Section):
    """One entry of `routes`."""

    name: Name
    prefix: UrlPath
    upstream: Name
    hosts: tuple[HostPattern, ...] = ()
    methods: tuple[Method, ...] = ()
    public: bool = False
    rewrite: UrlPath | None = None
    timeout_s: Seconds = 30.0
    attempt_timeout_s: Seconds | None = None
    policy: PolicyName | None = None
    hash_on: HashKey | None = None
    priority: PriorityName = "normal"
    retries: RetriesSection | None = None
    hedging: Hedging | None = None
    cache: CacheSection | None = None
    slow_s: Seconds | None = None

    def route(
        self, policy: str, retry: RetryRule, hedging: HedgingRule | None, slow_s: float | None
    ) -> Route:
        """The route; the arguments are its upstream's and the document's, for where it has none of its own."""
        policy = self.policy or policy
        return Route(
            name=self.name,
            prefix=self.prefix,
            upstream=self.upstream,
            public=self.public,
            rewrite=self.rewrite,
            timeout_s=self.timeout_s,
            attempt_timeout_s=self.attempt_timeout_s,
            hosts=self.hosts,
            methods=self.methods,
            policy=policy,
            hash_on=self._hash_on(policy),
            priority=Priority[self.priority.upper()],
            retry=self.retries.rule() if self.retries else retry,
            hedging=hedging if self.hedging is None else hedging_rule(self.hedging),
            cache=self.cache.rule() if self.cache else None,
            slow_s=self.slow_s or slow_s,
        )

    def _hash_on(self, policy: str) -> HashOn | None:
        if isinstance(self.hash_on, HeaderKey):
            return HashOn("header", self.hash_on.header.lower())
        if isinstance(self.hash_on, QueryKey):
            return HashOn("query", self.hash_on.query)
        if self.hash_on is not None:
            return HashOn(self.hash_on)
        return HashOn("client") if policy == CONSISTENT_HASH else None
