"""A route's cache at work: what is asked of it before a request goes forward, and what it makes of the answers.

What may be stored and used, and why, is decided in `caching.http`; where it lies and what makes room for what, in
`caching.store`; what makes it out of date, in `caching.coherence`.
"""

from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from functools import lru_cache
from http import HTTPStatus
from sys import getsizeof
from time import time
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from services.gateway.caching.audiences import Audiences
from services.gateway.caching.coherence import (
    EVERYONE,
    TAGS_HEADER,
    TENANT_WIDE,
    VISIBILITY_HEADER,
    Coherence,
)
from services.gateway.caching.fetch import Fetch, Flight
from services.gateway.caching.http.cache_status import CacheStatus
from services.gateway.caching.http.conditions import PRECONDITIONS, present, presented_head
from services.gateway.caching.http.decision import on_answer, on_error, on_not_modified, on_request
from services.gateway.caching.http.fields import Fields, name_of, read_fields
from services.gateway.caching.http.freshness import Times
from services.gateway.caching.http.keys import (
    Audience,
    Visibility,
    add_variant,
    primary_key,
    read_key,
    resource_key,
)
from services.gateway.caching.http.outcomes import (
    SERVE,
    SERVE_STALE,
    SERVE_STALE_AND_REVALIDATE,
    UNAVAILABLE,
    WHOLE,
    Decision,
    Form,
    Forwarded,
    Presentation,
)
from services.gateway.caching.http.stored import StoredAnswer, StorePlan
from services.gateway.caching.http.structured import TARGETS
from services.gateway.caching.rule import CacheRule
from services.gateway.caching.store import Entry, Store
from services.gateway.forwarding.answer_head import AnswerHead
from shared.problems import Problem
from shared.telemetry.redaction import plain_url

if TYPE_CHECKING:
    from services.gateway.exchange import Exchange
    from services.gateway.protocol.request_head import RequestHead
    from shared.identity import Identity

_METHODS: Final = frozenset({b"GET", b"HEAD"})
_STATUS: Final = CacheStatus("kontor")
_OUR_TARGET: Final = TARGETS[0]
# Of one answer and not of the next: the time it took, and what only the gateway was told.
_NOT_AGAIN: Final = frozenset({b"server-timing", b"cache-status", *TARGETS})
_ALONE: Final = frozenset({Forwarded.BYPASS, Forwarded.REQUEST, Forwarded.METHOD})
_CONDITIONAL: Final = PRECONDITIONS | {b"range", b"if-range"}
_KNOWN_STATUSES: Final = frozenset(HTTPStatus)
_MOST_WAITS: Final = 3
_STALE_KEPT_NS: Final = 600_000_000_000
"""For so long an answer is kept that can be validated, or used when the upstream fails, after it is no longer fresh."""
_UNSTORABLE_NS: Final = 2_000_000_000
"""For so long nobody waits for an answer of a kind that could not be stored."""
_MOST_UNSTORABLE: Final = 10_000


# What became of a request, as counters, traces and `explain` call it.
HIT: Final = "hit"
MISS: Final = "miss"
STALE: Final = "stale"
COLLAPSED: Final = "collapsed"
BYPASS: Final = "bypass"
OUTCOMES: Final = (HIT, MISS, STALE, COLLAPSED, BYPASS)
_OUTCOMES_FORWARDED: Final[dict[Forwarded | None, str]] = {
    Forwarded.STALE: STALE,
    Forwarded.BYPASS: BYPASS,
    Forwarded.REQUEST: BYPASS,
}
_HAS_BODY: Final = "The request has a body or an upgrade, which no key holds."
_OTHER_METHOD: Final = "Only GET and HEAD are answered from the cache."
_WAITED: Final = "Another request fetched the same."
_WOULD_WAIT: Final = "Another request fetches the same: this one would wait for it."
_NOT_CURRENT: Final = (
    "Nothing stored is used at the moment: it is not certain that all changes at the upstream are known here."
)
_CHANGED: Final = "Something that the stored answer shows was changed since."
_NOBODY: Final = "Who asks decides what may be answered: give a key to try."
_NOT_STORED_LAST: Final = " Its last answer could not be stored."


class Taken(Enum):
    """What became of a request."""

    SERVED = "served"
    WAITING = "waiting"
    FORWARD = "forward"


SERVED: Final = Taken.SERVED
WAITING: Final = Taken.WAITING
FORWARD: Final = Taken.FORWARD


