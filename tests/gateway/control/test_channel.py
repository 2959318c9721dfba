"""Both ends of the channel, in one process."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.gateway.control.channel import Asking, ChannelError, RefusedError, answer_all


class Worker:
    """Answers what the tests ask."""

    def __init__(self) -> None:
        self.hung = asyncio.Event()

    async def __call__(self, question: str, details: dict[str, Any]) -> Any:
        match question:
            case "echo":
                return details
            case "refuse":
                raise RefusedError("not today", status=404)
            case "hang":
                self.hung.set()
                await asyncio.Event().wait()
        raise LookupError(question)


class Pair:
    """A parent's end and a worker that answers."""

    def __init__(self, asking: Asking, worker: Worker, answering: asyncio.Task[None]) -> None:
        self.asking = asking
        self.worker = worker
        self.answering = answering

    async def die(self) -> None:
        """As a killed process: its end is closed."""
        self.answering.cancel()
        await asyncio.gather(self.answering, return_exceptions=True)


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    ours, theirs = socket.socketpair()
    worker, asking = Worker(), Asking()
    pair = Pair(asking, worker, asyncio.create_task(answer_all(theirs, worker)))
    await asking.open(ours)
    yield pair
    asking.close()
    await pair.die()
    await asking.closed.wait()


async def test_answers_come_to_whom_they_belong(pair: Pair) -> None:
    answers = await asyncio.gather(*(pair.asking.ask("echo", number=number) for number in range(20)))
    assert answers == [{"number": number} for number in range(20)]


async def test_details_of_any_name_and_size(pair: Pair) -> None:
    details: dict[str, Any] = {"question": "ü\n", "text": "x" * 5_000_000}
    assert await pair.asking.ask("echo", **details) == details


async def test_a_refusal_has_words_and_details(pair: Pair) -> None:
    with pytest.raises(RefusedError, match="not today") as caught:
        await pair.asking.ask("refuse")
    assert caught.value.details == {"status": 404}
    assert await pair.asking.ask("echo") == {}


async def test_a_mistake_of_the_worker_is_a_refusal_and_not_its_end(pair: Pair) -> None:
    with pytest.raises(RefusedError, match="LookupError: nonsense"):
        await pair.asking.ask("nonsense")
    assert await pair.asking.ask("echo") == {}


async def test_silence_is_an_error(pair: Pair) -> None:
    with pytest.raises(ChannelError, match="does not answer"):
        await pair.asking.ask("hang", patience_s=0.01)


async def test_a_worker_that_dies_over_a_question(pair: Pair) -> None:
    asked = [asyncio.create_task(pair.asking.ask("hang")) for _ in range(3)]
    await pair.worker.hung.wait()
    await pair.die()
    for answer in await asyncio.gather(*asked, return_exceptions=True):
        assert isinstance(answer, ChannelError)
    assert pair.asking.closed.is_set()
    with pytest.raises(ChannelError, match="has ended"):
        await pair.asking.ask("echo")


async def test_a_parent_that_hangs_up_ends_the_answering(pair: Pair) -> None:
    pair.asking.close()
    await asyncio.wait_for(pair.answering, 10)


async def test_nobody_can_be_asked_before_there_is_a_channel() -> None:
    with pytest.raises(ChannelError):
        await Asking().ask("echo")


async def test_a_worker_that_is_told_to_end_has_last_words() -> None:
    ours, theirs = socket.socketpair()
    asking, words = Asking(), ["x" * 1_000_000, 7]
    answering = asyncio.create_task(answer_all(theirs, Worker(), lambda: words))
    await asking.open(ours)
    assert await asking.ask("echo") == {}
    assert asking.last_words is None
    answering.cancel()
    await asyncio.gather(answering, return_exceptions=True)
    await asking.closed.wait()
    assert asking.last_words == words


async def test_a_parent_that_has_gone_misses_them() -> None:
    ours, theirs = socket.socketpair()
    answering = asyncio.create_task(answer_all(theirs, Worker(), lambda: ["x" * 1_000_000]))
    await asyncio.sleep(0)
    ours.close()
    answering.cancel()
    (ending,) = await asyncio.wait_for(asyncio.gather(answering, return_exceptions=True), 10)
    assert isinstance(ending, asyncio.CancelledError)
