"""Following the change feeds of services: what is changed past this gateway is stamped as well.

Imports, jobs and other gateways change records, too. Each service tells of all changes at `GET /internal/changes`
(`shared/events/stream.py`), and a cache may serve a service's answers only while it hears of them, that is while its
follower is `current`.

Every worker follows by itself. If one followed for all, the others would have to find out when it is behind, or gone;
so each knows from its own connection, and a worker that dies leaves nobody in a wrong belief. It costs one
connection per worker and upstream. What they stamp is shared all the same: who hears first tells the others, and where
one has to begin anew, at its start or after a lost log, all entries of the upstream are lost to the others as well.
"""

import asyncio
import json
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from time import perf_counter_ns
from typing import Any, Final, Protocol
from uuid import UUID

import httpx2

from services.gateway.caching.stamps import scope_of
from services.gateway.plain_http import plain_transport
from shared.background import ended, telling_failure
from shared.events.access import GATEWAY
from shared.events.position import Position
from shared.identity import IDENTITY_HEADER
from shared.identity.signer import IdentitySigner

log = logging.getLogger("kontor.gateway.following")
# What goes wrong with a service is told where it happens: this is a mistake of ours.
_tell_failure = telling_failure(log, "changes are not followed any more")

FEED_PATH: Final = "/internal/changes"
SILENCE_S: Final = 4.0
"""Twice as long as a service may take from one heartbeat to the next."""
STABLE_S: Final = 5.0
_CONNECT_S: Final = 2.0
_FIRST_DELAY_S: Final = 0.05
_LONGEST_DELAY_S: Final = 2.0
_AT_ONCE: Final = 16
"""Events after which requests get their turn: some 0.3 ms."""
_MOST_EARLY: Final = 10_000


class Stamping(Protocol):
    """What is told of changes; `Stamps` is one. Times are nanoseconds of this process's monotonic clock."""

    def stamp(self, scope: bytes, tags: Iterable[bytes], now_ns: int) -> None:
        """What has these tags was changed, not after `now_ns`."""

    def stamp_scope(self, scope: bytes, now_ns: int) -> None:
        """Anything in the scope may have been changed, not after `now_ns`."""


class FeedError(Exception):
    """What came is not what a feed says."""


class Feed:
    """What a worker knows of one upstream's changes, by what came on its feed. No I/O.

    Until `current_until_ns` all is told that matters, unless the connection is `lost` before; 0 while it is not.
    `cursor` is where to go on after a loss, empty before the first time. `changes` and `resets` are counts.
    """

    def __init__(self, upstream: str, stamping: Stamping) -> None:
        self._upstream = upstream
        self._stamping = stamping
        self._begun = False
        self._early: Counter[int] = Counter()  # events that were told before their turn, by transaction
        self.current_until_ns = 0
        self.cursor = ""
        self.changes = 0
        self.resets = 0

    def lost(self) -> None:
        """The connection has ended."""
        self.current_until_ns = 0
        self._begun = False
        self._early.clear()

    def forget(self) -> None:
        """The service does not understand the cursor."""
        self.cursor = ""

    def take(self, event: str, event_id: str, data: str, now_ns: int) -> bool:
        """An event, with the last id that came; whether it is a sign of life. Raises `FeedError`.

        Events of other names are passed over: there may be more of them one day.
        """
        try:
            document = json.loads(data)
            if event == "start":
                self._start(document["reset"] is False, now_ns)
            elif event == "change":
                self._change(document, event_id, now_ns)
            elif event == "heartbeat":
                self._heartbeat(document, now_ns)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise FeedError(f"the event {event!r} cannot be understood: {error!r}") from error
        self.cursor = event_id or self.cursor
        return event in {"start", "heartbeat"}

    def _start(self, goes_on: bool, now_ns: int) -> None:
        self._begun = True
        if goes_on and self.cursor:
            return  # what was missed comes now
        # From here on everything is told; of what was before, nothing is known.
        self.resets += 1
        self._stamping.stamp_scope(scope_of(self._upstream), now_ns)
        self.current_until_ns = now_ns + round(SILENCE_S * 1e9)

    def _change(self, document: dict[str, Any], event_id: str, now_ns: int) -> None:
        tags = document["tags"]
        if not isinstance(tags, list):
            raise TypeError("tags must be a list")
        scope = scope_of(self._upstream, UUID(document["tenant_id"]))
        self._stamping.stamp(scope, [tag.encode("ascii") for tag in tags], now_ns)
        self.changes += 1
        position: str = document["position"]
        if not event_id.endswith("@" + position):
            # Told before its turn, it has no id of its own.
            self._early[Position.read(position).transaction] += 1
            if len(self._early) > _MOST_EARLY:
                self._early.clear()  # then the next heartbeat tells of more than is known

    def _heartbeat(self, document: dict[str, Any], now_ns: int) -> None:
        if not self._begun:
            raise ValueError("it comes before the start")
        position = Position.read(document["position"])
        for transaction in [one for one in self._early if one < position.transaction]:
            del self._early[transaction]
        # Events are numbered from 1: a place before all of its transaction's is the end of what is final. What is
        # committed beyond waits for an older transaction, and is mostly told early, but not if it is too much.
        told = position.sequence == 0 and document["held"] <= self._early.total()
        self.current_until_ns = now_ns + round(SILENCE_S * 1e9) if told else 0


