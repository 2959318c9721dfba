"""Using stored answers: RFC 9111 4, 4.2.4, 5.2.1 and 5.2.2; RFC 5861."""

import pytest

from services.gateway.caching.http.decision import Rules, on_error
from services.gateway.caching.http.freshness import SECOND_NS
from services.gateway.caching.http.outcomes import Action, Form, Forwarded
from services.gateway.protocol.fields import read_fields
from tests.gateway.caching.http.answers import NOW_NS, ask, stored

TAG = b'ETag: "t"'
FRESH = stored(b"Cache-Control: max-age=60", TAG)
S, V, F, U = Action.SERVE, Action.VALIDATE, Action.FORWARD, Action.UNAVAILABLE


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"QUERY", b"get"])
def test_4_other_methods_are_written_through(method: bytes) -> None:
    decision = ask(FRESH, method=method)
    assert (decision.action, decision.forwarded) == (F, Forwarded.METHOD)


def test_4_a_fresh_answer_is_used_for_get_and_head() -> None:
    for method in (b"GET", b"HEAD"):
        decision = ask(FRESH, method=method, after_s=30)
        assert (decision.action, decision.stored, decision.presentation.form) == (S, FRESH, Form.WHOLE)


def test_4_nothing_stored_is_a_miss() -> None:
    assert ask().forwarded is Forwarded.URI_MISS
    assert ask(fields=(b"Cache-Control: max-age=5",)).forwarded is Forwarded.URI_MISS


def test_4_a_stale_answer_is_validated_where_it_can_be() -> None:
    decision = ask(FRESH, after_s=60)
    assert (decision.action, decision.forwarded) == (V, Forwarded.STALE)
    assert decision.conditions == (b'if-none-match: "t"',)
    decision = ask(stored(b"Cache-Control: max-age=60"), after_s=60)
    assert (decision.action, decision.forwarded, decision.conditions) == (F, Forwarded.STALE, ())


def test_5_2_2_4_no_cache_is_validated_every_time() -> None:
    answer = stored(b"Cache-Control: no-cache, max-age=60, stale-while-revalidate=60", TAG)
    for fields in ((), (b"Cache-Control: max-stale",), (b"Cache-Control: max-age=60",)):
        assert ask(answer, fields=fields, after_s=1).action is V


def test_rfc9213_2_2_no_cache_of_a_targeted_field_makes_max_age_inoperative() -> None:
    assert ask(stored(b"CDN-Cache-Control: no-cache, max-age=60", TAG), after_s=1).action is V


@pytest.mark.parametrize(
    ("asked", "after_s", "action"),
    [
        # 5.2.1.1
        *((b"max-age=10", 10, S), (b"max-age=10", 11, V), (b"max-age=0", 1, V), (b"max-age=x", 1, V)),
        (b"max-age=100", 60, V),
        # 5.2.1.2
        *(
            (b"max-stale", 1000, S),
            (b"max-stale=10", 70, S),
            (b"max-stale=10", 71, V),
            (b"max-stale=x", 61, V),
        ),
        *((b"max-age=100, max-stale=50", 99, S), (b"max-age=100, max-stale=50", 101, V)),
        # 5.2.1.3
        *((b"min-fresh=10", 50, S), (b"min-fresh=10", 51, V), (b"min-fresh=x", 0, V)),
        (b"min-fresh=10, max-stale=100", 55, V),
        # 5.2.1.4
        *((b"no-cache", 0, V), (b"No-Cache, max-stale", 0, V)),
        # 5.2.1.5: the answer is stored already
        (b"no-store", 0, S),
        # 5.2.1.6
        (b"no-transform", 0, S),
        # 5.2.1.7
        *((b"only-if-cached", 0, S), (b"only-if-cached", 60, U), (b"only-if-cached, max-stale", 60, S)),
        (b"only-if-cached, max-age=1", 2, U),
    ],
)
def test_5_2_1_what_requests_ask_for(asked: bytes, after_s: int, action: Action) -> None:
    assert ask(FRESH, fields=(b"Cache-Control: " + asked,), after_s=after_s).action is action


def test_5_2_1_7_only_if_cached_without_anything_stored_is_504() -> None:
    assert ask(fields=(b"Cache-Control: only-if-cached",)).action is U


def test_5_2_1_a_fresh_answer_that_a_request_refuses_is_forwarded_for_the_request_s_sake() -> None:
    assert ask(FRESH, fields=(b"Cache-Control: no-cache",)).forwarded is Forwarded.REQUEST
    assert ask(FRESH, fields=(b"Cache-Control: no-cache",), after_s=61).forwarded is Forwarded.STALE


def test_5_2_1_routes_may_disregard_what_requests_ask() -> None:
    rules = Rules(obey_requests=False)
    assert ask(FRESH, fields=(b"Cache-Control: no-cache",), rules=rules).action is S
    assert ask(FRESH, fields=(b"Cache-Control: max-stale",), after_s=61, rules=rules).action is V


def test_5_4_pragma_no_cache_asks_for_validation() -> None:
    assert ask(FRESH, fields=(b"Pragma: no-cache",)).action is V


FORBIDDEN = [b"must-revalidate", b"proxy-revalidate", b"s-maxage=60", b"no-cache"]


