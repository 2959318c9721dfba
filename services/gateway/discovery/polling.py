"""Asking again and again who the replicas are, and staying with the last good answer."""

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Protocol

from services.gateway.balancing.policy import Replica

log = logging.getLogger("kontor.gateway.discovery")

Replicas = tuple[Replica, ...]

# Several gateways started together must not ask at the same instants for ever.
JITTER = 0.2
# As long as nothing is known at all there is nobody to send requests to.
IMPATIENT_S = 1.0


class NotFoundError(Exception):
    """Nobody knows the replicas at the moment; the text says why, in one line."""


class Source(Protocol):
    """Where the replicas of one upstream come from."""

    def changes(self) -> AsyncIterator[Replicas]:
        """The replicas as soon as they are known, and again whenever they are others; never none at all."""
        ...


class StaticSource:
    """Replicas that are written down."""

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas

    async def changes(self) -> AsyncIterator[Replicas]:
        """Once."""
        yield self._replicas


class PolledSource:
    """Asks every `every_s` seconds, a tenth more or less.

    `ask` raises `NotFoundError` or finds nobody: then the replicas stay who they were, for it is likelier
    that the register is out of order than that all replicas are gone. That is logged when it begins, when
    its reason changes and when it is over.
    """

    def __init__(
        self,
        upstream: str,
        ask: Callable[[], Awaitable[Replicas]],
        every_s: float,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._upstream = upstream
        self._ask = ask
        self._every_s = every_s
        self._jitter = jitter
        self._trouble = ""

    async def changes(self) -> AsyncGenerator[Replicas, None]:
        """Runs until it is closed."""
        known: Replicas = ()
        while True:
            found = await self._found()
            if found and found != known:
                log.info("%s: %d replicas: %s", self._upstream, len(found), _listed(found))
                known = found
                yield found
            await asyncio.sleep(self._wait_s(bool(known)))

    async def _found(self) -> Replicas:
        try:
            found = await self._ask()
            trouble = "" if found else "there are none"
        except NotFoundError as error:
            found, trouble = (), str(error)
        if trouble and trouble != self._trouble:
            log.warning("%s: replicas not found, the former ones stay: %s", self._upstream, trouble)
        if self._trouble and not trouble:
            log.info("%s: replicas are found again", self._upstream)
        self._trouble = trouble
        return found

    def _wait_s(self, anyone_known: bool) -> float:
        every_s = self._every_s if anyone_known else min(self._every_s, IMPATIENT_S)
        return every_s * (1 - JITTER / 2 + JITTER * self._jitter())


def _listed(replicas: Replicas) -> str:
    shown = ", ".join(replica.address for replica in replicas[:8])
    return f"{shown}, …" if len(replicas) > 8 else shown
