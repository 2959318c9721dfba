"""The last good answer stays, and trouble is told once."""

import asyncio
import logging
from contextlib import aclosing

import pytest

from services.gateway.balancing.policy import Replica
from services.gateway.discovery.polling import NotFoundError, PolledSource, Replicas, StaticSource

A, B = Replica("u", "a", 1), Replica("u", "b", 1)


class Register:
    """Answers in turn, and the last answer for ever."""

    def __init__(self, *answers: Replicas | NotFoundError) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def __call__(self) -> Replicas:
        self.asked += 1
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, NotFoundError):
            raise answer
        return answer


async def told(register: Register, count: int) -> list[Replicas]:
    """The first `count` sets of replicas."""
    sets: list[Replicas] = []
    async with asyncio.timeout(10), aclosing(PolledSource("u", register, 0.001).changes()) as changes:
        while len(sets) < count:
            sets.append(await anext(changes))
    return sets


async def test_only_changes_are_told() -> None:
    register = Register((A,), (A,), (A, B), (A, B), (B,))
    assert await told(register, 3) == [(A,), (A, B), (B,)]
    assert register.asked == 5


async def test_another_weight_is_a_change() -> None:
    heavier = Replica("u", "a", 1, weight=3)
    assert await told(Register((A,), (heavier,)), 2) == [(A,), (heavier,)]


async def test_the_last_good_answer_stays(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "kontor.gateway.discovery")
    lost, worse = NotFoundError("x: no answer"), NotFoundError("x: refused")
    register = Register((A,), lost, lost, lost, worse, (), (), (A,), (B,))
    assert await told(register, 2) == [(A,), (B,)]
    messages = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert messages == [
        ("INFO", "u: 1 replicas: a:1"),
        ("WARNING", "u: replicas not found, the former ones stay: x: no answer"),
        ("WARNING", "u: replicas not found, the former ones stay: x: refused"),
        ("WARNING", "u: replicas not found, the former ones stay: there are none"),
        ("INFO", "u: replicas are found again"),
        ("INFO", "u: 1 replicas: b:1"),
    ]


async def test_nothing_is_told_before_anybody_is_known() -> None:
    assert await told(Register(NotFoundError("x"), (), (A,)), 1) == [(A,)]


@pytest.mark.parametrize(
    ("every_s", "known", "random", "wait_s"),
    [(10, True, 0.0, 9.0), (10, True, 1.0, 11.0), (10, False, 0.5, 1.0), (0.5, False, 0.5, 0.5)],
)
def test_waits_are_jittered_and_short_at_first(
    every_s: float, known: bool, random: float, wait_s: float
) -> None:
    source = PolledSource("u", Register(()), every_s, lambda: random)
    assert source._wait_s(known) == pytest.approx(wait_s)


async def test_what_is_written_down_is_told_once() -> None:
    assert [replicas async for replicas in StaticSource((A, B)).changes()] == [(A, B)]
