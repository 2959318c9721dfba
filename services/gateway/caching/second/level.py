"""The second level at work: asked when the first has nothing, filled when the caller has his answer.

It never makes an answer older than the first level would have it. What it gives is used like an answer that this worker
itself asked for at an instant, which is not after the one at which somebody did: so whatever this worker knows to have
changed since, by its own stamps, keeps it out. And what other gateways have passed on, and this one has not heard of
yet, is kept out by the servers (`scripts`), as far as they were told. See docs/adr/0018.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from hashlib import blake2b
from itertools import count
from secrets import token_hex
from time import perf_counter_ns
from typing import Any, Final, NamedTuple

from services.gateway.caching.second.connection import Servers
from services.gateway.caching.second.entries import EntryError, SharedAnswer, decode, encode
from services.gateway.caching.second.link import Link, ServerError
from services.gateway.caching.second.rule import SecondLevelRule
from services.gateway.caching.second.scripts import CHANGE, LOOK, MOST_NAMES, STORE, slots_of
from shared.background import ended, telling_failure

log = logging.getLogger("kontor.gateway.second")
_tell_failure = telling_failure(log, "the second level failed by a mistake of ours")

_CARRIERS: Final = 4
_MOST_QUEUED: Final = 1_000
_MOST_QUEUED_BYTES: Final = 32 * 1024**2
_LARGE: Final = 64 * 1024
"""From so many bytes on, (de)compression goes to a thread: 0.5 ms, and so long nobody else would be served."""
_LEAST_LIFE_MS: Final = 1_000
_SCAN: Final = 1_000
_OUTDATED: Final = b"1"
_FOUND: Final = b"2"


class Token(NamedTuple):
    """What was known when an answer was asked for: without it, it cannot be stored."""

    generation: bytes
    clock: bytes
    asked_us: int


class Found(NamedTuple):
    """What became of a look: a token, if there was any answer at all, and what was found.

    `asked_ns` is an instant of this process at or before which the answer was asked for.
    """

    token: Token | None
    answer: SharedAnswer | None = None
    asked_ns: int = 0


NOTHING: Final = Found(None)


class SecondLevel:
    """Of one worker process, between `start` and `stop`.

    `counts` tells what became of looks (`hits`, `misses`, `outdated`, `undated` and `unusable` by what is known here,
    `garbled`, `failed`), of answers to be stored (`stored`, `refused` because something was changed meanwhile,
    `dropped` because too many waited, `failed_stores`) and of changes (`changes`, `failed_changes`).
    """

    def __init__(self, rule: SecondLevelRule, servers: Servers | None = None) -> None:
        self.rule = rule
        self.servers = servers or Servers(rule.servers)
        self.counts: Counter[str] = Counter()
        self.stored_bytes = 0
        self.plain_bytes = 0
        self._prefix = rule.prefix.encode("ascii") + b":{"
        self._own = token_hex(8).encode("ascii")
        self._generations = count()
        self._queue: asyncio.Queue[tuple[bytes, Token, SharedAnswer, bytes, int]] = asyncio.Queue()
        self._queued_bytes = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._leaving: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to connect, and to store."""
        self.servers.start()
        for _ in range(_CARRIERS):
            self._keep(self._carry())

    async def stop(self) -> None:
        """Let go of everything; what is queued is not stored."""
        await ended(*self._tasks)
        await self.servers.stop()

    def leave(self) -> None:
        """Stop, some time soon: there is another one, or none, from now on."""
        self._leaving = asyncio.create_task(self.stop())

    # Looking

    def look(self, scope: bytes, key: bytes, done: Callable[[Found], None]) -> bool:
        """Ask for what is stored of a key; False when nobody can be asked, and `done` is not going to be called.

        `done` is called within `timeout_s` or so, never within this call.
        """
        state = self._state(scope)
        link = self.servers.link(state)
        sent_ns = perf_counter_ns()
        identity = link.identity if link is not None else b""

        def answered(result: Any) -> None:
            if isinstance(result, ServerError) or link is None:
                self.counts["failed"] += 1
                done(NOTHING)
            else:
                self._found(link, key, result, sent_ns, done)

        return self.servers.run(
            LOOK, (state, self._entry(scope, key)), (identity, self._new_generation()), answered
        )

    def _found(
        self, link: Link, key: bytes, result: bytes, sent_ns: int, done: Callable[[Found], None]
    ) -> None:
        told, _, data = result.partition(b"\n")
        try:
            generation, clock, seconds, microseconds, what = told.split(b" ")
            now_us = int(seconds) * 1_000_000 + int(microseconds)
        except ValueError as error:
            self._garbled(error)
            done(NOTHING)
            return
        link.clock.observe(sent_ns, perf_counter_ns(), now_us)
        token = Token(generation, clock, now_us)
        if what != _FOUND:
            self.counts["outdated" if what == _OUTDATED else "misses"] += 1
            done(Found(token))
        elif len(data) < _LARGE:
            self._read(link, key, data, token, done)
        else:
            self._keep(self._read_aside(link, key, data, token, done))

    def _read(self, link: Link, key: bytes, data: bytes, token: Token, done: Callable[[Found], None]) -> None:
        try:
            answer = decode(data, key)
        except EntryError as error:
            self._garbled(error)
            done(Found(token))
        else:
            done(self._dated(link, answer, token))

    async def _read_aside(
        self, link: Link, key: bytes, data: bytes, token: Token, done: Callable[[Found], None]
    ) -> None:
        try:
            answer = await asyncio.to_thread(decode, data, key)
        except EntryError as error:
            self._garbled(error)
            done(Found(token))
        else:
            done(self._dated(link, answer, token))

    def _garbled(self, error: ValueError) -> None:
        self.counts["garbled"] += 1
        if self.counts["garbled"] == 1:  # of the others the count tells
            log.warning("something that is stored in the second level cannot be read: %s", error)

    def _dated(self, link: Link, answer: SharedAnswer, token: Token) -> Found:
        asked_ns = link.clock.instant(answer.asked_us)
        if asked_ns is None or answer.asked_us > token.asked_us:
            self.counts["undated"] += 1
            return Found(token)
        return Found(token, answer, asked_ns)

    def used(self, refusal: str) -> None:
        """An answer was used, or why it was not."""
        self.counts["unusable" if refusal else "hits"] += 1

    # Storing

    def store(
        self, scope: bytes, token: Token, answer: SharedAnswer, names: Iterable[bytes], life_ns: int
    ) -> None:
        """Store an answer, some time later, for so long; `names` are of what it shows."""
        life_ms = min(life_ns // 1_000_000, self.rule.longest_s * 1_000)
        names = frozenset(names)
        if life_ms < _LEAST_LIFE_MS or len(names) > MOST_NAMES:
            return
        if self._queue.qsize() >= _MOST_QUEUED or self._queued_bytes > _MOST_QUEUED_BYTES:
            self.counts["dropped"] += 1
            return
        self._queued_bytes += len(answer.body)
        self._queue.put_nowait((scope, token, answer, slots_of(names), life_ms))

    async def _carry(self) -> None:
        while True:
            scope, token, answer, slots, life_ms = await self._queue.get()
            try:
                await self._put(scope, token, answer, slots, life_ms)
            except ServerError:
                self.counts["failed_stores"] += 1
            finally:
                self._queued_bytes -= len(answer.body)

    async def _put(
        self, scope: bytes, token: Token, answer: SharedAnswer, slots: bytes, life_ms: int
    ) -> None:
        compress = self.rule.compress_bytes
        if len(answer.body) < max(_LARGE, compress):
            data = encode(answer, compress)
        else:
            data = await asyncio.to_thread(encode, answer, compress)
        keys = self._state(scope), self._entry(scope, answer.key)
        said = await self.servers.ask_script(STORE, keys, token.generation, token.clock, slots, data, life_ms)
        if said:
            self.counts["stored"] += 1
            self.stored_bytes += len(data)
            self.plain_bytes += len(answer.body)
        else:
            self.counts["refused"] += 1

    # Changes

    def changed(self, scope: bytes, names: Iterable[bytes]) -> None:
        """Something with these names was changed: from here on nothing that shows it is given to anybody.

        As far as the servers hear of it. That they have not is counted, and every worker that learns of the change
        in another way keeps it out by itself.
        """
        names = frozenset(names)
        if len(names) > MOST_NAMES:
            self.forget(scope)
        elif not self.servers.run(CHANGE, (self._state(scope),), (slots_of(names),), self._told):
            self.counts["failed_changes"] += 1

    def forget(self, scope: bytes) -> None:
        """Anything in the scope may have been changed."""
        state = self._state(scope)
        if not self.servers.send(state, (b"UNLINK", state), self._told):
            self.counts["failed_changes"] += 1

    def _told(self, result: Any) -> None:
        self.counts["failed_changes" if isinstance(result, ServerError) else "changes"] += 1

    async def purge(self, scope: bytes, names: Iterable[bytes]) -> bool:
        """As if what has these names had been changed, or without names anything, as an operator says.

        The scope is a tenant's, or an upstream for all tenants there: for that the servers look through all their keys,
        a thousand at a time. Whether all of them have done it; if not, what they have is to be kept out otherwise.
        """
        slots = slots_of(names)
        try:
            if b"/" in scope:
                await self._purge_state(self._state(scope), slots)
                return True
            links = self.servers.links()
            for link in links:
                async for state in self._states(link, scope):
                    await self._purge_state(state, slots)
        except ServerError as error:
            self.counts["failed_changes"] += 1
            log.warning("a purge has not reached the second level: %s", error)
            return False
        return len(links) == self.servers.primaries

    async def _purge_state(self, state: bytes, slots: bytes) -> None:
        if slots:
            await self.servers.ask_script(CHANGE, (state,), slots)
        else:
            await self.servers.ask(state, b"UNLINK", state)

    async def _states(self, link: Link, upstream: bytes) -> AsyncIterator[bytes]:
        cursor = b"0"
        while True:
            pattern = self._prefix + upstream + b"/*}s"
            cursor, found = await link.ask(b"SCAN", cursor, b"MATCH", pattern, b"COUNT", _SCAN)
            for state in found:
                yield state
            if cursor == b"0":
                return

    # What it tells of itself

    def describe(self) -> dict[str, Any]:
        """The state as JSON, for the admin API. Bytes are of bodies: as they are, and as they were stored."""
        return {
            **self.servers.describe(),
            "counts": dict(self.counts),
            "queued": self._queue.qsize(),
            "plain_bytes": self.plain_bytes,
            "stored_bytes": self.stored_bytes,
        }

    def _new_generation(self) -> bytes:
        return b"%b-%d" % (self._own, next(self._generations))

    def _state(self, scope: bytes) -> bytes:
        return b"%b%b}s" % (self._prefix, scope)

    def _entry(self, scope: bytes, key: bytes) -> bytes:
        # The key itself may be long; it lies in the entry, and is compared.
        return b"%b%b}e%b" % (self._prefix, scope, blake2b(key, digest_size=16).digest())

    def _keep(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_tell_failure)
