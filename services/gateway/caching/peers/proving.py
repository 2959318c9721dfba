"""Asking a service what was committed that we were not told: the proof that nothing is unknown here."""

import asyncio
import json
import logging
import ssl
from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import Any, Final
from uuid import UUID

import httpx2

from services.gateway.caching.following import FEED_PATH, Stamping
from services.gateway.caching.stamps import scope_of
from shared.events.access import GATEWAY
from shared.identity import IDENTITY_HEADER
from shared.identity.signer import IdentitySigner

log = logging.getLogger("kontor.gateway.peers")

_FORGET_NS: Final = 60_000_000_000
"""After so long without an answer everything is taken for changed: what was missed is too much, or forgotten."""


class ProofError(Exception):
    """What came is no answer to our question."""


class Proof:
    """What was told so far of one upstream's changes. No I/O; all times are of the monotonic clock, in nanoseconds."""

    def __init__(self, upstream: str, stamping: Stamping) -> None:
        self._upstream = upstream
        self.stamping = stamping
        self._moment = ""
        self._heard_ns = 0
        self.resets = 0

    def question(self, now_ns: int) -> str:
        """Since which moment to ask; empty: from now on."""
        if now_ns - self._heard_ns > _FORGET_NS:
            self._moment = ""
        return self._moment

    def take(self, document: Any, now_ns: int) -> None:
        """An answer: what it tells is stamped when this returns. Raises `ProofError`."""
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
        if reset or not self._moment:
            self.resets += 1
            self.stamping.stamp_scope(scope_of(self._upstream), now_ns)
        for scope, tags in changes:
            self.stamping.stamp(scope, tags, now_ns)
        self._moment, self._heard_ns = moment, now_ns


class Prover:
    """Asks one upstream's replicas, on one event loop, between `start` and `stop`.

    `proven` is called with the instant at which was asked, once everything is stamped that was committed before.
    """

    def __init__(
        self,
        upstream: str,
        audience: str,
        replicas: Callable[[], Sequence[str]],
        signer: IdentitySigner,
        stamping: Stamping,
        every_ns: int,
        proven: Callable[[str, int], None],
    ) -> None:
        self._upstream = upstream
        self.audience = audience
        self._replicas = replicas
        self._signer = signer
        self._proof = Proof(upstream, stamping)
        self._every_s = every_ns / 1e9
        self._proven = proven
        self._now = asyncio.Event()
        self._number = 0
        self._told = False
        self._asked = 0
        self._failures = 0
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
        if self._task is not None:
            self._task.cancel()

    async def stop(self) -> None:
        """Ask no more; nothing runs when this returns."""
        self.close()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    def is_of(self, audience: str, stamping: Stamping) -> bool:
        """Whether it asks this service, for these stamps."""
        return self.audience == audience and self._proof.stamping is stamping

    def describe(self) -> dict[str, int]:
        """Counts, for the admin API: questions, those without an answer, and how often all had to be forgotten."""
        return {"asked": self._asked, "failures": self._failures, "resets": self._proof.resets}

    async def _run(self) -> None:
        # Services speak plain HTTP; an unused context spares loading the certificate store.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        async with httpx2.AsyncHTTPTransport(verify=context, trust_env=False) as transport:
            while True:
                self._now.clear()
                began = asyncio.get_running_loop().time()
                await self._ask_any(transport)
                rest_s = began + self._every_s - asyncio.get_running_loop().time()
                try:
                    async with asyncio.timeout(max(rest_s, 0.01)):
                        await self._now.wait()
                except TimeoutError:
                    continue

    async def _ask_any(self, transport: httpx2.AsyncHTTPTransport) -> None:
        """Ask a replica; after one that did not answer, another."""
        known = self._replicas()
        if not known:
            return  # which is told by whoever checks them
        address = known[self._number % len(known)]
        self._asked += 1
        try:
            async with asyncio.timeout(self._every_s):
                await self._ask(transport, address)
        except (httpx2.HTTPError, TimeoutError, ProofError) as error:
            self._failures += 1
            self._number += 1
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
        if answer.status_code != 200:
            raise ProofError(f"it answers {answer.status_code}")
        try:
            document = json.loads(body)
        except ValueError as error:
            raise ProofError("it answers no JSON") from error
        self._proof.take(document, perf_counter_ns())
        self._told = False
        self._proven(self._upstream, asked_ns)


def _tell_failure(task: asyncio.Task[None]) -> None:
    # What goes wrong with a service is told where it happens: this is a mistake of ours.
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("nothing is proven any more", exc_info=error)
