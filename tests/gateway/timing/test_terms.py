"""Every kind of end adds up exactly, and each wait is booked where the formula says.

The gaps between readings are different powers of ten, so that a figure tells which gaps it was made of.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.resilience.ledger import (
    BROKEN,
    BUSY,
    CLIENT_LEFT,
    HEDGE_LOSER,
    REFUSED,
    TIMED_OUT,
    UNAVAILABLE,
    Outcome,
)
from services.gateway.timing.finished import FIRST, HEDGE, RETRY, Attempt, AttemptKind, FinishedRequest
from services.gateway.timing.terms import (
    accounted,
    attempt_accounted,
    attempt_components,
    believed,
    components_of,
    critical_path,
    terms_of,
)
from shared.telemetry.terms import Latency, ServiceTerms
from tests.gateway.timing.requests import attempt, booked, check, finished

SAID = ServiceTerms(queue=10, db_wait=20, db=300, processing=400, sched=30)


def test_an_ordinary_answer() -> None:
    one = attempt(1_111, 11_111, 111_111, 111_111, min_rtt=99, terms=SAID)
    request = finished(one, received=1, started=11, ready=111, slot=1_111, done=1_111_111)
    assert booked(request) == {
        "queue": 10,
        "pre": 100 + 10_000,
        "pool_wait": 1_000,
        "service_processing": 700,
        "service_system": 60,
        "wire": 99,
        "beyond": 100_000 - 700 - 60 - 99,
        "post": 1_000_000,
    }
    assert components_of(request).latency == Latency(1_010_800, 99, 10 + 1_000 + 60 + 99_141)


def test_a_new_connection_and_a_streamed_answer() -> None:
    one = attempt(
        100, 111_200, 1_111_200, 11_111_200, connected=11_200, last_byte=11_111_200, min_rtt=5_000_000
    )
    request = finished(one, ready=100, slot=100, resumed=111_111_200, done=111_111_207)
    assert booked(request) == {
        "pre": 100 + 100_000,
        "connect": 11_100,
        "wire": 1_000_000,
        "body": 10_000_000,
        "wake": 100_000_000,
        "post": 7,
    }


def test_a_small_body_is_waited_for_before_the_attempt() -> None:
    one = attempt(11_000, 11_000, 12_000, 12_000)
    request = finished(one, ready=100, uploaded=10_100, slot=10_900, done=12_001)
    assert booked(request) == {
        "pre": 200,
        "upload": 10_000,
        "pool_wait": 800,
        "beyond": 1_000,
        "post": 1,
    }


def test_a_streamed_body_and_the_services_wait_for_it_are_the_same_time() -> None:
    said = ServiceTerms(queue=5, db_wait=0, db=0, processing=900, sched=9_000)
    one = attempt(100, 100, 11_100, 11_100, min_rtt=50, terms=said)
    request = finished(one, ready=100, slot=100, uploaded=10_100, done=11_100)
    # 9,905 claimed within 1,000 after the upload: the service's waits were the upload.
    assert booked(request) == {
        "pre": 100,
        "upload": 10_000,
        "service_processing": 900,
        "service_system": 100,
    }


def test_a_service_that_worked_while_the_body_came_is_cut_down() -> None:
    said = ServiceTerms(queue=0, db_wait=0, db=0, processing=8_000, sched=0)
    one = attempt(1, 1, 1_001, 1_001, terms=said)
    request = finished(one, ready=1, slot=1, uploaded=501, done=1_001)
    assert booked(request) == {"pre": 1, "upload": 500, "service_processing": 500}


def test_a_body_that_is_still_coming_when_the_answer_begins() -> None:
    one = attempt(1, 1, 1_001, 2_001, last_byte=2_001)
    assert booked(finished(one, ready=1, slot=1, uploaded=1_501, done=2_001)) == {
        "pre": 1,
        "upload": 1_000,
        "body": 1_000,
    }


def test_a_retry_after_a_back_off() -> None:
    failed = attempt(10, 10, 0, 1_010, min_rtt=40, outcome=BROKEN)
    second = attempt(11_010, 11_010, 111_010, 111_010, kind=RETRY, min_rtt=4, terms=SAID)
    request = finished(failed, second, ready=10, slot=10, done=111_011)
    assert booked(request) == {
        "pre": 10,
        "wire": 40 + 4,
        "beyond": 960 + 100_000 - 760 - 4,
        "backoff": 10_000,
        "service_processing": 700,
        "service_system": 60,
        "post": 1,
    }


def test_an_answer_that_was_not_good_enough_counts_with_the_services_terms() -> None:
    poor = attempt(10, 10, 1_010, 1_510, last_byte=1_510, terms=SAID, outcome=UNAVAILABLE, status=503)
    second = attempt(1_600, 1_600, 2_600, 2_600, kind=RETRY)
    assert booked(finished(poor, second, ready=10, slot=10, done=2_600)) == {
        "pre": 10,
        "service_processing": 700,
        "service_system": 60,
        "beyond": 240 + 1_000,
        "body": 500,
        "backoff": 90,
    }


def test_a_replica_that_takes_no_connection() -> None:
    refused = attempt(10, 0, 0, 1_010, outcome=REFUSED)
    second = attempt(1_011, 1_011, 1_111, 1_111, kind=RETRY)
    assert booked(finished(refused, second, ready=10, slot=10, done=1_111)) == {
        "pre": 10,
        "connect": 1_000,
        "backoff": 1,
        "beyond": 100,
    }


def test_the_hedge_that_wins_is_what_counted() -> None:
    lost = attempt(10, 10, 0, 10_110, min_rtt=99, outcome=HEDGE_LOSER)
    won = attempt(10_010, 10_010, 10_110, 10_110, kind=HEDGE, min_rtt=7)
    assert booked(finished(lost, won, ready=10, slot=10, done=10_110)) == {
        "pre": 10,
        "hedge_wait": 10_000,
        "wire": 7,
        "beyond": 93,
    }


def test_the_hedge_that_loses_takes_no_time() -> None:
    won = attempt(10, 10, 10_110, 10_110, terms=SAID, min_rtt=7)
    lost = attempt(10_010, 10_010, 0, 10_110, kind=HEDGE, outcome=HEDGE_LOSER)
    alone = finished(won, ready=10, slot=10, done=10_200)
    assert booked(alone._replace(attempts=(won, lost))) == booked(alone)


def test_after_both_have_failed_the_last_to_fail_counts() -> None:
    first = attempt(10, 10, 0, 500, outcome=BROKEN)
    hedge = attempt(110, 110, 0, 1_110, kind=HEDGE, outcome=TIMED_OUT)
    third = attempt(2_110, 2_110, 3_110, 3_110, kind=RETRY)
    assert critical_path((first, hedge, third)) == [hedge, third]
    assert booked(finished(first, hedge, third, ready=10, slot=10, done=3_110)) == {
        "pre": 10,
        "hedge_wait": 100,
        "beyond": 1_000 + 1_000,
        "backoff": 1_000,
    }


def test_attempts_of_no_length_at_one_instant() -> None:
    busy = attempt(10, 0, 0, 10, outcome=BUSY)
    again = attempt(10, 0, 0, 10, kind=RETRY, outcome=BUSY)
    assert critical_path((busy, again)) in ([busy], [busy, again])
    assert booked(finished(busy, again, ready=10, slot=10, done=15)) == {"pre": 10, "post": 5}


def test_a_refusal_before_any_attempt_and_a_cache_hit_are_our_own_work() -> None:
    assert booked(finished(received=5, started=15, done=1_015)) == {"queue": 10, "pre": 1_000}


def test_the_limiters_queue_is_a_wait() -> None:
    turned_away = finished(ready=10, resumed=10_010, done=10_011)
    assert booked(turned_away) == {"pre": 10, "pool_wait": 10_000, "post": 1}
    assert booked(turned_away._replace(resumed_ns=0)) == {"pre": 10, "pool_wait": 10_001}


def test_a_caller_that_leaves_during_its_upload() -> None:
    assert booked(finished(ready=10, uploaded=5_000, done=5_000)) == {"pre": 10, "upload": 4_990}


def test_a_caller_that_leaves_while_it_waits_for_the_answer() -> None:
    left = attempt(10, 10, 0, 1_010, min_rtt=40, outcome=CLIENT_LEFT)
    assert booked(finished(left, ready=10, slot=10, done=1_010)) == {"pre": 10, "wire": 40, "beyond": 960}


def test_a_caller_that_leaves_within_the_answer() -> None:
    left = attempt(10, 10, 110, 1_110, last_byte=0, outcome=CLIENT_LEFT)
    assert booked(finished(left, ready=10, slot=10, done=1_110)) == {"pre": 10, "beyond": 100, "body": 1_000}


def test_silence_until_time_is_up() -> None:
    silent = attempt(10, 10, 0, 30_010, min_rtt=40, outcome=TIMED_OUT)
    assert booked(finished(silent, ready=10, slot=10, done=30_020)) == {
        "pre": 10,
        "wire": 40,
        "beyond": 29_960,
        "post": 10,
    }


@pytest.mark.parametrize("terms", [None, ServiceTerms(0, 0, 0, 0, 0)])
def test_what_no_service_explains_is_a_wait(terms: ServiceTerms | None) -> None:
    one = attempt(10, 10, 1_010, 1_010, min_rtt=40, terms=terms)
    assert booked(finished(one, ready=10, slot=10, done=1_010)) == {"pre": 10, "wire": 40, "beyond": 960}


def test_a_service_that_claims_too_much_is_believed_in_its_proportions() -> None:
    said = ServiceTerms(queue=1_000, db_wait=0, db=0, processing=2_000, sched=0, down_network=1_000)
    one = attempt(10, 10, 1_010, 1_010, min_rtt=40, terms=said)
    assert booked(finished(one, ready=10, slot=10, done=1_010)) == {
        "pre": 10,
        "service_processing": 500,
        "service_network": 250,
        "service_system": 250,
    }


CLAIM = st.integers(0, 10**19)


@given(CLAIM, CLAIM, CLAIM, st.integers(0, 10**12))
def test_belief_is_exact_and_never_negative(processing: int, network: int, system: int, passed: int) -> None:
    if processing + network + system > passed:
        terms = believed(processing, network, system, passed)
        assert sum(terms) == passed
        assert min(terms) >= 0


# Whatever the readings are, in order or not, the sum is exact and nothing is negative.

NS = st.integers(0, 10**9)
SERVICE = st.none() | st.builds(ServiceTerms, *[st.integers(0, 10**9)] * 8)
ATTEMPT = st.builds(
    Attempt,
    st.sampled_from([FIRST, RETRY, HEDGE]),
    *[NS] * 7,
    SERVICE,
    outcome=st.sampled_from(list(Outcome)),
)


REQUEST = st.builds(FinishedRequest, *[NS] * 7, st.lists(ATTEMPT, max_size=5).map(tuple))


@given(REQUEST)
def test_any_readings(request: FinishedRequest) -> None:
    if request.total_ns >= 0:
        check(components_of(request), request.total_ns)


@given(ATTEMPT, NS)
def test_any_attempt(one: Attempt, uploaded: int) -> None:
    if one.ended_ns >= one.asked_ns:
        check(attempt_components(one, uploaded), one.ended_ns - one.asked_ns)


def quick(readings: list[int], said: tuple[int, ...], min_rtt: int) -> tuple[int, int, int]:
    received, started, ready, slot, sent, first_byte, last_byte, resumed, done = readings
    processing, network, system = said
    return terms_of(
        received,
        started,
        ready,
        slot,
        sent,
        first_byte,
        last_byte,
        resumed,
        done,
        processing,
        network,
        system,
        min_rtt,
    )


@given(st.lists(NS, min_size=9, max_size=9), st.lists(st.integers(0, 10**10), min_size=3, max_size=3), NS)
def test_the_quick_way_of_any_readings(readings: list[int], said: list[int], min_rtt: int) -> None:
    readings[8] = max(readings)  # the end is the end
    terms = quick(readings, tuple(said), min_rtt)
    assert min(terms) >= 0
    assert sum(terms) == readings[8] - readings[0] or readings[0] > readings[8]


GAPS = st.lists(st.integers(0, 10**9), min_size=9, max_size=9)


def at(gaps: list[int]) -> list[int]:
    """Readings with these gaps between them; none is 0, which would be one that never happened."""
    return [1 + sum(gaps[: place + 1]) for place in range(len(gaps))]


@given(GAPS, SERVICE, NS)
def test_the_quick_way_says_the_same(gaps: list[int], said: ServiceTerms | None, min_rtt: int) -> None:
    readings = at(gaps)
    received, started, ready, slot, sent, first_byte, last_byte, resumed, done = readings
    one = attempt(slot, sent, first_byte, resumed, last_byte=last_byte, min_rtt=min_rtt, terms=said)
    request = finished(
        one, received=received, started=started, ready=ready, slot=slot, resumed=resumed, done=done
    )
    latency = said.latency if said is not None else (0, 0, 0)
    assert quick(readings, latency, min_rtt) == components_of(request).latency


@given(GAPS, SERVICE, NS, st.sampled_from([FIRST, RETRY]), st.integers(0, 1))
def test_what_is_usual_is_what_the_account_says(
    gaps: list[int], said: ServiceTerms | None, min_rtt: int, kind: AttemptKind, connected: int
) -> None:
    received, started, ready, slot, asked, sent, first_byte, last_byte, done = at(gaps)
    one = attempt(
        asked,
        sent,
        first_byte,
        done,
        kind=kind,
        connected=connected * asked,
        last_byte=last_byte,
        min_rtt=min_rtt,
        terms=said,
    )
    request = finished(one, received=received, started=started, ready=ready, slot=slot, done=done)
    assert components_of(request) == accounted(request)
    assert attempt_components(one) == attempt_accounted(one)


@given(REQUEST)
def test_what_is_unusual_is_what_the_account_says(request: FinishedRequest) -> None:
    assert components_of(request) == accounted(request)
    for one in request.attempts:
        assert attempt_components(one) == attempt_accounted(one)


# A reading that is taken later moves time from the component after it to the one before it, and nothing else.
NEIGHBOURS = {
    "started_ns": ("queue", "pre"),
    "ready_ns": ("pre", "pool_wait"),
    "slot_ns": ("pool_wait", "pre"),
    "resumed_ns": ("wake", "post"),
}
ATTEMPTS_NEIGHBOURS = {
    "asked_ns": ("pre", "connect"),
    "connected_ns": ("connect", "pre"),
    "sent_ns": ("pre", "beyond"),
    "first_byte_ns": ("beyond", "body"),
    "last_byte_ns": ("body", "wake"),
}
LONG = st.lists(st.integers(1_000, 10**9), min_size=11, max_size=11)


@given(LONG, st.integers(1, 999))
def test_each_reading_moves_only_its_neighbours(gaps: list[int], later: int) -> None:
    received, started, ready, slot, asked, connected, sent, first_byte, last_byte, resumed, done = at(gaps)
    one = attempt(asked, sent, first_byte, resumed, connected=connected, last_byte=last_byte)
    request = finished(
        one, received=received, started=started, ready=ready, slot=slot, resumed=resumed, done=done
    )
    before = components_of(request)._asdict()
    moved = {name: request._replace(**{name: getattr(request, name) + later}) for name in NEIGHBOURS} | {
        name: request._replace(attempts=(one._replace(**{name: getattr(one, name) + later}),))
        for name in ATTEMPTS_NEIGHBOURS
    }
    for name, (grows, shrinks) in (NEIGHBOURS | ATTEMPTS_NEIGHBOURS).items():
        after = components_of(moved[name])._asdict()
        changes = {part: after[part] - before[part] for part in after if after[part] != before[part]}
        assert changes == ({} if grows == shrinks else {grows: later, shrinks: -later}), name


@given(LONG, st.integers(0, 10**9))
def test_a_service_that_says_more_takes_it_from_the_wait_beyond(gaps: list[int], more: int) -> None:
    sent, first_byte = at(gaps)[4:6]
    before = attempt_components(attempt(sent, sent, first_byte, first_byte))
    said = ServiceTerms(0, 0, 0, min(more, before.beyond), 0)
    after = attempt_components(attempt(sent, sent, first_byte, first_byte, terms=said))
    assert after.service_processing - before.service_processing == before.beyond - after.beyond
    assert after.latency.network_ns == before.latency.network_ns


def test_no_attempt_has_no_critical_path() -> None:
    assert critical_path(()) == []
