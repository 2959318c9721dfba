"""What a route's cache makes of answers: what it stores of them, and what their callers get."""

from collections.abc import Callable, Iterable
from functools import partial
from time import perf_counter_ns, time
from typing import TYPE_CHECKING, Final

from services.gateway.caching.coherence import TAGS_HEADER, TENANT_WIDE, VISIBILITY_HEADER, Coherence
from services.gateway.caching.fetch import Fetch, Flight
from services.gateway.caching.http.conditions import present
from services.gateway.caching.http.decision import (
    Renewal,
    on_answer,
    on_error,
    on_head_answer,
    on_not_modified,
)
from services.gateway.caching.http.directives import request_directives
from services.gateway.caching.http.freshness import Times
from services.gateway.caching.http.keys import add_variant, resource_key, selecting
from services.gateway.caching.http.outcomes import (
    FORWARD,
    SERVE_STALE,
    WHOLE,
    Decision,
    Forwarded,
    Presentation,
)
from services.gateway.caching.http.stored import StoredAnswer, StorePlan
from services.gateway.caching.http.structured import TARGETS
from services.gateway.caching.presentation import STATUS, about, cache_status_line, presented, status_line
from services.gateway.caching.resource import Body, Resource
from services.gateway.caching.rule import CacheRule
from services.gateway.caching.second.sharing import head_of, name_of_target, shared_answer
from services.gateway.caching.store import Store
from services.gateway.caching.telling import note
from services.gateway.forwarding.answer_head import AnswerHead
from services.gateway.protocol.fields import read_fields

if TYPE_CHECKING:
    from services.gateway.caching.second.entries import SharedAnswer
    from services.gateway.caching.second.level import Found, SecondLevel
    from services.gateway.exchange import Exchange