class Body:
    """A stored answer's body, its head as a caller gets the whole, and what shows that it is out of date.

    None of `slots` may have been stamped since `asked_ns`, when the request went out that it answers.
    """

    __slots__ = ("asked_ns", "content", "head", "slots", "tags")

    def __init__(
        self,
        stored: StoredAnswer,
        content: bytes,
        tags: tuple[bytes, ...],
        slots: tuple[int, ...],
        asked_ns: int,
    ) -> None:
        self.content = content
        self.head = b"".join((_status_line(stored.status), b"\r\n", _again(stored.head)))
        self.tags = tags
        self.slots = slots
        self.asked_ns = asked_ns


class Resource:
    """What is stored under one key: one answer, or several that vary."""

    __slots__ = ("bodies", "variants", "varies")

    def __init__(self, variants: tuple[StoredAnswer, ...], bodies: dict[StoredAnswer, Body]) -> None:
        self.variants = variants
        self.varies = any(stored.vary for stored in variants)
        self.bodies = bodies

    @property
    def size(self) -> int:
        """In memory, in bytes."""
        return sum(
            _PER_ANSWER + getsizeof(stored.head) + getsizeof(body.head) + getsizeof(body.content)
            for stored, body in self.bodies.items()
        )


_PER_ANSWER: Final = 1_200
"""What a stored answer and its body's record occupy besides their bytes."""


