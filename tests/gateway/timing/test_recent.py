"""The buffer is bounded, keeps the kinds apart, and finds what is asked for."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.timing.finished import FinishedRequest
from services.gateway.timing.keeping import ERROR, SAMPLED, SLOW
from services.gateway.timing.recent import Question, RecentTraces, size_of
from tests.gateway.timing.requests import MS, attempt, finished


def kept(number: int, total_ns: int = MS, **more: Any) -> FinishedRequest:
    """The request that ended `number` ms after a second, all its time spent on a service that said nothing."""
    end = 1_000 * MS + number * MS
    begin = end - total_ns
    one = attempt(begin, begin, end, end)
    usual: dict[str, Any] = {"trace_id": number, "kept": SAMPLED, "status": 200, "template": "/v1/x"}
    return finished(one, received=begin, started=begin, ready=begin, slot=begin, done=end, **(usual | more))


def ids(found: list[FinishedRequest]) -> list[int]:
    return [one.trace_id for one in found]


def test_a_flood_of_one_kind_leaves_the_others_alone() -> None:
    recent = RecentTraces(count=3)
    recent.add(kept(1, status=503, kept=ERROR))
    recent.add(kept(2, kept=SLOW))
    for number in range(3, 100):
        recent.add(kept(number))
    assert ids(recent.select(Question())) == [99, 98, 97, 2, 1]
    assert len(recent) == 5


def test_what_was_asked_for_and_failed_is_among_the_failed() -> None:
    recent = RecentTraces(count=1)
    recent.add(kept(1, status=500, kept="asked"))
    recent.add(kept(2, kept="asked"))
    assert ids(recent.select(Question())) == [2, 1]


@given(st.lists(st.integers(0, 100_000), max_size=60))
def test_its_size_is_bounded(lengths: list[int]) -> None:
    recent = RecentTraces(count=40, size=100_000)
    for number, length in enumerate(lengths, 1):
        recent.add(kept(number, path=b"x" * length))
        assert recent.size <= 100_000
        assert len(recent) <= 40
    assert recent.size == sum(size_of(one) for one in recent.select(Question(limit=1_000)))


def test_the_usual_size_holds_a_few_hundred() -> None:
    recent = RecentTraces()
    for number in range(1, 2_000):
        recent.add(kept(number))
    assert len(recent) == 500


@pytest.mark.parametrize(
    ("question", "found"),
    [
        (Question(), [5, 4, 3, 2, 1]),
        (Question(limit=2), [5, 4]),
        (Question(route="/v1/y"), [3]),
        (Question(status=404), [2]),
        (Question(min_ms=20), [5]),
        (Question(kept="recent"), [1]),
        (Question(dominant="processing"), [4]),
        (Question(dominant="system", min_ms=0.5), [5, 3, 2, 1]),
        (Question(route="/v1/z"), []),
    ],
)
def test_questions(question: Question, found: list[int]) -> None:
    recent = RecentTraces()
    recent.add(kept(1, kept="recent"))
    recent.add(kept(2, status=404))
    recent.add(kept(3, template="/v1/y"))
    own = kept(4)
    refused = own._replace(attempts=(), ready_ns=0, slot_ns=0)
    recent.add(refused)
    recent.add(kept(5, 20 * MS))
    assert ids(recent.select(question)) == found


def test_all_requests_of_a_trace_in_their_order() -> None:
    recent = RecentTraces()
    for number in (1, 2, 3):
        recent.add(kept(number, trace_id=7, status=500 if number == 2 else 200))
    recent.add(kept(4))
    assert [one.done_ns // MS for one in recent.find(7)] == [1_001, 1_002, 1_003]
    assert recent.find(8) == []
