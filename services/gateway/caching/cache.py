"""A route's cache at work: what is asked of it before a request goes forward.

What it makes of the answers is in `caching.filling`. What may be stored and used, and why, is decided in
`caching.http`; where it lies and what makes room for what, in `caching.store`; what makes it out of date, in
`caching.coherence`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final

from services.gateway.caching.audiences import Audiences
from services.gateway.caching.coherence import Coherence
from services.gateway.caching.fetch import Fetch, Flight
from services.gateway.caching.filling import Filling
from services.gateway.caching.http.decision import on_request
from services.gateway.caching.http.directives import request_directives
from services.gateway.caching.http.fields import Fields
from services.gateway.caching.http.keys import Audience, Visibility, primary_key, read_key
from services.gateway.caching.http.outcomes import (
    SERVE_STALE_AND_REVALIDATE,
    UNAVAILABLE,
    WHOLE,
    Decision,
    Forwarded,
)
from services.gateway.caching.http.stored import StoredAnswer
from services.gateway.caching.presentation import (
    STATUS,
    about,
    about_hit,
    about_shared,
    cache_status_line,
    presented,
    status_line,
)
from services.gateway.caching.resource import Body, Resource
from services.gateway.caching.rule import CacheRule
from services.gateway.caching.second.sharing import name_of_target
from services.gateway.caching.telling import (
    BYPASS,
    CHANGED,
    COLLAPSED,
    FOUND_BEYOND,
    HAS_BODY,
    HIT,
    MISS,
    NOBODY,
    NOT_CURRENT,
    OTHER_METHOD,
    OUTCOMES,
    SHARED,
    WAITED,
    expected,
    note,
    note_renewal,
    outcome_of,
    shown,
)
from services.gateway.protocol.fields import read_fields
from shared.problems import Problem

if TYPE_CHECKING:
    from services.gateway.caching.second.level import SecondLevel
    from services.gateway.exchange import Exchange
    from services.gateway.protocol.request_head import RequestHead
    from shared.identity import Identity

_METHODS: Final = frozenset({b"GET", b"HEAD"})
_ALONE: Final = frozenset({Forwarded.BYPASS, Forwarded.REQUEST, Forwarded.METHOD})
_MOST_WAITS: Final = 3


class Taken(Enum):
    """What became of a request."""

    SERVED = "served"
    WAITING = "waiting"
    FORWARD = "forward"


SERVED: Final = Taken.SERVED
WAITING: Final = Taken.WAITING
FORWARD: Final = Taken.FORWARD


class RouteCache(Filling):
    """Of one route in one worker process; it outlives a reload of the configuration.

    `current` says whether every change up to an instant is known; while it is not, nothing stored is used.
    """

    def __init__(
        self, name: str, rule: CacheRule, coherence: Coherence, current: Callable[[int], bool] | None
    ) -> None:
        Filling.__init__(self, name, rule, coherence, current)
        self.requests = dict.fromkeys(OUTCOMES, 0)
        self.unproven = 0
        self._audiences = Audiences(rule.visibility)

    def configure(self, rule: CacheRule, current: Callable[[int], bool] | None, now_ns: int) -> None:
        """Go by another rule, or by another feed; what is stored stays, unless it was stored on other conditions."""
        before, self.rule = self.rule, rule
        if current != self._current:
            self._current = current
            self.store.clear()
        if rule.policy != before.policy:
            self.store.change_policy(rule.policy)
        if rule.bound_bytes != before.bound_bytes:
            self.store.change_bound(rule.bound_bytes, now_ns)
        if rule.visibility != before.visibility:
            self._audiences = Audiences(rule.visibility)
            self.store.clear()

    def belongs_to(self, coherence: Coherence) -> bool:
        """Whether it is of this upstream still."""
        return self._coherence is coherence

    def retire(self) -> None:
        """The route has none any more."""
        self._coherence.caches.remove(self)
        self.store.clear()

    # Before a request goes forward

    def take(self, exchange: "Exchange", now_ns: int) -> Taken:
        """Answer it from what is stored, let it wait for another that fetches the same, or let it go forward."""
        head, fields = exchange.head, exchange.fields
        if head.method not in _METHODS:
            return FORWARD
        if fields.body_length or fields.upgrade is not None:
            self._count(exchange, BYPASS, HAS_BODY, now_ns)
            return FORWARD
        audience = self._audiences.of(exchange.caller)
        key = primary_key(audience, fields.scheme, fields.host, head.target)
        entry = self.store.get(key, now_ns)
        doubt = self._doubt(entry.value, now_ns) if entry is not None else ""
        if doubt is CHANGED:
            self.store.remove(key)  # by another process: all variants show the same records
        elif doubt:
            self.unproven += 1
        resource = entry.value if entry is not None and not doubt else None
        request: Fields = fields.found
        variants: tuple[StoredAnswer, ...] = ()
        if resource is not None:
            variants = resource.variants
            if resource.varies:
                request = read_fields(fields.lines) | fields.found
        decision = on_request(head.method, request, variants, now_ns, self.rule.rules)
        stored = decision.stored
        if resource is not None and stored is not None and decision.forwarded is None:
            if decision.action is SERVE_STALE_AND_REVALIDATE and head.method == b"GET":
                self._renew_aside(exchange, key, audience, resource, decision, now_ns)
            self._serve(exchange, stored, decision, resource.bodies[stored], now_ns)
            return SERVED
        if decision.action is UNAVAILABLE:
            self._count(exchange, MISS, decision.reason, now_ns)
            exchange.own_lines += cache_status_line(STATUS.unasked(detail="only-if-cached"))
            exchange.refuse(Problem(504, "not_cached", "Gateway timeout", decision.reason))
            return SERVED
        return self._forward(exchange, key, audience, resource, decision, now_ns)

    def _doubt(self, resource: Resource, now_ns: int) -> str:
        """Why nothing that is stored of it may be used, if so."""
        if self._current is not None and not self._current(now_ns):
            return NOT_CURRENT
        changed_since = self._coherence.stamps.changed_since
        for body in resource.bodies.values():
            if changed_since(body.slots, body.asked_ns):
                return CHANGED
        return ""

    def _serve(
        self,
        exchange: "Exchange",
        stored: StoredAnswer,
        decision: Decision,
        body: Body,
        now_ns: int,
    ) -> None:
        if exchange.fetch is not None and exchange.fetch.shared:
            self._count(exchange, SHARED, FOUND_BEYOND, now_ns)
            lines = about_shared(stored.age_s(now_ns), stored.ttl_s(now_ns))
        elif exchange.fetch is not None:
            self._count(exchange, COLLAPSED, WAITED, now_ns)
            lines = about(stored.age_s(now_ns), STATUS.forwarded(Forwarded.MISS, collapsed=True))
        else:
            self.requests[HIT] += 1
            if exchange.kept:
                note(exchange, HIT, decision.reason, now_ns)
            lines = about_hit(stored.age_s(now_ns), stored.ttl_s(now_ns))
        presentation = decision.presentation
        if presentation is WHOLE:
            exchange.serve(stored.status, body.head, lines, body.content)
            return
        status, head, content = presented(stored, presentation, body.content)
        exchange.serve(status, b"".join((status_line(status), b"\r\n", head)), lines, content)

    def _renew_aside(
        self,
        exchange: "Exchange",
        key: bytes,
        audience: Audience,
        resource: Resource,
        decision: Decision,
        now_ns: int,
    ) -> None:
        """Validate beside the request what it is answered with (RFC 5861, 3), unless somebody fetches it already."""
        if key in self._flights or self._is_unstorable(key, now_ns):
            return
        aside = exchange.aside(now_ns)
        note_renewal(aside, exchange, now_ns)
        fetch = aside.fetch = Fetch(self, key, audience, exchange.fields)
        fetch.decision, fetch.resource = decision, resource
        fetch.began, fetch.asked_ns = self.store.begin(), now_ns
        self._flights[key] = fetch.flight = Flight()
        fetch.ask_if(aside.fields, decision.conditions)
        aside.send_aside()

    def _forward(
        self,
        exchange: "Exchange",
        key: bytes,
        audience: Audience,
        resource: Resource | None,
        decision: Decision,
        now_ns: int,
    ) -> Taken:
        fetch = exchange.fetch
        if fetch is None:
            fetch = exchange.fetch = Fetch(self, key, audience, exchange.fields)
        fetch.decision, fetch.resource = decision, resource
        if (
            decision.forwarded not in _ALONE
            and exchange.head.method == b"GET"
            and self._waits(exchange, fetch, now_ns)
        ):
            return WAITING
        if decision.conditions or (fetch.flight is not None and fetch.conditional):
            # A leader asks for the whole, whatever part of it is wanted: others may want another.
            fetch.ask_if(exchange.fields, decision.conditions)
        fetch.began = self.store.begin()
        fetch.asked_ns = now_ns
        self._count(exchange, outcome_of(decision.forwarded), decision.reason, now_ns)
        return FORWARD

    def _waits(self, exchange: "Exchange", fetch: Fetch, now_ns: int) -> bool:
        """Whether it waits: for whoever fetches the same, or as that one for what the second level has."""
        flight = self._flights.get(fetch.key)
        if flight is None:
            if not self._may_lead(fetch, now_ns):
                return False
            self._flights[fetch.key] = fetch.flight = Flight()
            return self._look_beyond(exchange, fetch, now_ns)
        if flight is fetch.flight or fetch.waited >= _MOST_WAITS:
            return False
        if len(flight.followers) >= self.rule.most_waiting:
            return False
        fetch.waited += 1
        flight.followers.append(exchange)
        return True

    def _may_lead(self, fetch: Fetch, now_ns: int) -> bool:
        """Whether others may wait for what it fetches: only if it may be stored, as far as can be told."""
        return not self._is_unstorable(fetch.key, now_ns) and not request_directives(fetch.request).no_store

    def _count(self, exchange: "Exchange", outcome: str, reason: str, now_ns: int) -> None:
        """What became of a request, once it is certain; its trace tells of it, if that is kept."""
        self.requests[outcome] += 1
        if exchange.kept:
            note(exchange, outcome, reason, now_ns)

    # What operators may change

    def change_policy(self, name: str) -> None:
        """Evict by another policy until the next `configure`; nothing is dropped. Raises `ValueError`."""
        self.store.change_policy(name)
        self.rule = replace(self.rule, policy=name)

    async def purge(self, target: bytes, *, prefix: bool, tenant: bytes | None = None) -> int:
        """Drop what is stored of a target, or of all that begin with it; how many keys.

        Of one tenant (in hexadecimal, or `EVERYONE`) or of all. What is being fetched is not stored either. O(all
        entries), in steps: requests get their turn in between.
        """

        def wanted(key: bytes) -> bool:
            if target not in key:  # most are not, and to read one takes 1.5 µs
                return False
            found = read_key(key)
            fits = found.target.startswith(target) if prefix else found.target == target
            return fits and tenant in (None, found.tenant)

        if self._coherence.second is not None and self.rule.shared:
            await self._purge_beyond(self._coherence.second, () if prefix else (target,), tenant)
        count = 0
        for dropped in self.store.removing(wanted):
            count += dropped
            await asyncio.sleep(0)
        return count

    async def _purge_beyond(
        self, second: "SecondLevel", targets: tuple[bytes, ...], tenant: bytes | None
    ) -> None:
        """First of all, so that nothing comes back from there: these targets, or of what begins alike everything."""
        coherence = self._coherence
        scope = coherence.scope(tenant) if tenant is not None else coherence.upstream
        if not await second.purge(scope, map(name_of_target, targets)):
            # What they still have was asked for before this instant.
            coherence.stamps.stamp_scope(scope, perf_counter_ns())

    # What it tells of itself

    def describe(self, now_ns: int) -> dict[str, Any]:
        """The state as JSON, for the admin API."""
        return {
            **self.store.describe(),
            "name": self.name,
            "visibility": self.rule.visibility.value,
            "current": self._current is None or self._current(now_ns),
            "requests": dict(self.requests),
            "unproven": self.unproven,
            "not_stored": dict(self.refused),
            "in_flight": len(self._flights),
        }

    def top(self, count: int, now_ns: int) -> list[dict[str, Any]]:
        """The most used of what is stored, as JSON: of identities nothing but tenants. O(entries)."""
        return [shown(entry, now_ns) for entry in self.store.top(count)]

    def explain(self, head: "RequestHead", identity: "Identity | None", now_ns: int) -> dict[str, Any]:
        """What would become of a request and why, as JSON (`admin.schemas.Caching`). Changes nothing.

        Without an `identity`, where one is needed, nobody can tell.
        """
        fields = head.fields
        if head.method not in _METHODS:
            return {"outcome": BYPASS, "reason": OTHER_METHOD}
        if fields.body_length or fields.upgrade is not None:
            return {"outcome": BYPASS, "reason": HAS_BODY}
        if identity is None and self.rule.visibility is not Visibility.EVERYONE:
            return {"outcome": "unknown", "reason": NOBODY}
        key = primary_key(Audience(self.rule.visibility, identity), fields.scheme, fields.host, head.target)
        entry = self.store.peek(key, now_ns)
        doubt = self._doubt(entry.value, now_ns) if entry is not None else ""
        variants = entry.value.variants if entry is not None and not doubt else ()
        request = read_fields(fields.lines) | fields.found
        decision = on_request(head.method, request, variants, now_ns, self.rule.rules)
        collapses = decision.forwarded not in _ALONE and head.method == b"GET"
        second = self._coherence.second
        return {
            **expected(
                decision,
                doubt,
                would_wait=collapses and key in self._flights,
                would_look=collapses and self.rule.shared and second is not None and not doubt,
                unstorable=self._is_unstorable(key, now_ns),
            ),
            "stored": None if entry is None else shown(entry, now_ns),
        }
