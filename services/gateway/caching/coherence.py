"""What becomes of an upstream's stored answers when something changes there.

A service that has a change feed says with each answer which records it contains, and with each write which it
changed, in the vocabulary of `shared.events.tags`. A change is known to every worker process of the machine before
the writer gets its answer, by the stamps that they share; what does not pass the gateway comes by the feed.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final
from uuid import UUID

from services.gateway.caching.http.invalidation import invalidated
from services.gateway.caching.http.keys import resource_key
from services.gateway.caching.stamps import Stamps, scope_of

if TYPE_CHECKING:
    from services.gateway.auth.keys import Caller
    from services.gateway.caching.cache import RouteCache
    from services.gateway.caching.second.level import SecondLevel
    from services.gateway.exchange import Exchange
    from services.gateway.forwarding.answer_head import AnswerHead

TAGS_HEADER: Final = b"x-kontor-tags"
CHANGED_HEADER: Final = b"x-kontor-changed"
VISIBILITY_HEADER: Final = b"x-kontor-visibility"
TENANT_WIDE: Final = b"tenant"
EVERYONE: Final = b"-"
"""In place of a tenant: of what was stored for everyone."""
_MOST_SCOPES: Final = 10_000
SAFE: Final = frozenset({b"GET", b"HEAD", b"OPTIONS"})

Tell = Callable[[bytes, tuple[bytes, ...] | None, Callable[[], None]], None]
"""Tells other gateways that these tags of a tenant (None: anything) were changed; calls back once they know."""


class Coherence:
    """Of one upstream, in one worker process; `caches` are those of its routes. `tell`: there are other gateways."""

    def __init__(self, upstream: str, stamps: Stamps) -> None:
        self._name = upstream
        self.upstream = scope_of(upstream)
        self._scopes = {EVERYONE: self.upstream + b"/" + EVERYONE}
        self.stamps = stamps
        self.tell: Tell | None = None
        self.caches: list[RouteCache] = []
        self.second: SecondLevel | None = None
        """Told of what passes this gateway. What others hear it need not: each uses nothing from there that it knows to
        be changed (docs/adr/0018)."""

    def scope(self, tenant: bytes) -> bytes:
        """What the tags of a tenant at this upstream are in; tags are the same in all tenants and services."""
        known = self._scopes.get(tenant)
        if known is None:
            if len(self._scopes) >= _MOST_SCOPES:
                self._scopes = {EVERYONE: self._scopes[EVERYONE]}
            known = self._scopes[tenant] = scope_of(self._name, UUID(tenant.decode("ascii")))
        return known

    def names(self, tenant: bytes, tags: Iterable[bytes]) -> list[bytes]:
        """What the stores call the tags of a tenant."""
        scope = self.scope(tenant)
        return [b"%b %b" % (scope, tag) for tag in tags]

    def changed(self, tenant: bytes, tags: Iterable[bytes], now_ns: int) -> None:
        """These were changed; what was stored for everyone may have shown them as well."""
        tags = tuple(tags)
        for one in (tenant, EVERYONE):
            self.stamps.stamp(self.scope(one), tags, now_ns)
            if self.second is not None:
                self.second.changed(self.scope(one), tags)
            names = self.names(one, tags)
            for cache in self.caches:
                cache.store.remove_tagged(names)

    def purge(self, tenant: bytes, tags: Iterable[bytes], now_ns: int) -> int:
        """As if these had been changed, since an operator says so; how many keys that drops here."""
        before = self._invalidated()
        self.changed(tenant, tags, now_ns)
        return self._invalidated() - before

    def _invalidated(self) -> int:
        return sum(cache.store.statistics.invalidated for cache in self.caches)

    def stamp(self, scope: bytes, tags: Iterable[bytes], now_ns: int) -> None:
        """These were changed in a tenant's scope, says the feed."""
        tags = tuple(tags)
        self.stamps.stamp(scope, tags, now_ns)
        self.stamps.stamp(self._scopes[EVERYONE], tags, now_ns)

    def stamp_scope(self, scope: bytes, now_ns: int) -> None:
        """Anything may have been changed in a scope, says the feed."""
        self.stamps.stamp_scope(scope, now_ns)

    def everything_changed(self, tenant: bytes, now_ns: int) -> None:
        """Nobody knows what was changed."""
        for one in (tenant, EVERYONE):
            self.stamps.stamp_scope(self.scope(one), now_ns)
            if self.second is not None:
                self.second.forget(self.scope(one))

    def changed_elsewhere(self, tenant: bytes, tags: Iterable[bytes] | None, now_ns: int) -> None:
        """These were changed through another gateway; None: nobody knows what."""
        if tags is None:
            self.everything_changed(tenant, now_ns)
        else:
            self.stamp(self.scope(tenant), tags, now_ns)

    def written(self, exchange: "Exchange", head: "AnswerHead", now_ns: int) -> bool:
        """The answer to a request that may have changed something is about to go to its caller.

        Whether it must not before `exchange.others_know` is called, by which all other gateways know.
        """
        tenant = tenant_of(exchange.caller)
        changed = head.found.get(CHANGED_HEADER)
        if head.status >= 500 or head.status == 101:
            # What a failure has done nobody knows, nor what is done in the tunnel that a 101 opens.
            self.everything_changed(tenant, now_ns)
            return False  # and nobody is told that anything has succeeded
        if changed is not None:
            tags = tuple(changed.split())
            self.changed(tenant, tags, now_ns)
        else:
            tags = self._written_target(exchange, head, tenant, now_ns)
        if self.tell is None or not (tags or exchange.past):
            return False
        # An attempt before this one may have done more than this answer says.
        self.tell(tenant, None if exchange.past else tags, exchange.others_know)
        return True

    def _written_target(
        self, exchange: "Exchange", head: "AnswerHead", tenant: bytes, now_ns: int
    ) -> tuple[bytes, ...]:
        """Of a service that does not say what it changed: its own address, and those it names (RFC 9111, 4.4)."""
        scheme, host = exchange.fields.scheme, exchange.fields.host
        keys: list[bytes] = []
        for target in invalidated(
            exchange.head.method,
            head.status,
            head.fields(),
            scheme=scheme,
            host=host,
            target=exchange.head.target,
        ):
            for one in (tenant, EVERYONE):
                key = resource_key(one, scheme, host, target)
                self.stamps.stamp(self.scope(one), (key,), now_ns)
                if self.second is not None:
                    self.second.changed(self.scope(one), (key,))
                keys.append(key)
        return tuple(keys)


def tenant_of(caller: "Caller | None") -> bytes:
    """Of a verified caller, in hexadecimal."""
    return caller.identity.tenant_id.hex.encode("ascii") if caller is not None else EVERYONE
