"""The whole document."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from services.gateway.config.checks import contradictions
from services.gateway.config.peers import PeersSection
from services.gateway.config.rate_limit import RateSection
from services.gateway.config.routes import RouteSection
from services.gateway.config.shared_cache import SharedCacheSection
from services.gateway.config.upstreams import UpstreamSection
from services.gateway.config.values import Count, Name, Network, Seconds, SecondsOrNone
from services.gateway.documents import Document, Location, Section
from services.gateway.limits.sizes import SizeLimits
from services.gateway.limits.timeouts import Timeouts
from services.gateway.resilience.client_connections import ClientConnectionRule
from services.gateway.routing.policy import Route
from services.gateway.timing.keeping import KeepingRule

_CLIENTS = ClientConnectionRule()
_KEEPING = KeepingRule()


class AuthSection(Section):
    """Who may ask: whoever has a key, or everyone (a gateway in front of services that ask themselves)."""

    mode: Literal["keys", "none"] = "keys"


class LimitsSection(Section):
    """Bounds on one request and one connection."""

    max_header_bytes: Annotated[int, Field(ge=1024, le=65_536)] = SizeLimits().max_header_bytes
    max_body_bytes: Annotated[int, Field(ge=0)] = SizeLimits().max_body_bytes
    head_timeout_s: Seconds = 10.0
    body_timeout_s: Seconds = 30.0
    idle_timeout_s: Seconds = 75.0
    connections: Count = _CLIENTS.max_total
    connections_per_client: Count = _CLIENTS.max_per_client
    ipv6_prefix_bits: Annotated[int, Field(ge=32, le=128)] = _CLIENTS.ipv6_prefix_bits
    max_pipelined_bytes: Annotated[int, Field(ge=1024, le=16 * 1024**2)] = 65_536

    def sizes(self) -> SizeLimits:
        """The bounds on a request."""
        return SizeLimits(self.max_header_bytes, self.max_body_bytes)

    def clients(self, trusted_proxies: tuple[Network, ...]) -> ClientConnectionRule:
        """The bounds on connections; trusted proxies that are named by their address speak for many clients."""
        return ClientConnectionRule(
            max_per_client=self.connections_per_client,
            max_total=self.connections,
            ipv6_prefix_bits=self.ipv6_prefix_bits,
            exempt=frozenset(str(one.network_address) for one in trusted_proxies if one.num_addresses == 1),
        )

    def timeouts(self) -> Timeouts:
        """The patience with a caller."""
        return Timeouts(
            head_ns=round(self.head_timeout_s * 1e9),
            body_ns=round(self.body_timeout_s * 1e9),
            idle_ns=round(self.idle_timeout_s * 1e9),
        )


class TracesSection(Section):
    """From when on a request is slow, and so kept as a trace whatever is sampled."""

    slow_s: Seconds | None = None
    slow_percentile: Annotated[float, Field(gt=0, lt=100)] = _KEEPING.slow_percentile
    slow_min_s: SecondsOrNone = _KEEPING.slow_min_s

    def rule(self, routes: Iterable[Route]) -> KeepingRule:
        """As the keeping takes it, but for the share that is sampled, which the environment says."""
        return KeepingRule(
            slow_s={route.name: route.slow_s for route in routes if route.slow_s is not None},
            slow_percentile=self.slow_percentile,
            slow_min_s=self.slow_min_s,
        )


def _count_of_workers(content: Any) -> Any:
    if content == "auto":
        return None
    if not isinstance(content, int) or isinstance(content, bool) or not 1 <= content <= 256:
        raise ValueError("must be auto or a whole number from 1 to 256")
    return content


class ConfigDocument(Document):
    """The whole document. `workers` is `None` where it says `auto`: one for each CPU."""

    workers: Annotated[int | None, BeforeValidator(_count_of_workers)] = None
    trusted_proxies: tuple[Network, ...] = ()
    auth: AuthSection = AuthSection()
    limits: LimitsSection = LimitsSection()
    rate_limit: RateSection = RateSection()
    traces: TracesSection = TracesSection()
    shared_cache: SharedCacheSection | None = None
    peers: PeersSection | None = None
    routes: tuple[RouteSection, ...]
    upstreams: Mapping[Name, UpstreamSection]

    @classmethod
    def contradictions(cls, content: Any) -> Iterable[tuple[Location, str]]:
        """Where routes and upstreams contradict themselves or one another."""
        return contradictions(content)
