"""What a route's cache makes of answers: what it stores of them, and what their callers get."""

from collections.abc import Callable
from time import time
from typing import TYPE_CHECKING, Final

from services.gateway.caching.coherence import TAGS_HEADER, TENANT_WIDE, VISIBILITY_HEADER, Coherence
from services.gateway.caching.fetch import Fetch, Flight
from services.gateway.caching.http.conditions import PRECONDITIONS, present
from services.gateway.caching.http.decision import on_answer, on_error, on_not_modified
from services.gateway.caching.http.freshness import Times
from services.gateway.caching.http.keys import add_variant, resource_key
from services.gateway.caching.http.outcomes import SERVE_STALE, Forwarded, Presentation
from services.gateway.caching.http.stored import StoredAnswer, StorePlan
from services.gateway.caching.http.structured import TARGETS
from services.gateway.caching.presentation import STATUS, about, cache_status_line, presented, status_line
from services.gateway.caching.resource import Body, Resource
from services.gateway.caching.rule import CacheRule
from services.gateway.caching.store import Store
from services.gateway.caching.telling import note
from services.gateway.forwarding.answer_head import AnswerHead

if TYPE_CHECKING:
    from services.gateway.exchange import Exchange

_OUR_TARGET: Final = TARGETS[0]
_UNSTORABLE_NS: Final = 2_000_000_000
"""For so long nobody waits for an answer of a kind that could not be stored."""
_MOST_UNSTORABLE: Final = 10_000


class Filling:
    """The half of a route's cache that answers come to; only ever part of one."""

    def __init__(
        self, name: str, rule: CacheRule, coherence: Coherence, current: Callable[[int], bool] | None
    ) -> None:
        self.name = name
        self.rule = rule
        self.store: Store[Resource] = Store(rule.bound_bytes, rule.policy)
        self.refused: dict[str, int] = {}
        self._coherence = coherence
        self._current = current
        self._flights: dict[bytes, Flight] = {}
        self._unstorable: dict[int, int] = {}  # by hash: keys may be long

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
                note(exchange, "not_stored", refusal, now_ns)
        member = STATUS.forwarded(
            decision.forwarded or Forwarded.MISS,
            stored=not refusal,
            collapsed=False if fetch.waited else None,
            detail=refusal or None,
        )
        return head, body, cache_status_line(member)

    def passed(self, fetch: Fetch) -> bytes:
        """The line about an answer that is passed on as it comes, and not stored."""
        return cache_status_line(
            STATUS.forwarded(fetch.decision.forwarded or Forwarded.MISS, detail="streamed")
        )

    def rescue(self, exchange: "Exchange", fetch: Fetch, now_ns: int) -> bool:
        """Whether a request that nobody answered could be answered from what is stored, and was (RFC 5861, 4)."""
        rescued = self._rescued(exchange, fetch, None, now_ns)
        if rescued is None:
            return False
        head, body, lines = rescued
        exchange.serve(head.status, b"".join((head.status_line, b"\r\n", head.onward)), lines, body)
        return True

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

    # What is stored already

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
        member = STATUS.forwarded(Forwarded.STALE, fwd_status=304, stored=renewal.refusal is None)
        content = resource.bodies[renewal.before].content
        return _told(renewal.after, presentation, content, member, now_ns)

    def _rescued(
        self, exchange: "Exchange", fetch: Fetch, status: int | None, now_ns: int
    ) -> tuple[AnswerHead, bytes, bytes] | None:
        """What takes the place of a failure: `status` is what was answered, None for nothing."""
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
            note(exchange, "stale_if_error", decision.reason, now_ns)
        member = STATUS.hit(stored.ttl_s(now_ns), detail="stale-if-error")
        return _told(stored, decision.presentation, body.content, member, now_ns)

    # What is new

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
            expires_at_ns=resource.useful_until_ns,
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

    def _is_unstorable(self, key: bytes, now_ns: int) -> bool:
        """Whether nobody need wait for this, because the last answer could not be stored."""
        return now_ns < self._unstorable.get(hash(key), 0)


def _says_of_all(fetch: Fetch, status: int, refusal: str) -> bool:
    """Whether the next answer will not be stored either, as far as this one tells."""
    return refusal != "changed" and status < 500 and fetch.request.keys().isdisjoint(PRECONDITIONS)


def _tags_of(head: AnswerHead) -> tuple[bytes, ...] | None:
    said = head.found.get(TAGS_HEADER)
    return None if said is None else tuple(said.split())


def _said_for(head: AnswerHead) -> bytes:
    return head.found.get(VISIBILITY_HEADER, b"")


def _told(
    stored: StoredAnswer, presentation: Presentation, content: bytes, member: bytes, now_ns: int
) -> tuple[AnswerHead, bytes, bytes]:
    """What a caller gets of a stored answer after the replica was asked: head, body, and lines about it."""
    status, onward, body = presented(stored, presentation, content)
    head = AnswerHead(status, status_line(status), onward, {}, False, len(body))
    return head, body, about(stored.age_s(now_ns), member)


def _unmatched() -> AnswerHead:
    """For a 304 about none of the answers that we asked about, which is no answer to anything."""
    return AnswerHead(502, status_line(502), b"content-length: 0\r\n", {}, False, 0)
