"""The longest path prefix wins. Pure: no I/O, no framework."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# Percent-encoded dots are dots to the upstream's router (RFC 3986, 6.2.2.3), so they are to ours.
_DOT_SEGMENTS = frozenset({b".", b"..", b"%2e", b"%2e%2e", b".%2e", b"%2e."})


@dataclass(frozen=True, slots=True)
class Route:
    """Requests under `prefix` go to `upstream`.

    `rewrite` replaces the prefix on the way; `timeout_s` is the longest silence of the upstream, in
    seconds, before and during its answer; a `public` route asks for no key and vouches for nobody.
    """

    name: str
    prefix: str
    upstream: str
    public: bool = False
    rewrite: str | None = None
    timeout_s: float = 30.0

    def target(self, raw_path: bytes, query: bytes) -> bytes:
        """What the upstream is asked for: the caller's own bytes but for the rewritten prefix."""
        path = raw_path
        if self.rewrite is not None:
            path = self.rewrite.encode("ascii") + raw_path[len(self.prefix) :]
        return path + b"?" + query if query else path


class RouteTable:
    """An immutable set of routes. A look-up costs one dictionary access per path segment."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._by_prefix = {route.prefix.encode("ascii"): route for route in routes}

    def match(self, raw_path: bytes) -> Route | None:
        """The route with the longest prefix of whole segments of `raw_path`, or `None`.

        The path is compared as sent, not decoded: what has to be decoded to match is another path.
        """
        prefix = raw_path
        while prefix:
            route = self._by_prefix.get(prefix)
            if route is not None:
                return route
            prefix = prefix.rpartition(b"/")[0]
        return self._by_prefix.get(b"/")

    def __iter__(self) -> Iterator[Route]:
        return iter(self._by_prefix.values())


def has_dot_segment(raw_path: bytes) -> bool:
    """Whether a router further on might see another path than we do."""
    return any(segment.lower() in _DOT_SEGMENTS for segment in raw_path.split(b"/"))