@pytest.mark.parametrize("directive", FORBIDDEN)
def test_4_2_4_what_forbids_staleness_holds_against_every_permission(directive: bytes) -> None:
    control = b"Cache-Control: max-age=60, stale-while-revalidate=99, stale-if-error=99, " + directive
    answer = stored(control, TAG)
    assert ask(answer, after_s=61).action is V
    assert ask(answer, after_s=61, fields=(b"Cache-Control: max-stale",)).action is V
    assert on_error(b"GET", {}, answer, 503, NOW_NS + 61 * SECOND_NS).action is F
    # 5.2.2.2: an error rather than the stale answer, when the upstream cannot be asked.
    assert on_error(b"GET", {}, answer, None, NOW_NS + 61 * SECOND_NS).action is U


@pytest.mark.parametrize("directive", [b"proxy-revalidate", b"s-maxage=60"])
def test_5_2_2_8_and_5_2_2_10_what_is_for_shared_caches_binds_no_private_one(directive: bytes) -> None:
    control = b"Cache-Control: max-age=60, stale-while-revalidate=99, " + directive
    answer = stored(control, TAG, shared=False)
    assert ask(answer, after_s=61).action is Action.SERVE_STALE_AND_REVALIDATE


def test_rfc5861_3_stale_while_revalidate_is_bound_to_its_seconds() -> None:
    answer = stored(b"Cache-Control: max-age=60, stale-while-revalidate=30", TAG)
    decision = ask(answer, after_s=60)
    assert (decision.action, decision.stored) == (Action.SERVE_STALE_AND_REVALIDATE, answer)
    assert decision.conditions == (b'if-none-match: "t"',)
    assert decision.forwarded is None
    assert ask(answer, after_s=89.999).action is Action.SERVE_STALE_AND_REVALIDATE
    assert ask(answer, after_s=90).action is V


@pytest.mark.parametrize("asked", [b"max-age=100", b"min-fresh=1", b"no-cache"])
def test_rfc5861_3_who_asks_for_freshness_gets_nothing_stale(asked: bytes) -> None:
    answer = stored(b"Cache-Control: max-age=60, stale-while-revalidate=30", TAG)
    assert ask(answer, after_s=61, fields=(b"Cache-Control: " + asked,)).action is V


def test_rfc5861_3_a_conditional_request_gets_its_304_from_the_stale_answer() -> None:
    answer = stored(b"Cache-Control: max-age=60, stale-while-revalidate=30", TAG)
    decision = ask(answer, after_s=61, fields=(b'If-None-Match: "t"',))
    assert (decision.action, decision.presentation.form) == (
        Action.SERVE_STALE_AND_REVALIDATE,
        Form.NOT_MODIFIED,
    )


@pytest.mark.parametrize("status", [500, 502, 503, 504, None])
def test_rfc5861_4_stale_if_error_is_bound_to_its_seconds(status: int | None) -> None:
    answer = stored(b"Cache-Control: max-age=60, stale-if-error=30", TAG)
    assert ask(answer, after_s=61).action is V  # first it is asked
    assert on_error(b"GET", {}, answer, status, NOW_NS + 89 * SECOND_NS).action is Action.SERVE_STALE
    late = on_error(b"GET", {}, answer, status, NOW_NS + 90 * SECOND_NS).action
    assert late is (U if status is None else F)


@pytest.mark.parametrize("status", [200, 304, 400, 404, 429, 501, 505])
def test_rfc5861_4_other_answers_are_passed_on(status: int) -> None:
    answer = stored(b"Cache-Control: max-age=60, stale-if-error=30", TAG)
    assert on_error(b"GET", {}, answer, status, NOW_NS + 61 * SECOND_NS).action is F


def test_rfc5861_4_a_request_can_shorten_what_the_answer_permits_and_not_lengthen_it() -> None:
    answer = stored(b"Cache-Control: max-age=60, stale-if-error=30", TAG)

    def on(asked: bytes, after_s: int) -> Action:
        fields = read_fields([b"Cache-Control: " + asked])
        return on_error(b"GET", fields, answer, 503, NOW_NS + after_s * SECOND_NS).action

    assert on(b"stale-if-error=5", 64) is Action.SERVE_STALE
    assert on(b"stale-if-error=5", 65) is F
    assert on(b"stale-if-error=500", 91) is F
    assert on(b"no-cache", 61) is F


def test_rfc5861_4_nothing_stale_without_the_answer_s_permission() -> None:
    assert on_error(b"GET", {}, FRESH, None, NOW_NS + 61 * SECOND_NS).action is U


def test_rfc5861_4_the_stale_answer_heeds_the_request_s_preconditions() -> None:
    answer = stored(b"Cache-Control: max-age=60, stale-if-error=30", TAG)
    decision = on_error(b"GET", {b"if-none-match": b'"t"'}, answer, 503, NOW_NS + 61 * SECOND_NS)
    assert decision.presentation.form is Form.NOT_MODIFIED


@pytest.mark.parametrize(
    "header", [b"Content-Length: 5", b"Transfer-Encoding: chunked", b"X-Http-Method-Override: POST"]
)
def test_what_no_key_holds_is_not_answered_from_the_cache(header: bytes) -> None:
    assert ask(FRESH, fields=(header,)).forwarded is Forwarded.BYPASS


def test_every_decision_says_why() -> None:
    stale = stored(b"Cache-Control: max-age=60", TAG)
    decisions = [ask(), ask(stale), ask(stale, after_s=61), ask(stale, fields=(b"Cache-Control: no-cache",))]
    reasons = {decision.reason for decision in decisions}
    assert len(reasons) == len(decisions)
    assert all(reason.endswith(".") for reason in reasons)
