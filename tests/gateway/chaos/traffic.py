"""A steady load that knows what it asked for, and judges every answer."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from tests.gateway.chaos.replica import echo

PATIENCE_S = 20.0
KEYED = "?keyed"
"""The end of the targets of POSTs with a key, which may be executed more than once."""


@dataclass
class Tally:
    """What became of the requests of one phase."""

    idempotent: int = 0
    posts: int = 0
    failed: Counter[str] = field(default_factory=Counter)  # idempotent ones, by what was answered instead
    failed_posts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)  # answers that belong to no request, or not to theirs


@dataclass(frozen=True, slots=True)
class Ask:
    """One request; a POST without a key is what may not be repeated."""

    method: str
    target: str
    body: bytes
    key: str = ""

    @property
    def idempotent(self) -> bool:
        return self.method != "POST" or bool(self.key)

    def encoded(self, api_key: str) -> bytes:
        """As it goes to the gateway."""
        lines = [f"{self.method} {self.target} HTTP/1.1", "Host: chaos", f"Authorization: Bearer {api_key}"]
        if self.key:
            lines.append(f"Idempotency-Key: {self.key}")
        if self.method != "GET":
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode() + self.body


def asks(seed: int) -> Iterator[Ask]:
    """Requests without end, no two alike: of twenty, ten GET, six PUT, two POST with a key and two without."""
    dice = random.Random(seed)  # noqa: S311 - reproducible, not secret
    for number in count():
        kind = dice.randrange(20)
        target = f"/echo/{number}"
        if kind < 10:
            # A third is too long for one segment, and a few are as long as what is held back.
            yield Ask("GET", f"{target}?pad={dice.choice((0, 0, 100, 5_000, 30_000))}", b"")
            continue
        body = dice.randbytes(dice.choice((0, 10, 1_000, 8_000)))
        if kind < 16:
            yield Ask("PUT", target, body)
        else:
            keyed = kind < 18
            yield Ask("POST", target + KEYED if keyed else target, body, f"key-{number}" if keyed else "")


class Traffic:
    """`rate` requests a second whatever becomes of them, between `start` and `stop`; `tally` is the running phase's."""

    def __init__(self, port: int, api_key: str, rate: float, seed: int) -> None:
        self._port = port
        self._api_key = api_key
        self._pause_s = 1 / rate
        self._asks = asks(seed)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._running: set[asyncio.Task[None]] = set()
        self.answered: list[str] = []  # targets of POSTs without a key that were answered as they should be
        self.tally = Tally()

    def start(self) -> None:
        """Begin."""
        self._sending = asyncio.create_task(self._send())

    async def stop(self) -> None:
        """Send no more, and wait for what is under way."""
        self._sending.cancel()
        await asyncio.gather(self._sending, return_exceptions=True)
        await asyncio.gather(*self._running)
        for _, writer in self._idle:
            writer.close()

    def phase(self) -> Tally:
        """What is sent from now on belongs to this tally."""
        self.tally = Tally()
        return self.tally

    async def _send(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        for ask in self._asks:
            task = loop.create_task(self._ask(ask, self.tally))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            # What a busy machine has kept us from sending is not made up for: a burst would be another test.
            due = max(due + self._pause_s, loop.time())
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def _ask(self, ask: Ask, tally: Tally) -> None:
        if ask.idempotent:
            tally.idempotent += 1
        else:
            tally.posts += 1
        try:
            async with asyncio.timeout(PATIENCE_S):
                status, body = await self._exchange(ask.encoded(self._api_key))
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            complaint = repr(error)
        else:
            complaint = "" if status == 200 else f"{status} {body.decode(errors='replace')}"
            if status == 200 and body != echo(ask.method, ask.target, ask.body):
                tally.wrong.append(f"{ask.method} {ask.target} was answered with {body[:60]!r}")
        if not complaint:
            if not ask.idempotent:
                self.answered.append(ask.target)
        elif ask.idempotent:
            tally.failed[complaint] += 1
        else:
            tally.failed_posts[complaint] += 1

    async def _exchange(self, request: bytes) -> tuple[int, bytes]:
        """Send it on a connection that is free; the status and the body of the answer."""
        streams = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = streams
        kept = False
        try:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(length)
            kept = b"connection: close" not in head
        finally:
            if kept:
                self._idle.append(streams)
            else:
                writer.close()
        return int(head[9:12]), body