class RouteCache:
    """Of one route in one worker process; it outlives a reload of the configuration.

    `current` says whether every change up to an instant is known; while it is not, nothing stored is used.
    """

    def __init__(
        self, name: str, rule: CacheRule, coherence: Coherence, current: Callable[[int], bool] | None
    ) -> None:
        self.name = name
        self.rule = rule
        self.store: Store[Resource] = Store(rule.bound_bytes, rule.policy)
        self._audiences = Audiences(rule.visibility)
        self._coherence = coherence
        self._current = current
        self._flights: dict[bytes, Flight] = {}
        self._unstorable: dict[int, int] = {}  # by hash: keys may be long
        self.requests = dict.fromkeys(OUTCOMES, 0)
        self.refused: dict[str, int] = {}

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
            self._count(exchange, BYPASS, _HAS_BODY, now_ns)
            return FORWARD
        audience = self._audiences.of(exchange.caller)
        key = primary_key(audience, fields.scheme, fields.host, head.target)
        resource = self._valid(key, now_ns)
        request: Fields = fields.found
        variants: tuple[StoredAnswer, ...] = ()
        if resource is not None:
            variants = resource.variants
            if resource.varies:
                request = read_fields(fields.lines) | fields.found
        decision = on_request(head.method, request, variants, now_ns, self.rule.rules)
        stored = decision.stored
        if resource is not None and stored is not None and decision.action is SERVE:
            self._serve(exchange, stored, decision, resource.bodies[stored], now_ns)
            return SERVED
        if resource is not None and stored is not None and decision.action is SERVE_STALE_AND_REVALIDATE:
            if head.method == b"GET":
                self._renew(exchange, key, audience, resource, decision, now_ns)
            self._serve(exchange, stored, decision, resource.bodies[stored], now_ns)
            return SERVED
        if decision.action is UNAVAILABLE:
            self._count(exchange, MISS, decision.reason, now_ns)
            exchange.own_lines += _line(_STATUS.unasked(detail="only-if-cached"))
            exchange.refuse(Problem(504, "not_cached", "Gateway timeout", decision.reason))
            return SERVED
        return self._forward(exchange, key, audience, resource, decision, now_ns)

    def _valid(self, key: bytes, now_ns: int) -> Resource | None:
        """What is stored and nothing has changed of."""
        entry = self.store.get(key, now_ns)
        if entry is None or (self._current is not None and not self._current(now_ns)):
            return None
        resource = entry.value
        changed_since = self._coherence.stamps.changed_since
        for body in resource.bodies.values():
            if changed_since(body.slots, body.asked_ns):
                self.store.remove(key)  # by another process: all variants show the same records
                return None
        return resource

    def _serve(
        self,
        exchange: "Exchange",
        stored: StoredAnswer,
        decision: Decision,
        body: Body,
        now_ns: int,
    ) -> None:
        if exchange.fetch is not None:
            self._count(exchange, COLLAPSED, _WAITED, now_ns)
            about = _about(stored.age_s(now_ns), _STATUS.forwarded(Forwarded.MISS, collapsed=True))
        else:
            self.requests[HIT] += 1
            if exchange.kept:
                _note(exchange, HIT, decision.reason, now_ns)
            about = _about_hit(stored.age_s(now_ns), stored.ttl_s(now_ns))
        presentation = decision.presentation
        if presentation is WHOLE:
            exchange.serve(stored.status, body.head, about, body.content)
            return
        status, head, content = _presented(stored, presentation, body.content)
        exchange.serve(status, b"".join((_status_line(status), b"\r\n", head)), about, content)

    def _renew(
        self,
        exchange: "Exchange",
        key: bytes,
        audience: Audience,
        resource: Resource,
        decision: Decision,
        now_ns: int,
    ) -> None:
        """Validate beside the request what it is answered with (RFC 5861, 3), unless somebody fetches it already."""
        if key in self._flights or now_ns < self._unstorable.get(hash(key), 0):
            return
        aside = exchange.aside(now_ns)
        fetch = aside.fetch = Fetch(self, key, audience, exchange.fields)
        fetch.decision, fetch.resource = decision, resource
        fetch.began, fetch.asked_ns = self.store.begin(), now_ns
        self._flights[key] = fetch.flight = Flight()
        aside.fields.replace(_CONDITIONAL, decision.conditions)
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
        self._set_conditions(exchange, fetch, decision)
        if decision.forwarded not in _ALONE and exchange.head.method == b"GET":
            flight = self._flights.get(key)
            if flight is None:
                if now_ns >= self._unstorable.get(hash(key), 0):
                    self._flights[key] = fetch.flight = Flight()
            elif len(flight.followers) < self.rule.most_waiting and fetch.waited < _MOST_WAITS:
                fetch.waited += 1
                flight.followers.append(exchange)
                return WAITING
        fetch.began = self.store.begin()
        fetch.asked_ns = now_ns
        self._count(exchange, _OUTCOMES_FORWARDED.get(decision.forwarded, MISS), decision.reason, now_ns)
        return FORWARD

    def _set_conditions(self, exchange: "Exchange", fetch: Fetch, decision: Decision) -> None:
        """Ask for what is stored, if it is to be validated, and else for what the caller wants."""
        fields = exchange.fields
        if decision.conditions:
            fields.lines = fetch.lines
            fields.replace(_CONDITIONAL, decision.conditions)
        elif fields.lines is not fetch.lines:  # what it would have validated is gone since it waits
            fields.lines = fetch.lines
            fields.replace(frozenset(), ())

    def _count(self, exchange: "Exchange", outcome: str, reason: str, now_ns: int) -> None:
        """What became of a request, once it is certain; its trace tells of it, if that is kept."""
        self.requests[outcome] += 1
        if exchange.kept:
            _note(exchange, outcome, reason, now_ns)

    # When an answer has come, or none

    def settle(
        self, exchange: "Exchange", fetch: Fetch, head: AnswerHead, body: bytes, now_ns: int
    ) -> tuple[AnswerHead, bytes, bytes]:
        """What the caller gets for a whole answer: a head, a body, and lines about it. Stores what may be stored."""
        decision = fetch.decision
        if decision.conditions and fetch.resource is not None:
            if head.status == 304:
                return self._validated(exchange, fetch, fetch.resource, head, now_ns)
            rescued = self._rescued(exchange, fetch, head.status, now_ns)
            if rescued is not None:
                return rescued
        refusal = self._store(exchange, fetch, head, body, now_ns)
        if refusal:
            if exchange.head.method == b"GET" and _says_of_all(fetch, head.status, refusal):
                self._note_unstorable(fetch.key, now_ns)
            self.refused[refusal] = self.refused.get(refusal, 0) + 1
            if exchange.kept:
                _note(exchange, "not_stored", refusal, now_ns)
        member = _STATUS.forwarded(
            decision.forwarded or Forwarded.MISS,
            stored=not refusal,
            collapsed=False if fetch.waited else None,
            detail=refusal or None,
        )
        return head, body, _line(member)

    def passed(self, fetch: Fetch) -> bytes:
        """The line about an answer that is passed on as it comes, and not stored."""
        return _line(_STATUS.forwarded(fetch.decision.forwarded or Forwarded.MISS, detail="streamed"))

    def rescue(self, exchange: "Exchange", fetch: Fetch, now_ns: int) -> bool:
        """Whether a request that nobody answered could be answered from what is stored, and was (RFC 5861, 4)."""
        rescued = self._rescued(exchange, fetch, None, now_ns)
        if rescued is None:
            return False
        head, body, lines = rescued
        exchange.serve(head.status, b"".join((head.status_line, b"\r\n", head.onward)), lines, body)
        return True

    def _validated(
        self, exchange: "Exchange", fetch: Fetch, resource: Resource, head: AnswerHead, now_ns: int
    ) -> tuple[AnswerHead, bytes, bytes]:
        """The replica says that what is stored still stands (RFC 9111, 4.3.4)."""
        fields = self._answer_fields(head)
        times = Times(fetch.asked_ns, now_ns, int(time()))
        renewals = on_not_modified(
            resource.variants, fetch.request, fields, head.onward, times, self.rule.rules
        )
        if not renewals:
            return _unmatched(), b"", b""
        for renewal in renewals:
            body = resource.bodies[renewal.before]
            if renewal.refusal is None:
                self._put(exchange, fetch, renewal.after, body.content, _tags_of(head) or body.tags, now_ns)
            elif renewal.dropped:
                self.store.remove(fetch.key)
        renewal = renewals[0]
        presentation = present(exchange.head.method, fetch.request, renewal.after)
        member = _STATUS.forwarded(Forwarded.STALE, fwd_status=304, stored=renewal.refusal is None)
        content = resource.bodies[renewal.before].content
        return self._told(renewal.after, presentation, content, _line(member), now_ns)

    def _rescued(
        self, exchange: "Exchange", fetch: Fetch, status: int | None, now_ns: int
    ) -> tuple[AnswerHead, bytes, bytes] | None:
        stored = fetch.decision.stored
        if stored is None or fetch.resource is None:
            return None
        body = fetch.resource.bodies[stored]
        if self._coherence.stamps.changed_since(body.slots, body.asked_ns):
            return None  # it was changed while the upstream was asked
        decision = on_error(exchange.head.method, fetch.request, stored, status, now_ns, self.rule.rules)
        if decision.action is not SERVE_STALE:
            return None
        if exchange.kept:
            _note(exchange, "stale_if_error", decision.reason, now_ns)
        member = _STATUS.hit(stored.ttl_s(now_ns), detail="stale-if-error")
        return self._told(stored, decision.presentation, body.content, _line(member), now_ns)

    def _told(
        self, stored: StoredAnswer, presentation: Presentation, content: bytes, lines: bytes, now_ns: int
    ) -> tuple[AnswerHead, bytes, bytes]:
        status, onward, body = _presented(stored, presentation, content)
        head = AnswerHead(status, _status_line(status), onward, {}, False, len(body))
        return head, body, b"age: %d\r\n" % stored.age_s(now_ns) + lines

    def _store(self, exchange: "Exchange", fetch: Fetch, head: AnswerHead, body: bytes, now_ns: int) -> str:
        """Why it was not stored, in a word; empty when it was."""
        tags = _tags_of(head)
        if tags is None and self._current is not None:
            return "untagged"  # nobody would learn that it is out of date
        if tags is not None and self.rule.visibility.shared and _said_for(head) != TENANT_WIDE:
            return "visibility"
        plan = on_answer(
            exchange.head.method,
            fetch.request,
            head.status,
            self._answer_fields(head),
            head.onward,
            Times(fetch.asked_ns, now_ns, int(time())),
            shared=fetch.audience.shared,
            rules=self.rule.rules,
        )
        if not isinstance(plan, StorePlan):
            return plan.code
        stored = plan.complete(len(body))
        if stored is None:
            return "incomplete"
        return "" if self._put(exchange, fetch, stored, body, tags or (), now_ns) else "changed"

    def _put(
        self,
        exchange: "Exchange",
        fetch: Fetch,
        stored: StoredAnswer,
        content: bytes,
        tags: tuple[bytes, ...],
        now_ns: int,
    ) -> bool:
        """Whether it was stored: not, when something that it shows was changed since it was asked for."""
        tenant, coherence = fetch.audience.tenant, self._coherence
        scope = coherence.scope(tenant)
        target = resource_key(tenant, exchange.fields.scheme, exchange.fields.host, exchange.head.target)
        slots = coherence.stamps.slots(scope, (*tags, target))
        if coherence.stamps.changed_since(slots, fetch.asked_ns):
            return False
        entry = self.store.peek(fetch.key, now_ns)
        before = entry.value if entry is not None else Resource((), {})
        variants = add_variant(before.variants, stored)
        bodies = {one: before.bodies[one] for one in variants if one is not stored}
        bodies[stored] = Body(stored, content, tags, slots, fetch.asked_ns)
        resource = Resource(variants, bodies)
        entry = self.store.put(
            fetch.key,
            resource,
            resource.size,
            began=fetch.began,
            now_ns=now_ns,
            expires_at_ns=max(map(_kept_until, variants)),
            tags={name for body in bodies.values() for name in coherence.names(tenant, body.tags)},
        )
        return entry is not None

    def _answer_fields(self, head: AnswerHead) -> dict[bytes, bytes]:
        fields = head.fields()
        if TAGS_HEADER in head.found and _OUR_TARGET not in fields:
            # Public within the audience: the key holds who may see it, and it goes with the first change.
            fields[_OUR_TARGET] = b"public, max-age=%d" % self.rule.fresh_s
        return fields

    def _note_unstorable(self, key: bytes, now_ns: int) -> None:
        if len(self._unstorable) >= _MOST_UNSTORABLE:
            self._unstorable.clear()
        self._unstorable[hash(key)] = now_ns + _UNSTORABLE_NS

    def land(self, fetch: Fetch) -> None:
        """A fetch is over, however it went: whoever waited for it looks again."""
        flight, fetch.flight = fetch.flight, None
        if flight is None:
            return
        if self._flights.get(fetch.key) is flight:
            del self._flights[fetch.key]
        for follower in flight.followers:
            if not follower.over:
                follower.look_again()

    # What operators may change

    def change_policy(self, name: str) -> None:
        """Evict by another policy until the next `configure`; nothing is dropped. Raises `ValueError`."""
        self.store.change_policy(name)
        self.rule = replace(self.rule, policy=name)

    def purge(self, target: bytes, *, prefix: bool, tenant: bytes | None = None) -> int:
        """Drop what is stored of a target, or of all that begin with it; how many keys. O(all entries).

        Of one tenant (in hexadecimal, or `EVERYONE`) or of all. What is being fetched is not stored either.
        """

        def wanted(key: bytes) -> bool:
            if target not in key:  # most are not, and to read one takes 1.5 µs
                return False
            found = read_key(key)
            fits = found.target.startswith(target) if prefix else found.target == target
            return fits and tenant in (None, found.tenant)

        return self.store.remove_where(wanted)

    # What it tells of itself

    def describe(self, now_ns: int) -> dict[str, Any]:
        """The state as JSON, for the admin API."""
        return {
            **self.store.describe(),
            "name": self.name,
            "visibility": self.rule.visibility.value,
            "current": self._current is None or self._current(now_ns),
            "requests": dict(self.requests),
            "not_stored": dict(self.refused),
            "in_flight": len(self._flights),
        }

    def top(self, count: int, now_ns: int) -> list[dict[str, Any]]:
        """The most used of what is stored, as JSON: of identities nothing but tenants. O(entries)."""
        return [self._shown(entry, now_ns) for entry in self.store.top(count)]

    def explain(self, head: "RequestHead", identity: "Identity | None", now_ns: int) -> dict[str, Any]:
        """What would become of a request and why, as JSON (`admin.schemas.Caching`). Changes nothing.

        Without an `identity`, where one is needed, nobody can tell.
        """
        fields = head.fields
        if head.method not in _METHODS:
            return {"outcome": BYPASS, "reason": _OTHER_METHOD}
        if fields.body_length or fields.upgrade is not None:
            return {"outcome": BYPASS, "reason": _HAS_BODY}
        if identity is None and self.rule.visibility is not Visibility.EVERYONE:
            return {"outcome": "unknown", "reason": _NOBODY}
        key = primary_key(Audience(self.rule.visibility, identity), fields.scheme, fields.host, head.target)
        entry = self.store.peek(key, now_ns)
        doubt = self._doubt(entry.value, now_ns) if entry is not None else ""
        variants = entry.value.variants if entry is not None and not doubt else ()
        request = read_fields(fields.lines) | fields.found
        decision = on_request(head.method, request, variants, now_ns, self.rule.rules)
        return {
            **self._expected(head.method, key, decision, doubt, now_ns),
            "stored": None if entry is None else self._shown(entry, now_ns),
        }

    def _expected(
        self, method: bytes, key: bytes, decision: Decision, doubt: str, now_ns: int
    ) -> dict[str, Any]:
        if decision.action in {SERVE, SERVE_STALE_AND_REVALIDATE}:
            return {"outcome": HIT, "reason": decision.reason}
        if decision.action is UNAVAILABLE:
            return {"outcome": "unavailable", "reason": decision.reason}
        if decision.forwarded not in _ALONE and method == b"GET" and key in self._flights:
            return {"outcome": COLLAPSED, "reason": _WOULD_WAIT}
        reason = doubt or decision.reason
        if now_ns < self._unstorable.get(hash(key), 0):
            reason += _NOT_STORED_LAST
        return {"outcome": _OUTCOMES_FORWARDED.get(decision.forwarded, MISS), "reason": reason}

    def _doubt(self, resource: Resource, now_ns: int) -> str:
        """Why nothing that is stored may be used, if so."""
        if self._current is not None and not self._current(now_ns):
            return _NOT_CURRENT
        changed_since = self._coherence.stamps.changed_since
        if any(changed_since(body.slots, body.asked_ns) for body in resource.bodies.values()):
            return _CHANGED
        return ""

    def _shown(self, entry: Entry[Resource], now_ns: int) -> dict[str, Any]:
        key, resource = read_key(entry.key), entry.value
        latest = resource.variants[0]
        return {
            "tenant_id": None if key.tenant == EVERYONE else str(UUID(key.tenant.decode("ascii"))),
            "url": plain_url(key.url.decode("latin-1")),
            "visibility": key.visibility.value,
            "hits": entry.hits,
            "bytes": entry.size,
            "variants": len(resource.variants),
            "age_s": latest.age_s(now_ns),
            "ttl_s": latest.ttl_s(now_ns),
            "tags": sorted({tag.decode("latin-1") for body in resource.bodies.values() for tag in body.tags}),
        }


