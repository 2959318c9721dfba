"""Questions and answers between the parent and one worker: JSON, one message per line, over a socket pair.

{"id": 7, "ask": "state", "details": {}}      the parent asks
{"id": 7, "answer": …}                        the worker answers, in the order of the questions,
{"id": 7, "refusal": {"text": …, …}}          or says why it does not
{"last_words": …}                             what the worker says at its end, unasked
"""

import asyncio
import json
import logging
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

log = logging.getLogger("kontor.gateway.control")

# Two documents of a megabyte each, their characters escaped, and some room.
_LONGEST_LINE = 32 * 1024**2
PATIENCE_S = 5.0

Answering = Callable[[str, dict[str, Any]], Awaitable[Any]]


class ChannelError(Exception):
    """No answer came: the worker has ended, or is silent."""


class RefusedError(Exception):
    """What was asked cannot be done. The text is for people, `details` are JSON for programs."""

    def __init__(self, text: str, **details: Any) -> None:
        super().__init__(text)
        self.details = details


class Asking:
    """The parent's end. `open` it once, on the event loop that asks."""

    def __init__(self) -> None:
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._last_id = 0
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self.closed = asyncio.Event()
        self.last_words: Any = None
        """What the worker said at its end; not before `closed` is set."""

    async def open(self, end: socket.socket) -> None:
        """Take over one end of a socket pair."""
        reader, self._writer = await asyncio.open_unix_connection(sock=end, limit=_LONGEST_LINE)
        self._reading = asyncio.create_task(self._read(reader))

    async def ask(self, question: str, /, *, patience_s: float = PATIENCE_S, **details: Any) -> Any:
        """The answer. Raises `RefusedError`, or `ChannelError` when there is none within `patience_s` seconds."""
        if self.closed.is_set() or self._writer is None:
            raise ChannelError("the worker has ended")
        self._last_id = number = self._last_id + 1
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(patience_s):
                self._writer.write(_line({"id": number, "ask": question, "details": details}))
                await self._writer.drain()
                return await future
        except TimeoutError:
            raise ChannelError(f"the worker does not answer within {patience_s:g} s") from None
        except ConnectionError as error:
            raise ChannelError("the worker has ended") from error
        finally:
            del self._waiting[number]

    def close(self) -> None:
        """Hang up; the worker ends itself then."""
        if self._writer is not None:
            self._writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while line := await reader.readline():
                self._take(json.loads(line))
        except (ConnectionError, ValueError) as error:
            log.warning("a worker's channel broke: %s", error)
        finally:
            self.closed.set()
            self.close()
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(ChannelError("the worker has ended"))

    def _take(self, message: dict[str, Any]) -> None:
        if "last_words" in message:
            self.last_words = message["last_words"]
            return
        future = self._waiting.get(message["id"])
        if future is None or future.done():
            return  # whoever asked has lost patience
        if "refusal" in message:
            refusal = dict(message["refusal"])
            future.set_exception(RefusedError(refusal.pop("text"), **refusal))
        else:
            future.set_result(message["answer"])


async def answer_all(
    end: socket.socket, answering: Answering, last_words: Callable[[], Any] | None = None
) -> None:
    """The worker's end: answer one question after the other until the parent hangs up, or this is cancelled.

    `answering` gets the question and its details; it gives JSON, or raises `RefusedError`. When this is cancelled,
    `last_words`, JSON as well, are said before the end.
    """
    reader, writer = await asyncio.open_unix_connection(sock=end, limit=_LONGEST_LINE)
    try:
        while line := await reader.readline():
            message = json.loads(line)
            reply: dict[str, Any] = {"id": message["id"]}
            try:
                reply["answer"] = await answering(message["ask"], message["details"])
            except RefusedError as error:
                reply["refusal"] = {"text": str(error), **error.details}
            except Exception as error:
                # A mistake of ours in one answer does not take the connections of the worker with it.
                log.exception("the question %s could not be answered", message["ask"])
                reply["refusal"] = {"text": f"{type(error).__name__}: {error}", "defect": True}
            writer.write(_line(reply))
            await writer.drain()
    except ConnectionError:
        return  # the parent has gone, as at the end of what it says
    except asyncio.CancelledError:
        if last_words is not None:
            writer.write(_line({"last_words": last_words()}))
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
        raise
    finally:
        writer.close()


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"
