"""`GET /internal/changes`: a service's changes as server-sent events, for the gateway alone. Raw ASGI.

`Last-Event-ID` (or `?after=`) goes on from a frame's id; without one it begins now. `?early=true` does not wait for
older transactions. A heartbeat comes at least every two seconds: whoever hears none has lost the service, or the
service its log. The stream has no deadline and no span, and counts as no load; it ends when the process is asked to.

`GET /internal/changes?since=<moment>` is no stream: it tells at once, as JSON, what was committed since a moment that
an earlier answer named (`shared/events/since.py`); `?since=` alone asks what moment it is.
"""

import asyncio
import json
import signal
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, aclosing, contextmanager, suppress
from types import FrameType
from typing import Any

from starlette.requests import Request

from shared.asgi import App, Message, Receive, Scope, Send
from shared.database.database import Database
from shared.events.access import may_follow
from shared.events.feed import ChangeFeed, FeedLost
from shared.events.following import Follower
from shared.events.position import Cursor
from shared.events.since import Moment, read_since
from shared.events.tags import CHANGED_HEADER
from shared.identity.verifier import IdentityVerifier
from shared.problems import Problem, bad_query, unavailable
from shared.service.middleware import IdentityGate, RequestIds, send_problem

PATH = "/internal/changes"
_TAKEN_WITHIN_S = 30.0
"""A reader that takes nothing for so long has gone, whatever its connection says."""
_CHANGED = CHANGED_HEADER.encode()
_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]
_JSON_HEADERS = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]


class ChangeStream:
    """Around the whole application: answers the stream's path, and tells other processes of what was written here."""

    def __init__(self, app: App, database: Database, verifier: IdentityVerifier) -> None:
        self._app = app
        self._feed = ChangeFeed(database)
        self._ending = asyncio.Event()
        self._endpoint = RequestIds(IdentityGate(self._answer, verifier))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] == PATH:
            await self._endpoint(scope, receive, send)
        elif scope["type"] == "http" and scope["method"] not in ("GET", "HEAD"):
            await self._app(scope, receive, self._telling(send))
        else:
            await self._app(scope, receive, send)

    def _telling(self, send: Send) -> Send:
        async def send_and_tell(message: Message) -> None:
            if message["type"] == "http.response.start" and any(
                name == _CHANGED and value for name, value in message["headers"]
            ):
                self._feed.announce()
            await send(message)

        return send_and_tell

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The feed runs from the application's start to its end."""
        async with AsyncExitStack() as stack:

            async def send_and_start(message: Message) -> None:
                if message["type"] == "lifespan.startup.complete":
                    await stack.enter_async_context(self._feed.running())
                    stack.enter_context(_told_to_end(self._ending.set))
                await send(message)

            async def receive_and_stop() -> Message:
                message = await receive()
                if message["type"] == "lifespan.shutdown":
                    self._ending.set()
                    await stack.aclose()
                return message

            await self._app(scope, receive_and_stop, send_and_start)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        try:
            _check(request)
            since = request.query_params.get("since")
            if since is not None:
                await _send_json(send, await self._since(since))
                return
            follower = self._follower(request)
        except Problem as problem:
            await send_problem(scope, send, problem)
            return
        async with aclosing(follower.chunks()) as chunks:
            try:
                first = await anext(chunks)
            except FeedLost:
                await send_problem(scope, send, unavailable("The event log does not answer."))
                return
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            await send(_body(first))
            await _until_the_first(_send_all(chunks, send), _gone(receive), self._ending.wait())
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _since(self, text: str) -> dict[str, Any]:
        try:
            moment = Moment.read(text) if text else None
        except ValueError as error:
            raise bad_query("since", "invalid_value", f"This is {error}.") from None
        try:
            async with self._feed.connection() as connection:
                found = await read_since(connection, moment)
        except FeedLost:
            raise unavailable("The event log does not answer.") from None
        return found.as_json()

    def _follower(self, request: Request) -> Follower:
        text = request.headers.get("last-event-id") or request.query_params.get("after")
        try:
            after = Cursor.read(text) if text else None
        except ValueError as error:
            raise bad_query("after", "invalid_value", f"This is {error}.") from None
        return Follower(self._feed, after, early=request.query_params.get("early") == "true")


def _check(request: Request) -> None:
    if request.method != "GET":
        raise Problem(405, "method_not_allowed", "Method not allowed", headers={"Allow": "GET"})
    if not may_follow(request.scope["identity"]):
        raise Problem(
            403, "forbidden", "Forbidden", "Only the gateway itself follows the changes of all tenants."
        )


async def _send_json(send: Send, document: dict[str, Any]) -> None:
    body = json.dumps(document, separators=(",", ":")).encode("ascii")
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": 200, "headers": [*_JSON_HEADERS, length]})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _send_all(chunks: AsyncGenerator[bytes, None], send: Send) -> None:
    """Until the log is lost, or the reader. The server's `send` waits while the reader has too much to take already."""
    with suppress(FeedLost, TimeoutError):
        async for chunk in chunks:
            async with asyncio.timeout(_TAKEN_WITHIN_S):
                await send(_body(chunk))


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _until_the_first(*coroutines: Coroutine[Any, Any, Any]) -> None:
    """Runs all of them until one ends, and then ends the others. Raises what one raised."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome


def _body(chunk: bytes) -> Message:
    return {"type": "http.response.body", "body": chunk, "more_body": True}


@contextmanager
def _told_to_end(tell: Callable[[], None]) -> Iterator[None]:
    """Hears of SIGTERM and SIGINT besides the server, which waits for all answers to end before it tells anyone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(tell)
        server = before[signal.Signals(number)]
        if callable(server):
            server(number, frame)

    for number, handler in before.items():
        if callable(handler):  # otherwise nobody drains anything, and the process ends as it always would
            signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is handle:
                signal.signal(number, handler)
