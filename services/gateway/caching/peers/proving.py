"""Asking a service what was committed that we were not told: the proof that nothing is unknown here."""

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import perf_counter_ns
from typing import Any, Final
from uuid import UUID

import httpx2

from services.gateway.caching.following import FEED_PATH, Stamping
from services.gateway.caching.peers.rule import PeersRule
from services.gateway.caching.stamps import scope_of
from services.gateway.plain_http import plain_transport
from shared.background import ended, telling_failure
from shared.events.access import GATEWAY
from shared.identity import IDENTITY_HEADER
from shared.identity.signer import IdentitySigner

log = logging.getLogger("kontor.gateway.peers")
# What goes wrong with a service is told where it happens: this is a mistake of ours.
_tell_failure = telling_failure(log, "nothing is proven any more")

_FORGET_NS: Final = 60_000_000_000
"""After so long without an answer everything is taken for changed: what was missed is too much, or forgotten."""
_MOST_ASKING: Final = 8


class ProofError(Exception):
    """What came is no answer to our question."""


class Proof:
    """What was told so far of one upstream's changes. No I/O; all times are of the monotonic clock, in nanoseconds."""

    def __init__(self, upstream: str, stamping: Stamping) -> None:
        self._upstream = upstream
        self.stamping = stamping
        self._moment = ""
        self._asked_ns = self._heard_ns = 0
        self.resets = 0

    def question(self, now_ns: int) -> str:
        """Since which moment to ask; empty: from now on."""
        if now_ns - self._heard_ns > _FORGET_NS:
            self._moment = ""
        return self._moment

    def take(self, document: Any, asked_ns: int, now_ns: int) -> None:
        """The answer to a question: what it tells is stamped when this returns. Raises `ProofError`.

        Answers may come in another order than they were asked for; then something is told twice.
        """
        try:
            moment, reset = str(document["moment"]), document["reset"] is not False
            changes = [
                (
                    scope_of(self._upstream, UUID(one["tenant_id"])),
                    [tag.encode("ascii") for tag in one["tags"]],
                )
                for one in document["changes"]
            ]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ProofError(f"it cannot be understood: {error!r}") from error
        if reset:
            self.resets += 1
            self.stamping.stamp_scope(scope_of(self._upstream), now_ns)
        for scope, tags in changes:
            self.stamping.stamp(scope, tags, now_ns)
        if asked_ns > self._asked_ns:
            self._moment, self._asked_ns, self._heard_ns = moment, asked_ns, now_ns


class Prover:
    """Asks one upstream's replicas in turn, on one event loop, between `start` and `stop`.

    `proven` is called with the instant at which was asked, once everything is stamped that was committed before. The
    next question does not wait for the answer to the one before it: who is slow, as under load, is asked as often.
    """

    def __init__(
        self,
        upstream: str,
        audience: str,
        replicas: Callable[[], Sequence[str]],
        signer: IdentitySigner,
        stamping: Stamping,
        rule: PeersRule,
        proven: Callable[[str, int], None],
    ) -> None:
        self._upstream = upstream
        self.audience = audience
        self._replicas = replicas
        self._signer = signer
        self._proof = Proof(upstream, stamping)
        self._rule = rule
        self._proven = proven
        self._now = asyncio.Event()
        self._asking: set[asyncio.Task[None]] = set()
        self._told = self._closed = False
        self._asked = self._failures = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to ask."""
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(_tell_failure)

    def ask_now(self) -> None:
        """What was proven so far is not enough any more."""
        self._now.set()

    def close(self) -> None:
        """Ask no more; nothing is proven from here on."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()

    async def stop(self) -> None:
        """Ask no more; nothing runs when this returns."""
        self.close()
        await ended(self._task)

    def is_of(self, audience: str, stamping: Stamping) -> bool:
        """Whether it asks this service, for these stamps."""
        return self.audience == audience and self._proof.stamping is stamping

    def describe(self) -> dict[str, int]:
        """Counts, for the admin API: questions, those without an answer, and how often all had to be forgotten."""
        return {"asked": self._asked, "failures": self._failures, "resets": self._proof.resets}

    async def _run(self) -> None:
        async with plain_transport(keep_alive=True) as transport:
            try:
                while True:
                    self._now.clear()
                    self._begin(transport)
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self._rule.ask_every_ns / 1e9):
                            await self._now.wait()
            finally:
                await ended(*self._asking)

    def _begin(self, transport: httpx2.AsyncHTTPTransport) -> None:
        """Ask the next replica, unless too many owe us an answer."""
        known = self._replicas()
        if not known or len(self._asking) >= _MOST_ASKING:
            return  # which is told by whoever checks them
        address = known[self._asked % len(known)]
        self._asked += 1
        task = asyncio.create_task(self._try(transport, address))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        task.add_done_callback(_tell_failure)

    async def _try(self, transport: httpx2.AsyncHTTPTransport, address: str) -> None:
        try:
            # An answer that comes later proves nothing.
            async with asyncio.timeout(self._rule.freshness_ns / 1e9):
                await self._ask(transport, address)
        except (httpx2.HTTPError, TimeoutError, ProofError) as error:
            self._failures += 1
            if not self._told:
                self._told = True
                why = str(error) or type(error).__name__
                log.warning("%s does not prove what was changed at %s: %s", address, self._upstream, why)

    async def _ask(self, transport: httpx2.AsyncHTTPTransport, address: str) -> None:
        asked_ns = perf_counter_ns()
        moment = self._proof.question(asked_ns)
        headers = {
            IDENTITY_HEADER: self._signer.sign(GATEWAY, self.audience),
            "Accept-Encoding": "identity",
        }
        question = httpx2.Request("GET", f"http://{address}{FEED_PATH}?since={moment}", headers=headers)
        answer = await transport.handle_async_request(question)
        body = await answer.aread()
        if self._closed:
            return
        if answer.status_code != 200:
            raise ProofError(f"it answers {answer.status_code}")
        try:
            document = json.loads(body)
        except ValueError as error:
            raise ProofError("it answers no JSON") from error
        self._proof.take(document, asked_ns, perf_counter_ns())
        self._told = False
        self._proven(self._upstream, asked_ns)
