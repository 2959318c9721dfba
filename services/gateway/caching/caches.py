"""The caches of all routes, and what keeps them up to date: change feeds, other gateways, a second level."""

from collections.abc import Callable, Mapping
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from services.gateway.caching.cache import RouteCache
from services.gateway.caching.coherence import Coherence
from services.gateway.caching.following import Follower
from services.gateway.caching.peers.peers import Peers
from services.gateway.caching.second.rule import SecondLevelRule
from services.gateway.caching.stamps import Stamps

if TYPE_CHECKING:
    from services.gateway.caching.second.level import SecondLevel
    from services.gateway.config.snapshot import Snapshot
    from services.gateway.resilience.upstream import Upstream
    from services.gateway.routing.policy import Route
    from shared.identity.signer import IdentitySigner


class Caches:
    """Of one worker, on one event loop, between `start` and `stop`.

    With each configuration: `configure`, then `of` for each route, at last `configured`. What it does not change keeps
    what is stored.
    """

    def __init__(self, stamps: Stamps, signer: "IdentitySigner | None") -> None:
        """Without a `signer` no service lets us follow its changes."""
        self._stamps = stamps
        self._signer = signer
        self._by_route: dict[str, RouteCache] = {}
        self._followers: dict[str, Follower] = {}
        self._peers = Peers(stamps, signer)
        self._second: SecondLevel | None = None
        self._started = False

    def get(self, route: str) -> RouteCache | None:
        """The cache of a route, if it has one."""
        return self._by_route.get(route)

    # What the document says

    def configure(self, snapshot: "Snapshot") -> None:
        """Another configuration, whose upstreams are not in force yet."""
        self._forget_followers(snapshot)
        self._peers.configure(snapshot.peers)
        self._choose_second_level(snapshot.shared_cache)

    def of(self, route: "Route", upstream: "Upstream") -> RouteCache | None:
        """The cache of a route, which outlives a change of its rule; None if it shall have none."""
        if route.cache is None:
            return None
        if upstream.coherence is None:
            upstream.coherence = Coherence(upstream.name, self._stamps)
        self._follow_changes(upstream, upstream.coherence)
        known = self._by_route.get(route.name)
        if known is not None and known.belongs_to(upstream.coherence):
            known.configure(route.cache, self._currency(upstream), perf_counter_ns())
            return known
        if known is not None:
            known.retire()
        cache = RouteCache(route.name, route.cache, upstream.coherence, self._currency(upstream))
        self._by_route[route.name] = cache
        upstream.coherence.caches.append(cache)
        return cache

    def configured(self, snapshot: "Snapshot", upstreams: "Mapping[str, Upstream]") -> None:
        """All routes have what they shall have."""
        cached = {route.name for route in snapshot.routes if route.cache is not None}
        for name in self._by_route.keys() - cached:
            self._by_route.pop(name).retire()
        self._peers.configured()
        for upstream in upstreams.values():
            if upstream.coherence is not None:
                upstream.coherence.second = self._second

    def _choose_second_level(self, rule: SecondLevelRule | None) -> None:
        """Have the caches share a second level, another one, or none."""
        before = self._second
        if rule == (before.rule if before is not None else None):
            return
        if before is not None:
            before.leave()
        self._second = None
        if rule is not None:
            # Its imports take half a second, and most gateways have none.
            from services.gateway.caching.second.level import SecondLevel  # noqa: PLC0415

            self._second = SecondLevel(rule)
            if self._started:
                self._second.start()

    def _currency(self, upstream: "Upstream") -> Callable[[int], bool] | None:
        """What tells whether every change of an upstream is known; None of one that tells of none."""
        if not upstream.plan.changes:
            return None
        follower = self._followers.get(upstream.name)
        # Without a key to sign with nobody lets us follow, and nothing that is stored may be used.
        followed = follower.current if follower is not None else _never
        if upstream.coherence is None:
            return followed
        return self._peers.add(upstream, upstream.coherence, followed)

    def _follow_changes(self, upstream: "Upstream", coherence: Coherence) -> None:
        """Begin to follow the changes of an upstream that tells of them, unless that is done already."""
        if not upstream.plan.changes or self._signer is None or upstream.name in self._followers:
            return
        follower = Follower(
            upstream.name, upstream.plan.audience, upstream.healthy_addresses, self._signer, coherence
        )
        self._followers[upstream.name] = follower
        if self._started:
            follower.start()

    def _forget_followers(self, snapshot: "Snapshot") -> None:
        """Of upstreams that are gone, have no cache or tell of no changes any more, or have another audience."""
        cached = {route.upstream for route in snapshot.routes if route.cache is not None}
        for name, follower in list(self._followers.items()):
            plan = snapshot.upstreams.get(name)
            followed = plan is not None and plan.changes and plan.audience == follower.audience
            if not followed or name not in cached:
                del self._followers[name]
                follower.close()

    # Life

    def start(self) -> None:
        """Begin to follow the changes."""
        self._started = True
        if self._second is not None:
            self._second.start()
        for follower in self._followers.values():
            follower.start()
        self._peers.start()

    def sweep(self, now_ns: int) -> None:
        """Called about once a second: drop what is out of date."""
        self._stamps.catch_up()
        for cache in self._by_route.values():
            cache.store.sweep(now_ns)

    async def stop(self) -> None:
        """Let go of everything."""
        for follower in self._followers.values():
            await follower.stop()
        await self._peers.stop()
        if self._second is not None:
            await self._second.stop()

    # What is told to operators

    def describe(self, prefixes: Mapping[str, str], now_ns: int) -> dict[str, Any]:
        """For the admin API and the metrics; `prefixes` are those of the routes, by name."""
        return {
            "caches": {
                name: {**cache.describe(now_ns), "prefix": prefixes[name]}
                for name, cache in self._by_route.items()
            },
            "second": self._second.describe() if self._second is not None else None,
            "peers": self._peers.describe(now_ns),
        }


def _never(now_ns: int) -> bool:
    """Of changes that nobody can follow."""
    return False