def _note(exchange: "Exchange", outcome: str, reason: str, now_ns: int) -> None:
    """For the request's trace."""
    exchange._decided(("cache", now_ns, {"crm.cache.outcome": outcome, "crm.cache.reason": reason}))


def _says_of_all(fetch: Fetch, status: int, refusal: str) -> bool:
    """Whether the next answer will not be stored either, as far as this one tells."""
    return refusal != "changed" and status < 500 and fetch.request.keys().isdisjoint(_CONDITIONAL)


def _kept_until(stored: StoredAnswer) -> int:
    """Until when it is of any use."""
    useful = max(stored.usable_until_ns, stored.revalidate_until_ns, stored.error_until_ns)
    return useful + _STALE_KEPT_NS if stored.conditions else useful


def _tags_of(head: AnswerHead) -> tuple[bytes, ...] | None:
    said = head.found.get(TAGS_HEADER)
    return None if said is None else tuple(said.split())


def _said_for(head: AnswerHead) -> bytes:
    return head.found.get(VISIBILITY_HEADER, b"")


def _presented(stored: StoredAnswer, presentation: Presentation, content: bytes) -> tuple[int, bytes, bytes]:
    """Status, header lines and body of what a caller gets of a stored answer."""
    head = _again(presented_head(stored, presentation))
    form = presentation.form
    if form is Form.WHOLE:
        return stored.status, head, content
    if form is Form.NOT_MODIFIED:
        return 304, head, b""
    if form is Form.UNSATISFIABLE:
        return 416, head + b"content-length: 0\r\n", b""
    part = content[presentation.first : presentation.last + 1]
    return 206, head + b"content-length: %d\r\n" % len(part), part


def _again(head: bytes) -> bytes:
    """The header lines without those that were true only the first time."""
    lines = [line for line in head.split(b"\r\n") if line and name_of(line) not in _NOT_AGAIN]
    return b"".join([line + b"\r\n" for line in lines])


def _status_line(status: int) -> bytes:
    phrase = HTTPStatus(status).phrase if status in _KNOWN_STATUSES else ""
    return b"HTTP/1.1 %d %b" % (status, phrase.encode("ascii"))


def _about(age_s: int, member: bytes) -> bytes:
    """The lines about an answer that was stored."""
    return b"age: %d\r\ncache-status: %b\r\n" % (age_s, member)


@lru_cache(maxsize=4096)
def _about_hit(age_s: int, ttl_s: int) -> bytes:
    """The same of all that were stored in the same second for as long."""
    return _about(age_s, _STATUS.hit(ttl_s))


def _line(member: bytes) -> bytes:
    return b"cache-status: " + member + b"\r\n"


def _unmatched() -> AnswerHead:
    """For a 304 about none of the answers that we asked about, which is no answer to anything."""
    return AnswerHead(502, _status_line(502), b"content-length: 0\r\n", {}, False, 0)
