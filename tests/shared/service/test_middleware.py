from shared.service.middleware import HeadAsGet, Receive, Scope, Send
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
