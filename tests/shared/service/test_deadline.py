"""The time that the gateway gives a request."""

import asyncio
import json
from typing import Any

import pytest

from shared.asgi import Message, Receive, Scope, Send
from shared.service.deadline import Deadline
from tests.shared.telemetry.recording import http_scope, receive


class Wire:
    """What an application says."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def send(self, message: Message) -> None:
        self.messages.append(message)

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def document(self) -> Any:
        return json.loads(self.messages[1]["body"])


def scope(timeout_ms: bytes | None) -> Scope:
    made: Scope = http_scope()
    made["request_id"] = "r"
    made["headers"] = [] if timeout_ms is None else [(b"x-kontor-timeout-ms", timeout_ms)]
    return made


class Work:
    """An application that takes its time, and tells whether it was let to finish."""

    def __init__(self, *, seconds: float, begins: bool = False) -> None:
        self.cancelled = False
        self._seconds = seconds
        self._begins = begins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._begins:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            await asyncio.sleep(self._seconds)
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if not self._begins:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})


async def test_work_is_cancelled_when_the_time_is_up() -> None:
    work, wire = Work(seconds=60), Wire()
    await Deadline(work)(scope(b"20"), receive, wire.send)
    assert work.cancelled
    assert wire.status == 504
    assert wire.document["code"] == "too_late"


@pytest.mark.parametrize("timeout_ms", [None, b"", b"0", b"-5", b"1e3", b"5 s", b"99999999", b"60000"])
async def test_whoever_says_nothing_understandable_has_time(timeout_ms: bytes | None) -> None:
    work, wire = Work(seconds=0.01), Wire()
    await Deadline(work)(scope(timeout_ms), receive, wire.send)
    assert (work.cancelled, wire.status) == (False, 200)


async def test_an_answer_that_has_begun_may_take_its_time() -> None:
    work, wire = Work(seconds=0.1, begins=True), Wire()
    await Deadline(work)(scope(b"20"), receive, wire.send)
    assert not work.cancelled
    assert [message["type"] for message in wire.messages] == ["http.response.start", "http.response.body"]


async def test_a_timeout_of_the_works_own_is_not_taken_for_ours() -> None:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        raise TimeoutError("a neighbour did not answer")

    with pytest.raises(TimeoutError, match="neighbour"):
        await Deadline(fails)(scope(b"60000"), receive, Wire().send)