_OUR_TARGET: Final = TARGETS[0]
_UNSTORABLE_NS: Final = 2_000_000_000
"""For so long nobody waits for an answer of a kind that could not be stored."""
_TOO_LARGE_NS: Final = 60_000_000_000
"""The same of one that was too large: to find out anew costs the beginning of a long body."""
_CHANGED: Final = "changed"
_MOST_UNSTORABLE: Final = 2_000
"""Of so many keys that is known: 0.3 MiB, which the bound does not count."""


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
    ) -> tuple[AnswerHead, bytes, bytes] | None:
        """What the caller gets for a whole answer: a head, a body, and lines about it. Stores what may be stored.

        None when the answer is of no use to anybody: then it is to be asked again, as `exchange.fields` say now.
        """
        decision = fetch.decision
        if decision.conditions and fetch.resource is not None:
            if head.status == 304:
                return self._validated(exchange, fetch, fetch.resource, head, now_ns)
            rescued = self._rescued(exchange, fetch, head.status, now_ns)
            if rescued is not None:
                return rescued
        if head.status == 304 and fetch.rewritten:
            return _unasked(), b"", cache_status_line(_member(fetch, fwd_status=304))
        if exchange.is_head:
            self._compare(exchange, fetch, head, now_ns)
        times = Times(fetch.asked_ns, now_ns, int(time()))
        stored = self._store(exchange, fetch, head, body, times, now_ns)
        if isinstance(stored, str):
            self._refuse(exchange, fetch, head.status, stored, now_ns)
        elif fetch.conditional:
            presentation = present(exchange.head.method, fetch.request, stored)
            if presentation is not WHOLE:
                member = _member(fetch, fwd_status=head.status, stored=True)
                return _told(stored, presentation, body, member, now_ns)
        detail = stored if isinstance(stored, str) else None
        return head, body, cache_status_line(_member(fetch, stored=detail is None, detail=detail))

    def too_large(self, exchange: "Exchange", fetch: Fetch, status: int, now_ns: int) -> bool:
        """Of an answer that comes in parts, and is not stored: whether it is to be asked again.

        That is so where the caller wants but a part of it, or nothing unless it is new, and we have asked for all.
        """
        if fetch.flight is not None and status < 500:
            self._note_unstorable(fetch.key, now_ns + _TOO_LARGE_NS)
        self.land(fetch)
        if status != 200 or fetch.asked_again or not (fetch.rewritten and fetch.conditional):
            return False
        reason = "The whole is too large to be stored, and not all of it wanted."
        self._ask_again(exchange, fetch, reason, now_ns)
        fetch.ask_as_it_came(exchange.fields)
        return True

    def passed(self, fetch: Fetch) -> bytes:
        """The line about an answer that is passed on as it comes, and not stored."""
        return cache_status_line(_member(fetch, detail="streamed"))

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
    ) -> tuple[AnswerHead, bytes, bytes] | None:
        """The replica says that what is stored still stands (RFC 9111, 4.3.4)."""
        lines = self._lines_of(head)
        times = Times(fetch.asked_ns, now_ns, int(time()))
        renewals = on_not_modified(
            resource.variants, fetch.request, _read(lines), lines, times, self.rule.rules
        )
        if not renewals:
            self._ask_again(
                exchange, fetch, "It was answered 304, which none of what is stored fits.", now_ns
            )
            fetch.ask_if(exchange.fields, ())
            return None
        self._renew(exchange, fetch, resource, renewals, head, now_ns)
        renewal = renewals[0]
        presentation = present(exchange.head.method, fetch.request, renewal.after)
        member = STATUS.forwarded(Forwarded.STALE, fwd_status=304, stored=renewal.refusal is None)
        content = resource.bodies[renewal.before].content
        return _told(renewal.after, presentation, content, member, now_ns)

    def _compare(self, exchange: "Exchange", fetch: Fetch, head: AnswerHead, now_ns: int) -> None:
        """The answer to a HEAD tells of the stored answers to the same GET (RFC 9111, 4.3.5)."""
        entry = self.store.peek(fetch.key, now_ns)
        if entry is None:
            return
        resource = entry.value
        # What was asked for later is newer than what this tells.
        known = [one for one in resource.variants if resource.bodies[one].asked_ns <= fetch.asked_ns]
        lines = self._lines_of(head)
        times = Times(fetch.asked_ns, now_ns, int(time()))
        renewals = on_head_answer(
            known, fetch.request, head.status, _read(lines), lines, times, self.rule.rules
        )
        self._renew(exchange, fetch, resource, renewals, head, now_ns)

    def _renew(
        self,
        exchange: "Exchange",
        fetch: Fetch,
        resource: Resource,
        renewals: Iterable[Renewal],
        head: AnswerHead,
        now_ns: int,
    ) -> None:
        """Put in force what an answer says of those that are stored."""
        for renewal in renewals:
            body = resource.bodies[renewal.before]
            if renewal.refusal is None:
                self._put(exchange, fetch, renewal.after, body.content, _tags_of(head) or body.tags, now_ns)
            elif renewal.dropped:
                self.store.remove(fetch.key)

    def _ask_again(self, exchange: "Exchange", fetch: Fetch, reason: str, now_ns: int) -> None:
        """From now on it is a request for what is not stored."""
        fetch.decision = Decision(FORWARD, reason, forwarded=fetch.decision.forwarded)
        fetch.resource = None
        fetch.asked_again = True
        if exchange.kept:
            note(exchange, "asked_again", reason, now_ns)

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

    def _store(
        self, exchange: "Exchange", fetch: Fetch, head: AnswerHead, body: bytes, times: Times, now_ns: int
    ) -> StoredAnswer | str:
        """What was stored, or why nothing, in a word."""
        tags = _tags_of(head)
        if tags is None and self._current is not None:
            return "untagged"  # nobody would learn that it is out of date
        if tags is not None and self.rule.visibility.shared and _said_for(head) != TENANT_WIDE:
            return "visibility"
        lines = self._lines_of(head)
        plan = on_answer(
            exchange.head.method,
            fetch.request,
            head.status,
            _read(lines),
            lines,
            times,
            shared=fetch.audience.shared,
            rules=self.rule.rules,
        )
        if not isinstance(plan, StorePlan):
            return plan.code
        stored = plan.complete(len(body))
        if stored is None:
            return "incomplete"
        return stored if self._put(exchange, fetch, stored, body, tags or (), now_ns) else _CHANGED

    def _refuse(self, exchange: "Exchange", fetch: Fetch, status: int, refusal: str, now_ns: int) -> None:
        """An answer was not stored."""
        if fetch.flight is not None and refusal != _CHANGED and status < 500:
            # A leader asked for what everybody wants: as far as this tells, the next answer is no other.
            self._note_unstorable(fetch.key, now_ns + _UNSTORABLE_NS)
        self.refused[refusal] = self.refused.get(refusal, 0) + 1
        if exchange.kept:
            note(exchange, "not_stored", refusal, now_ns)

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
        if entry is None:
            return False
        if fetch.token is not None and coherence.second is not None:
            names = (*tags, target, name_of_target(exchange.head.target))
            answer = shared_answer(self._shared_key(fetch), stored, content, tags, fetch, now_ns)
            coherence.second.store(scope, fetch.token, answer, names, stored.usable_until_ns - now_ns)
        return True

    # The second level

    def _look_beyond(self, exchange: "Exchange", fetch: Fetch, now_ns: int) -> bool:
        """Whether the second level was asked, so that it looks again when that has answered."""
        second = self._coherence.second
        if second is None or not self.rule.shared or fetch.looked:
            return False
        if request_directives(fetch.request).no_cache:
            return False  # nor would it be used
        if self._current is not None and not self._current(now_ns):
            return False
        fetch.looked = True
        fetch.began = self.store.begin()
        # What others have stamped so far counts from now on, and not only from when the answer is here.
        self._coherence.stamps.catch_up()
        scope = self._coherence.scope(fetch.audience.tenant)
        return second.look(scope, self._shared_key(fetch), partial(self._looked, exchange, fetch, second))

    def _looked(self, exchange: "Exchange", fetch: Fetch, second: "SecondLevel", found: "Found") -> None:
        if exchange.over or exchange.fetch is not fetch:
            return
        try:
            if found.answer is not None:
                refusal = self._adopt(exchange, fetch, found.answer, found.asked_ns, perf_counter_ns())
                fetch.shared = not refusal
                second.used(refusal)
                if refusal and exchange.kept:
                    note(exchange, "not_shared", refusal, perf_counter_ns())
        finally:
            if not fetch.shared:
                fetch.token = found.token
            exchange.look_again()

    def _adopt(
        self, exchange: "Exchange", fetch: Fetch, answer: "SharedAnswer", asked_ns: int, now_ns: int
    ) -> str:
        """Why an answer from the second level was not stored, as if it had been asked for here; empty when it was."""
        if selecting(answer.vary, fetch.request) != answer.selecting:
            return "varies"
        entry = self.store.peek(fetch.key, now_ns)
        if entry is not None and any(body.asked_ns >= asked_ns for body in entry.value.bodies.values()):
            return "older"
        fetch.asked_ns = asked_ns
        times = Times(asked_ns, asked_ns + answer.took_ns, answer.wall_s)
        stored = self._store(exchange, fetch, head_of(answer), answer.body, times, now_ns)
        return stored if isinstance(stored, str) else ""

    def _shared_key(self, fetch: Fetch) -> bytes:
        return b"%b\n%b" % (self.name.encode("ascii"), fetch.key)

    def _lines_of(self, head: AnswerHead) -> bytes:
        """The answer's header lines, with what its tags mean."""
        if TAGS_HEADER not in head.found or _OUR_TARGET in head.fields():
            return head.onward
        # Public within the audience: the key holds who may see it, and it goes with the first change.
        return head.onward + b"%b: public, max-age=%d\r\n" % (_OUR_TARGET, self.rule.fresh_s)

    def _note_unstorable(self, key: bytes, until_ns: int) -> None:
        if len(self._unstorable) >= _MOST_UNSTORABLE:
            self._unstorable.clear()
        self._unstorable[hash(key)] = until_ns

    def _is_unstorable(self, key: bytes, now_ns: int) -> bool:
        """Whether nobody need wait for this, because the last answer could not be stored."""
        return now_ns < self._unstorable.get(hash(key), 0)


def _member(
    fetch: Fetch, *, fwd_status: int | None = None, stored: bool = False, detail: str | None = None
) -> bytes:
    """What `Cache-Status` says of a request that went forward."""
    return STATUS.forwarded(
        fetch.decision.forwarded or Forwarded.MISS,
        fwd_status=fwd_status,
        stored=stored,
        collapsed=False if fetch.waited else None,
        detail=detail,
    )


def _read(lines: bytes) -> dict[bytes, bytes]:
    return read_fields(lines.split(b"\r\n")[:-1])


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


def _unasked() -> AnswerHead:
    """For a 304 to a request without conditions, which is no answer to anything."""
    return AnswerHead(502, status_line(502), b"content-length: 0\r\n", {}, False, 0)
