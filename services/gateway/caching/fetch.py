"""Requests on their way for what the cache does not have."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.gateway.caching.cache import Resource, RouteCache
    from services.gateway.caching.http.fields import Fields
    from services.gateway.caching.http.keys import Audience
    from services.gateway.caching.http.outcomes import Decision
    from services.gateway.exchange import Exchange


class Flight:
    """The requests that wait for another one, which fetches what they want."""

    __slots__ = ("followers",)

    def __init__(self) -> None:
        self.followers: list[Exchange] = []


class Fetch:
    """What is remembered of a request that went forward, so that its answer can be stored.

    `began` is the store's epoch, and `asked_ns` the instant, before which whoever answers may not have seen a
    change. `waited` is how often it has waited for others, `flight` who waits for it.
    """

    __slots__ = (
        "asked_ns",
        "audience",
        "began",
        "cache",
        "decision",
        "flight",
        "key",
        "request",
        "resource",
        "waited",
    )

    def __init__(self, cache: "RouteCache", key: bytes, audience: "Audience", request: "Fields") -> None:
        self.cache = cache
        self.key = key
        self.audience = audience
        self.request = request
        self.decision: Decision
        self.resource: Resource | None = None
        self.began = 0
        self.asked_ns = 0
        self.waited = 0
        self.flight: Flight | None = None
