"""What a worker's gateway says of itself, made by the real upstream from attempts that a test makes up."""

from collections.abc import Sequence
from typing import Any

from services.gateway.balancing.endpoint import EndpointRegistry
from services.gateway.caching.cache import RouteCache
from services.gateway.caching.coherence import Coherence
from services.gateway.caching.rule import CacheRule
from services.gateway.caching.stamps import Stamps
from services.gateway.config import parse
from services.gateway.resilience.ledger import OK, Outcome
from services.gateway.resilience.upstream import Upstream

NOW = 1_000_000_000
DOCUMENT = """
routes: [{name: all, prefix: /, upstream: web}]
upstreams: {web: {replicas: [{host: a, port: 1}, {host: "[::1]", port: 2, weight: 3}]}}
"""


class Described:
    """One upstream of two replicas that are healthy, two caches under one prefix, and connections that were refused."""

    def __init__(self) -> None:
        self.upstream = Upstream(parse(DOCUMENT).upstreams["web"], EndpointRegistry())
        for endpoint in self.upstream.endpoints:
            self.upstream.observe(endpoint, True, "200")
        coherence = Coherence("web", Stamps.private())
        self.caches = {name: RouteCache(name, CacheRule(), coherence, None) for name in ("all", "reads")}
        self.refused = 0

    def attempt(self, outcome: Outcome | None = OK, replica: int = 0) -> None:
        """A request's first attempt; without an outcome it is still under way."""
        upstream = self.upstream
        endpoint = upstream.endpoints[replica]
        pool = upstream.pools[endpoint]
        upstream.ledger.first()
        endpoint.began(NOW)
        token = pool.breaker.on_start(NOW)
        if outcome is not None:
            upstream.ended(pool, token, NOW, 1_000_000, outcome)

    def attempts(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            self.attempt(outcome)

    def __call__(self) -> dict[str, Any]:
        return {
            "connections": {"open": 1, "refused": self.refused},
            "rate_limit": {"uncounted": 0, "shared": None},
            "upstreams": {"web": self.upstream.describe(NOW)},
            "caches": {name: {**cache.describe(NOW), "prefix": "/"} for name, cache in self.caches.items()},
            "second": None,
            "peers": None,
        }
