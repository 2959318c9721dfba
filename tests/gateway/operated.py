"""A gateway that is operated: with an admin API, while callers go on asking."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from tests.gateway.processes import GatewayProcess, Replica, eventually


class Operated:
    """A gateway, its replicas, and its admin API."""

    def __init__(self, gateway: GatewayProcess, replicas: list[Replica], admin: httpx2.AsyncClient) -> None:
        self.gateway = gateway
        self.replicas = replicas
        self.admin = admin

    async def begun(self) -> None:
        """Wait until the admin API answers."""

        async def answers() -> bool:
            try:
                return (await self.admin.get("workers")).status_code == 200
            except httpx2.TransportError:
                return False

        await eventually(answers)

    async def workers(self, count: int) -> list[int]:
        """The process ids of the workers, when so many serve."""

        async def serve() -> bool:
            answer = await self.admin.get("workers")
            return [worker["ready"] for worker in answer.json()] == [True] * count

        await eventually(serve)
        return [worker["pid"] for worker in (await self.admin.get("workers")).json()]

    async def upstream(self) -> Any:
        return (await self.admin.get("upstreams/echo")).json()

    async def replica(self, index: int) -> Any:
        return (await self.upstream())["replicas"][index]

    def path(self, index: int, action: str) -> str:
        """Of an action on a replica."""
        return f"upstreams/echo/replicas/127.0.0.1:{self.replicas[index].port}/{action}"


@asynccontextmanager
async def operated(
    folder: Path, config: dict[str, Any] | None = None, replicas: int = 2
) -> AsyncIterator[Operated]:
    with ExitStack() as processes:
        started = [Replica(name) for name in "abc"[:replicas]]
        for replica in started:
            processes.callback(replica.stop)
        gateway = GatewayProcess(folder, started, config, admin=True)
        processes.callback(lambda: print(gateway.stop()))
        for replica in started:
            await replica.until("requests", 0)
        await gateway.until_ready()
        async with gateway.admin() as admin:
            house = Operated(gateway, started, admin)
            await house.begun()
            yield house


class Load:
    """Callers who ask one request after the other until told to stop, and what came of it.

    `resets`: connections that ended under a request. `again`: such a request is made again, as by any client
    that retries; else it is the end of that caller. Who cannot connect counts as `refused`, and ends.
    """

    def __init__(self, gateway: GatewayProcess, callers: int = 8, *, again: bool = False) -> None:
        self.statuses: Counter[int] = Counter()
        self.replicas: Counter[str] = Counter()
        self.resets: list[str] = []
        self.refused = 0
        self._gateway = gateway
        self._again = again
        self._stopped = False
        self._callers = [asyncio.create_task(self._ask()) for _ in range(callers)]

    async def _ask(self) -> None:
        count = 0
        async with self._gateway.client() as client:
            while not self._stopped:
                count += 1
                # Every fourth request on a new connection.
                headers = {"Connection": "close"} if count % 4 == 0 else {}
                try:
                    answer = await client.get("/slow?s=0.01", headers=headers)
                except httpx2.ConnectError:
                    self.refused += 1
                    return
                except httpx2.TransportError as error:
                    self.resets.append(repr(error))
                    if not self._again:
                        return
                else:
                    self.statuses[answer.status_code] += 1
                    if answer.status_code == 200:
                        self.replicas[answer.json()["replica"]] += 1

    async def answered(self, count: int) -> None:
        """Wait until so many more were answered."""
        wanted = self.statuses.total() + count

        async def reached() -> bool:
            return self.statuses.total() >= wanted or all(one.done() for one in self._callers)

        await eventually(reached)

    async def stop(self) -> None:
        self._stopped = True
        await asyncio.gather(*self._callers)
