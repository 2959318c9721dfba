"""The customers service with faults that can be asked for: `python -m tests.e2e.timed.service serve`.

Everything of the real one is there. `/faults/…` exists only here; where a fault names a replica by `only`, it is that
one's alone.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Annotated

import httpx2
from fastapi import APIRouter, Header, Request
from fastapi.responses import StreamingResponse

from services.customers.app import SERVICE
from shared.identity import IDENTITY_HEADER
from shared.problems import unavailable
from shared.service.definition import Parts
from shared.service.run import main
from shared.telemetry.client import client_span, inject
from shared.telemetry.setup import Telemetry

PEER = "TIMED_PEER"
"""The variable that names the replica which `/faults/calls` asks."""


class Faults:
    """The routes of one replica."""

    def __init__(self, parts: Parts) -> None:
        self._database = parts.database
        self._name = parts.settings.instance
        self._telemetry = Telemetry()  # calls are timed, though not recorded
        # Nothing here is encrypted: what TLS needs takes a tenth of a second to make.
        self._client = httpx2.AsyncClient(trust_env=False, verify=False)

    def router(self) -> APIRouter:
        """All of them under `/faults`."""
        router = APIRouter(prefix="/faults")
        router.get("/none")(self.none)
        router.get("/database")(self.database)
        router.get("/blocks")(self.blocks)
        router.get("/waits")(self.waits)
        router.get("/fails")(self.fails)
        router.get("/streams")(self.streams)
        router.get("/calls")(self.calls)
        router.post("/takes")(self.takes)
        return router

    def _mine(self, only: str) -> bool:
        return only in ("", self._name)

    async def none(self) -> dict[str, str]:
        """One short statement."""
        await self._database.fetch("SELECT", "SELECT 1")
        return {"replica": self._name}

    async def database(self, ms: float) -> dict[str, str]:
        """A statement that PostgreSQL takes so long for."""
        await self._database.fetch("SELECT pg_sleep", "SELECT pg_sleep($1)", ms / 1_000)
        return {"replica": self._name}

    async def blocks(self, ms: float) -> dict[str, str]:
        """Code that gives nobody else a turn."""
        await self._database.fetch("SELECT", "SELECT 1")
        time.sleep(ms / 1_000)  # noqa: ASYNC251 - that is the fault
        return {"replica": self._name}

    async def waits(self, ms: float, only: str = "") -> dict[str, str]:
        """Neither works nor waits for anything known."""
        if self._mine(only):
            await asyncio.sleep(ms / 1_000)
        return {"replica": self._name}

    async def fails(self, ms: float, only: str = "") -> dict[str, str]:
        """Asks PostgreSQL so long, and then it was in vain."""
        if self._mine(only):
            await self._database.fetch("SELECT pg_sleep", "SELECT pg_sleep($1)", ms / 1_000)
            raise unavailable("It was asked to fail.")
        return {"replica": self._name}

    async def streams(self, pieces: int, ms: float) -> StreamingResponse:
        """A short statement, and then an answer in pieces with pauses between them."""
        await self._database.fetch("SELECT", "SELECT 1")

        async def body() -> AsyncIterator[bytes]:
            for _ in range(pieces):
                await asyncio.sleep(ms / 1_000)
                yield b"x" * 1_000

        return StreamingResponse(body(), media_type="text/plain")

    async def calls(
        self, ms: float, count: int, identity: Annotated[str, Header(alias=IDENTITY_HEADER)]
    ) -> dict[str, str]:
        """So many calls side by side of another replica, each of which waits for PostgreSQL."""
        await asyncio.gather(*(self._call(ms * (number + 1), identity) for number in range(count)))
        return {"replica": self._name}

    async def _call(self, ms: float, identity: str) -> None:
        url = f"{os.environ[PEER]}/faults/database?ms={ms:g}"
        headers = {IDENTITY_HEADER: identity}
        with client_span(self._telemetry, method="GET", url=url) as span:
            inject(span, headers)
            answer = await self._client.get(url, headers=headers)
            span.answered(answer.status_code, answer.headers.get("x-kontor-terms", ""))

    async def takes(self, request: Request) -> dict[str, int]:
        """Reads a body."""
        size = 0
        async for piece in request.stream():
            size += len(piece)
        return {"bytes": size}


if __name__ == "__main__":
    main(replace(SERVICE, routers=(*SERVICE.routers, lambda parts: Faults(parts).router())))
