"""The time the gateway gives a request, kept: nobody waits for the answer after it. Raw ASGI."""

import asyncio

from shared.asgi import App, Message, Receive, Scope, Send
from shared.problems import Problem
from shared.service.middleware import header, send_problem

TIMEOUT_HEADER = b"x-kontor-timeout-ms"
"""The whole milliseconds left, as the gateway counts them; a duration, because clocks differ between hosts."""

_LONGEST_MS = 3_600_000


class Deadline:
    """Cancels what has not begun to answer when the time is up: statements are cancelled, transactions rolled back.

    The answer is then a 504, though the gateway, whose time is shorter by the way back, has given its own by then.
    A request without the header, or with one that is no number, has all the time it takes.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        left_ms = _left_ms(header(scope, TIMEOUT_HEADER)) if scope["type"] == "http" else None
        if left_ms is None:
            await self._app(scope, receive, send)
            return
        started = False

        async def send_in_time(message: Message) -> None:
            nonlocal started
            if not started:
                started = True
                time.reschedule(None)  # an answer that has begun may take as long as it is listened to
            await send(message)

        try:
            async with asyncio.timeout(left_ms / 1_000) as time:
                await self._app(scope, receive, send_in_time)
        except TimeoutError:
            if started or not time.expired():
                raise
            await send_problem(scope, send, _too_late(left_ms))


def _left_ms(value: bytes | None) -> int | None:
    if value is None or not value.isdigit() or len(value) > len(str(_LONGEST_MS)):
        return None
    return int(value) or None


def _too_late(left_ms: int) -> Problem:
    detail = f"It could not be done within the {left_ms} ms there were."
    return Problem(504, "too_late", "Gateway timeout", detail)