class ReconnectDelay:
    """How long to wait before the next attempt: twice as long each time, up to 2 s, with jitter. Pure."""

    def __init__(self, draw: Callable[[], float]) -> None:
        self._draw = draw
        self._next_s = _FIRST_DELAY_S

    def after(self, lived_s: float) -> float:
        """Seconds to wait, after a connection that lasted so many."""
        if lived_s >= STABLE_S:
            self._next_s = _FIRST_DELAY_S
        delay_s = self._next_s
        self._next_s = min(2 * delay_s, _LONGEST_DELAY_S)
        return delay_s * (0.5 + self._draw() / 2)


class Follower:
    """Follows the feed of one upstream, on one event loop, between `start` and `close` or `stop`.

    `replicas` gives the addresses (`host:port`) of those that are healthy, at the moment; any of them will do.
    `draw` gives random numbers from 0 to 1.
    """

    def __init__(
        self,
        upstream: str,
        audience: str,
        replicas: Callable[[], Sequence[str]],
        signer: IdentitySigner,
        stamping: Stamping,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._upstream = upstream
        self.audience = audience
        self._replicas = replicas
        self._signer = signer
        self._draw = draw
        self._feed = Feed(upstream, stamping)
        self._replica: str | None = None
        self._losses = 0
        self._told = False
        self._task: asyncio.Task[None] | None = None

    def current(self, now_ns: int) -> bool:
        """Whether all changes are known that matter: connected, heard of within 4 s, and not behind."""
        return now_ns < self._feed.current_until_ns

    def describe(self, now_ns: int) -> dict[str, object]:
        """For the admin API: the replica that was asked last, how far it is, and counts since it began."""
        return {
            "current": self.current(now_ns),
            "replica": self._replica,
            "position": self._feed.cursor or None,
            "changes": self._feed.changes,
            "resets": self._feed.resets,
            "losses": self._losses,
        }

    def start(self) -> None:
        """Begin to follow."""
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(_tell_failure)

    def close(self) -> None:
        """Stop following; from here on it is not current."""
        self._feed.lost()
        if self._task is not None:
            self._task.cancel()

    async def stop(self) -> None:
        """Stop following; nothing runs any more when this returns."""
        self.close()
        await ended(self._task)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        delay = ReconnectDelay(self._draw)
        try:
            async with plain_transport(keep_alive=False) as transport:
                while True:
                    began = loop.time()
                    await self._follow_any(transport)
                    await asyncio.sleep(delay.after(loop.time() - began))
        finally:
            self._feed.lost()

    async def _follow_any(self, transport: httpx2.AsyncHTTPTransport) -> None:
        """Follow at some replica until that ends; rather at another one than the last time."""
        known = self._replicas()
        choice = [address for address in known if address != self._replica] or known
        if not choice:
            return  # which is told by whoever checks them
        self._replica = address = choice[int(self._draw() * len(choice)) % len(choice)]
        try:
            ending = await self._follow(transport, address)
        except TimeoutError:
            ending = "it is silent"
        except (httpx2.HTTPError, FeedError) as error:
            ending = str(error) or type(error).__name__
        self._feed.lost()
        self._losses += 1
        if not self._told:
            self._told = True
            log.warning("the changes of %s are not known (%s: %s)", self._upstream, address, ending)

    async def _follow(self, transport: httpx2.AsyncHTTPTransport, address: str) -> str:
        """Follow at this replica; why it ended. Raises `TimeoutError`, `httpx2.HTTPError` or `FeedError`."""
        loop = asyncio.get_running_loop()
        question = httpx2.Request("GET", f"http://{address}{FEED_PATH}?early=true", headers=self._headers())
        async with (
            asyncio.timeout(_CONNECT_S) as patience,
            aclosing(await transport.handle_async_request(question)) as answer,
        ):
            answer.request = question
            if answer.status_code != 200:
                if answer.status_code == 400:
                    self._feed.forget()
                return f"it answers {answer.status_code}"
            count = 0
            async for event in httpx2.EventSource(answer):
                if self._feed.take(event.event, event.id, event.data, perf_counter_ns()):
                    patience.reschedule(loop.time() + SILENCE_S)
                if event.event == "start":
                    self._told = False
                    log.info("the changes of %s are followed at %s", self._upstream, address)
                count += 1
                if count % _AT_ONCE == 0:
                    await asyncio.sleep(0)
        return "it has ended the stream"

    def _headers(self) -> dict[str, str]:
        headers = {
            IDENTITY_HEADER: self._signer.sign(GATEWAY, self.audience),
            "Accept": "text/event-stream",
            "Accept-Encoding": "identity",
        }
        if self._feed.cursor:
            headers["Last-Event-ID"] = self._feed.cursor
        return headers
