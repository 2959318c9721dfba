"""Every request has an id: the caller's, if it is a decent one, or a new UUIDv7."""

import re
import secrets
import time
from uuid import UUID

from services.gateway.asgi import App, Message, Receive, Scope, Send
from shared.logs.context import request_id_var

_DECENT = re.compile(rb"[\x21-\x7e]{1,128}")


class RequestIds:
    """Outermost middleware: puts the id where logs and spans find it, and on the answer."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _accepted(scope) or str(uuid7())

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode("ascii"))]
            await send(message)

        token = request_id_var.set(request_id)
        try:
            await self._app(scope, receive, send_with_id)
        finally:
            request_id_var.reset(token)


def _accepted(scope: Scope) -> str | None:
    sent = [value for name, value in scope["headers"] if name == b"x-request-id"]
    return sent[0].decode("ascii") if len(sent) == 1 and _DECENT.fullmatch(sent[0]) else None


def uuid7() -> UUID:
    """A UUID that sorts by its time of making (RFC 9562, 5.7): 48 bits of milliseconds, the rest random."""
    value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)
