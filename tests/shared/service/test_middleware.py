import uuid

import pytest

from shared.asgi import Message, Receive, Scope, Send
from shared.service.middleware import HeadAsGet, RequestIds
from tests.shared.telemetry.recording import discard, http_scope, receive


async def test_head_is_routed_as_get_and_stays_head_to_the_server() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["method"])
        scope["route"] = "found"

    scope = http_scope(method="HEAD")
    await HeadAsGet(app)(scope, receive, discard)
    assert seen == ["GET"]
    assert (scope["method"], scope["route"]) == ("HEAD", "found")


async def request_id_of(*sent: bytes) -> str:
    """The id that a request goes by, which is also the one that its answer names."""
    answers: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})

    async def keep(message: Message) -> None:
        answers.append(message)

    scope = http_scope()
    scope["headers"] = [(b"x-request-id", one) for one in sent]
    await RequestIds(app)(scope, receive, keep)
    assert answers[0]["headers"] == [(b"x-request-id", scope["request_id"].encode())]
    return str(scope["request_id"])


@pytest.mark.parametrize("sent", [b"1", b"x" * 128, b"Root=1-67891233-abcdef012345678912345678"])
async def test_a_callers_plain_id_is_taken_over(sent: bytes) -> None:
    assert await request_id_of(sent) == sent.decode()


@pytest.mark.parametrize("sent", [b"", b"x" * 129, b"a b", b"a\nb", b"a\n", b"caf\xe9", b"\x1b[2J"])
async def test_any_other_is_replaced(sent: bytes) -> None:
    assert uuid.UUID(await request_id_of(sent)).version == 7
