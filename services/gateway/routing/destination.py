"""A route with all that its requests need, looked up once."""

from typing import TYPE_CHECKING

from services.gateway.resilience.deadline import DeadlineRule, Deadlines
from services.gateway.routing.policy import Route

if TYPE_CHECKING:
    from services.gateway.caching.cache import RouteCache
    from services.gateway.protocol.request_head import RequestHead
    from services.gateway.resilience.upstream import Upstream


class Destination:
    """Where the requests of one route go, and by which of its rules; made anew with each configuration."""

    __slots__ = (
        "_rewrites",
        "balancer",
        "cache",
        "deadlines",
        "hashes",
        "hedging",
        "name",
        "priority",
        "public",
        "retries",
        "route",
        "template",
        "timeout_ns",
        "upstream",
    )

    def __init__(self, route: Route, upstream: "Upstream", cache: "RouteCache | None" = None) -> None:
        self.route = route
        self.name = route.name
        self.template = route.prefix
        self.public = route.public
        self.hashes = route.hash_on is not None
        self.upstream = upstream
        self.cache = cache
        self.balancer = upstream.balancer(route.policy)
        self.retries = upstream.retry_policy(route.retry)
        self.hedging = upstream.hedging(route.hedging)
        self.priority = route.priority
        self.timeout_ns = int(route.timeout_s * 1e9)
        self.deadlines = Deadlines(DeadlineRule(route.timeout_s, route.attempt_timeout_s))
        self._rewrites = route.rewrite is not None

    def target(self, head: "RequestHead") -> bytes:
        """What the replica is asked for: the caller's own bytes but for the rewritten prefix."""
        return self.route.target(head.path, head.query) if self._rewrites else head.target

    def key(self, head: "RequestHead", client: str) -> bytes:
        """What consistent hashing goes by, empty when nothing is named."""
        hash_on = self.route.hash_on
        if hash_on is None:
            return b""
        if hash_on.part == "client":
            return client.encode("ascii")
        if hash_on.part == "path":
            return head.path
        name = hash_on.name.encode("latin-1")
        if hash_on.part == "header":
            return head.fields.found.get(name.lower()) or _header(head.fields.lines, name.lower())
        return next(
            (
                value
                for pair in head.query.split(b"&")
                for key, _, value in (pair.partition(b"="),)
                if key == name
            ),
            b"",
        )


def _header(lines: list[bytes], name: bytes) -> bytes:
    for line in lines:
        field, _, value = line.partition(b":")
        if field.lower() == name:
            return value.strip(b" \t")
    return b""
