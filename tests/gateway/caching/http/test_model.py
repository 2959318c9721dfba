"""The decisions against a plain cache, over whole histories of requests, changes, writes and failures."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from services.gateway.caching.http.conditions import present
from services.gateway.caching.http.dates import write_date
from services.gateway.caching.http.decision import on_answer, on_error, on_not_modified, on_request
from services.gateway.caching.http.freshness import SECOND_NS, Times
from services.gateway.caching.http.invalidation import invalidated
from services.gateway.caching.http.keys import add_variant
from services.gateway.caching.http.outcomes import Action, Decision, Form
from services.gateway.caching.http.stored import StoredAnswer, StorePlan
from services.gateway.protocol.fields import read_fields
from tests.gateway.caching.http.answers import WALL_S, block
from tests.gateway.caching.http.plain_cache import Meaning, PlainCache, Verdict, Wish

BODY_LENGTH = 3
SECONDS = st.sampled_from([0, 1, 2, 5, 10, 30])
MAYBE = st.none() | SECONDS
RARELY = st.sampled_from([False, False, False, True])
MEANINGS = st.builds(
    Meaning,
    version=st.just(0),
    max_age=MAYBE,
    s_maxage=st.sampled_from([None, None, 0, 1, 10]),
    no_cache=RARELY,
    no_store=RARELY,
    private=RARELY,
    public=st.booleans(),
    must_revalidate=RARELY,
    while_revalidate=SECONDS,
    if_error=st.sampled_from([0, 10, 100]),
    varies=st.booleans(),
    tagged=st.sampled_from([True, True, True, False]),
    age=st.sampled_from([0, 0, 1, 5]),
)
WISHES = st.builds(
    Wish,
    region=st.sampled_from([None, "eu", "us"]),
    authorized=RARELY,
    max_age=st.none() | MAYBE,
    min_fresh=st.sampled_from([0, 0, 1, 5]),
    max_stale=st.none() | MAYBE,
    no_cache=RARELY,
    no_store=RARELY,
    only_if_cached=RARELY,
    known_version=st.none() | st.integers(0, 3),
)
PLAIN_WISHES = st.builds(Wish, region=st.sampled_from([None, "eu", "us"]))


def version_of(stored: StoredAnswer) -> int:
    """Each version says its number in a field, tagged or not."""
    return int(read_fields(stored.head.split(b"\r\n"))[b"x-version"])


class Histories(RuleBasedStateMachine):
    """One target of one upstream, whose answers change; time in whole seconds."""

    @initialize(shared=st.booleans(), meaning=MEANINGS)
    def begin(self, shared: bool, meaning: Meaning) -> None:
        self.now = 1000
        self.shared = shared
        self.plain = PlainCache(shared=shared)
        self.variants: tuple[StoredAnswer, ...] = ()
        self.meaning = meaning
        self.version = 0
        self.failing = False

    @property
    def now_ns(self) -> int:
        return self.now * SECOND_NS

    @rule(seconds=st.integers(1, 12))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule(meaning=MEANINGS, changed=st.booleans())
    def the_upstream_changes(self, meaning: Meaning, changed: bool) -> None:
        self.meaning = meaning
        self.version += changed

    @rule(
        wishes=st.lists(st.tuples(st.integers(0, 4), RARELY, WISHES | PLAIN_WISHES), min_size=1, max_size=6)
    )
    def requests(self, wishes: list[tuple[int, bool, Wish]]) -> None:
        for seconds, failing, wish in wishes:
            self.now += seconds
            self.failing = failing
            self._request(wish, seconds % 2)

    def _request(self, wish: Wish, delay: int) -> None:
        request = read_fields(wish.lines())
        decision = on_request(b"GET", request, self.variants, self.now_ns)
        assert self._told(decision) == self.plain.verdict(wish, self.now)
        if decision.action is Action.VALIDATE and decision.stored is not None:
            assert decision.conditions == (b'if-none-match: "%d"' % version_of(decision.stored),)
            if self.failing:
                self._fail(wish, decision.stored)
            elif version_of(decision.stored) == self.version and self.meaning.tagged:
                self._confirm(wish)
            else:
                self._fetch(wish, delay)
        elif decision.action is Action.FORWARD and not self.failing:
            self._fetch(wish, delay)

    @rule(wish=PLAIN_WISHES)
    def a_revalidation_aside(self, wish: Wish) -> None:
        if not self.failing:
            self._fetch(wish, 0)

    @rule(
        status=st.sampled_from([200, 201, 204, 303, 409, 500]),
        method=st.sampled_from([b"POST", b"DELETE", b"GET"]),
    )
    def a_write(self, status: int, method: bytes) -> None:
        found = invalidated(method, status, {}, scheme=b"http", host=b"h", target=b"/a")
        assert bool(found) == (method != b"GET" and status < 400)
        if found:
            self.variants = ()
            self.plain.kept = []

    @invariant()
    def both_keep_the_same(self) -> None:
        if hasattr(self, "plain"):
            kept = sorted((each.meaning.version, each.age(self.now)) for each in self.plain.kept)
            assert kept == sorted((version_of(each), each.age_s(self.now_ns)) for each in self.variants)
            assert not self.shared or not any(stored.directives.private for stored in self.variants)

    def _told(self, decision: Decision) -> Verdict:
        stored, action = decision.stored, decision.action
        if action in {Action.FORWARD, Action.UNAVAILABLE} or stored is None:
            return Verdict(action.value)
        if action is Action.VALIDATE:
            return Verdict(action.value, version_of(stored))
        not_modified = decision.presentation.form is Form.NOT_MODIFIED
        return Verdict(action.value, version_of(stored), stored.age_s(self.now_ns), not_modified)

    def _lines(self, meaning: Meaning) -> tuple[bytes, ...]:
        date = write_date(WALL_S + self.now - meaning.age)
        return (*meaning.lines(date), b"X-Version: %d" % meaning.version)

    def _times(self, delay: int) -> Times:
        return Times(self.now_ns - delay * SECOND_NS, self.now_ns, WALL_S + self.now)

    def _current(self) -> Meaning:
        return Meaning(**{**vars(self.meaning), "version": self.version})

    def _fetch(self, wish: Wish, delay: int) -> None:
        self.now += delay
        meaning = self._current()
        lines = self._lines(meaning)
        plan = on_answer(
            b"GET",
            read_fields(wish.lines()),
            200,
            read_fields(lines),
            block(*lines),
            self._times(delay),
            shared=self.shared,
        )
        assert isinstance(plan, StorePlan) == self.plain.keep(meaning, wish, self.now, delay)
        if isinstance(plan, StorePlan):
            stored = plan.complete(BODY_LENGTH)
            assert stored is not None
            self.variants = add_variant(self.variants, stored)

    def _confirm(self, wish: Wish) -> None:
        meaning = self._current()
        lines = self._lines(meaning)
        if not meaning.varies:
            lines = (*lines, b"Vary:")  # else the field of the stored answer would stay
        request = read_fields(wish.lines())
        renewals = on_not_modified(self.variants, request, read_fields(lines), block(*lines), self._times(0))
        assert renewals
        for before, after, refusal, dropped in renewals:
            if dropped or refusal is None:
                self.variants = tuple(each for each in self.variants if each is not before)
            if refusal is None:
                self.variants = add_variant(self.variants, after)
            known = wish.known_version == self.version
            assert (present(b"GET", request, after).form is Form.NOT_MODIFIED) == known
        self.plain.confirm(meaning, wish, self.now)

    def _fail(self, wish: Wish, stored: StoredAnswer) -> None:
        decision = on_error(b"GET", read_fields(wish.lines()), stored, 503, self.now_ns)
        kept = self.plain.chosen(wish)
        assert kept is not None
        allowed = self.plain.may_replace_error(kept, wish, self.now)
        assert decision.action is (Action.SERVE_STALE if allowed else Action.FORWARD)


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
