"""Requests on their way for what the cache does not have."""

from typing import TYPE_CHECKING

from services.gateway.caching.http.conditions import PRECONDITIONS
from services.gateway.caching.http.fields import Fields
from services.gateway.protocol.fields import read_fields

if TYPE_CHECKING:
    from services.gateway.caching.cache import RouteCache
    from services.gateway.caching.http.keys import Audience
    from services.gateway.caching.http.outcomes import Decision
    from services.gateway.caching.resource import Resource
    from services.gateway.caching.second.level import Token
    from services.gateway.exchange import Exchange
    from services.gateway.protocol.request_head import RequestFields


class Flight:
    """The requests that wait for another one, which fetches what they want."""

    __slots__ = ("followers",)

    def __init__(self) -> None:
        self.followers: list[Exchange] = []


class Fetch:
    """What is remembered of a request that went forward, so that its answer can be stored.

    `began` is the store's epoch, and `asked_ns` the instant, before which whoever answers may not have seen a
    change. `waited` is how often it has waited for others, `flight` who waits for it. `request` are its fields as they
    came; `rewritten` tells that it went forward with other conditions than its caller's, or with none, and
    `asked_again` that it went forward a second time because the first answer was of no use. `looked` tells that the
    second level was asked, `shared` that it had the answer; `token` is what another can be stored with there.
    """

    __slots__ = (
        "_lines",
        "asked_again",
        "asked_ns",
        "audience",
        "began",
        "cache",
        "decision",
        "flight",
        "key",
        "looked",
        "request",
        "resource",
        "rewritten",
        "shared",
        "token",
        "waited",
    )

    def __init__(
        self, cache: "RouteCache", key: bytes, audience: "Audience", fields: "RequestFields"
    ) -> None:
        self.cache = cache
        self.key = key
        self.audience = audience
        self._lines = fields.lines
        self.request: Fields = read_fields(fields.lines) | fields.found
        self.decision: Decision
        self.resource: Resource | None = None
        self.began = 0
        self.asked_ns = 0
        self.waited = 0
        self.flight: Flight | None = None
        self.rewritten = False
        self.asked_again = False
        self.looked = self.shared = False
        self.token: Token | None = None

    @property
    def conditional(self) -> bool:
        """Whether its caller may want something else than the whole: nothing, if it has that, or a part."""
        return not self.request.keys().isdisjoint(PRECONDITIONS)

    def ask_if(self, fields: "RequestFields", conditions: tuple[bytes, ...]) -> None:
        """Have it go forward with these conditions in place of its caller's, which are seen to afterwards."""
        fields.lines = self._lines
        fields.replace(PRECONDITIONS, conditions)
        self.rewritten = True

    def ask_as_it_came(self, fields: "RequestFields") -> None:
        """Have it go forward as its caller has sent it."""
        fields.lines = self._lines
        fields.replace(frozenset(), ())
        self.rewritten = False
