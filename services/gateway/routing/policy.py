"""Which route a request takes: by host, then by the longest path prefix, then by method. Pure: no I/O, no framework."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from services.gateway.caching.rule import CacheRule
from services.gateway.resilience.concurrency import Priority
from services.gateway.resilience.hedging import HedgingRule
from services.gateway.resilience.retry_budget import RetryRule

# Percent-encoded dots are dots to the upstream's router (RFC 3986, 6.2.2.3), so they are to ours.
_DOT_SEGMENTS = frozenset({b".", b"..", b"%2e", b"%2e%2e", b".%2e", b"%2e."})
# Callers choose what they send as Host: what is remembered of it has a bound.
_REMEMBERED_HOSTS = 1024
# A name in DNS has at most 253 characters (RFC 1035, 2.3.4), a port five and its colon.
_LONGEST_HOST = 259


@dataclass(frozen=True, slots=True)
class HashOn:
    """What consistent hashing goes by: the client's address, the path, or the header or query field `name`."""

    part: Literal["client", "path", "header", "query"]
    name: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """Requests under `prefix` go to `upstream`.

    `hosts` are names or `*.name`, none: all; `methods` in capitals, none: all. `rewrite` replaces the
    prefix on the way. `timeout_s` seconds may pass until the answer begins, waiting and retries included, and
    as long may it fall silent afterwards; `attempt_timeout_s` bounds one attempt (`None`: nothing of its own).
    A `public` route asks for no key and vouches for nobody. `policy` is the balancing policy's name where it
    is not the upstream's, `hash_on` what consistent hashing goes by, `priority` who goes first when not all
    can, `retry` when a failed attempt is followed by another, `hedging` when one that is late is (`None`: never),
    `cache` what is kept of its answers (`None`: nothing). A request that takes `slow_s` is kept as a slow one (`None`:
    what is slow is learnt).
    """

    name: str
    prefix: str
    upstream: str
    public: bool = False
    rewrite: str | None = None
    timeout_s: float = 30.0
    hosts: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    policy: str | None = None
    hash_on: HashOn | None = None
    attempt_timeout_s: float | None = None
    priority: Priority = Priority.NORMAL
    retry: RetryRule = field(default_factory=RetryRule)
    hedging: HedgingRule | None = None
    cache: CacheRule | None = None
    slow_s: float | None = None

    def target(self, raw_path: bytes, query: bytes) -> bytes:
        """What the upstream is asked for: the caller's own bytes but for the rewritten prefix."""
        path = raw_path
        if self.rewrite is not None:
            # The prefix `/` has no segment of its own, and neither has the rewrite `/`.
            rest = raw_path.removeprefix(self.prefix.rstrip("/").encode("ascii"))
            path = self.rewrite.rstrip("/").encode("ascii") + rest or b"/"
        return path + b"?" + query if query else path

    def takes(self, method: str) -> bool:
        """Whether requests of this method go here; whoever answers GET answers HEAD (RFC 9110, 9.1)."""
        return not self.methods or method in self.methods or (method == "HEAD" and "GET" in self.methods)


class RouteTable:
    """An immutable set of routes.

    The most specific host comes first: its name, then the longest `*.name`, then the routes for all hosts.
    Among the routes of one host the longest prefix of whole segments wins that takes the method, and for
    one prefix a route that names the method. What no route of a host takes is left to the next less
    specific host. A look-up costs one dictionary access per path segment and one for the method, and where
    any route names hosts one for the host.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = tuple(routes)
        hosts = {host for route in self._routes for host in route.hosts}
        # `*.example.org` is kept as `.example.org`, which is what is left of a host without its first label.
        self._hosts = {
            host.removeprefix("*").encode("ascii"): _Prefixes(
                one for one in self._routes if host in one.hosts
            )
            for host in hosts
        }
        self._everywhere = _Prefixes(one for one in self._routes if not one.hosts)
        self._remembered: dict[bytes, tuple[_Prefixes, ...]] = {}

    def match(self, raw_path: bytes, method: bytes = b"GET", host: bytes = b"") -> Route | None:
        """The route of a request, or `None`: then `allowed` tells a wrong method from a wrong path.

        The path is compared as sent, not decoded: what has to be decoded to match is another path. `host`
        is the Host header's value as it came.
        """
        if self._hosts:
            for prefixes in self._places(host):
                route = prefixes.match(raw_path, method)
                if route is not None:
                    return route
            return None
        return self._everywhere.match(raw_path, method)

    def allowed(self, raw_path: bytes, host: bytes = b"") -> tuple[str, ...]:
        """The methods with which `raw_path` would lead somewhere, for `Allow`; none: 404, not 405.

        Only to be asked about a path that did not match: a route for every method would have.
        """
        places = self._places(host)
        return tuple(
            sorted(
                method.decode("ascii")
                for method in {method for prefixes in places for method in prefixes.methods}
                if any(prefixes.match(raw_path, method) for prefixes in places)
            )
        )

    def __iter__(self) -> Iterator[Route]:
        return iter(self._routes)

    def __len__(self) -> int:
        return len(self._routes)

    def _places(self, host: bytes) -> tuple["_Prefixes", ...]:
        """The routes for this host, the most specific first, those for all hosts last."""
        known = self._remembered.get(host)
        if known is None:
            if len(self._remembered) >= _REMEMBERED_HOSTS:
                self._remembered.clear()
            known = self._find_places(host_name(host))
            if len(host) <= _LONGEST_HOST:
                self._remembered[host] = known
        return known

    def _find_places(self, name: bytes) -> tuple["_Prefixes", ...]:
        labels = name.split(b".")
        names = [name, *(b"." + b".".join(labels[start:]) for start in range(1, len(labels)))]
        return (*(self._hosts[one] for one in names if one in self._hosts), self._everywhere)


class _Prefixes:
    """The routes of one host: for each method that any of them names, a table of its own."""

    __slots__ = ("_any", "methods")

    def __init__(self, routes: Iterable[Route]) -> None:
        routes = tuple(routes)
        named = {method for route in routes for method in route.methods}
        if "GET" in named:
            named.add("HEAD")
        self._any = {_key(route): route for route in routes if not route.methods}
        self.methods: Mapping[bytes, Mapping[bytes, Route]] = {
            method.encode("ascii"): self._any | self._taking(method, routes) for method in named
        }

    @staticmethod
    def _taking(method: str, routes: Iterable[Route]) -> dict[bytes, Route]:
        """Those that name methods and take this one; HEAD by its own name before HEAD by GET."""
        taking = [route for route in routes if route.methods and route.takes(method)]
        return {_key(route): route for route in sorted(taking, key=lambda one: method in one.methods)}

    def match(self, raw_path: bytes, method: bytes) -> Route | None:
        by_prefix = self.methods.get(method, self._any)
        prefix = raw_path
        while prefix:
            route = by_prefix.get(prefix)
            if route is not None:
                return route
            prefix = prefix.rpartition(b"/")[0]
        return by_prefix.get(b"/")


def _key(route: Route) -> bytes:
    return route.prefix.encode("ascii")


def host_name(host: bytes) -> bytes:
    """The name in a Host header: lower-case, without port and without the root's dot."""
    name = host.lower()
    if not name.endswith(b"]"):  # an IPv6 address without a port
        name = name.rpartition(b":")[0] or name
    return name.removesuffix(b".")


def has_dot_segment(raw_path: bytes) -> bool:
    """Whether a router further on might see another path than we do."""
    return any(segment.lower() in _DOT_SEGMENTS for segment in raw_path.split(b"/"))
