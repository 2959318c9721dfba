"""Fixtures: a gateway with two replicas, shared by the tests that leave it as it was, or one's own."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.caller import calling
from tests.gateway.line import NEXT, Line, running_line
from tests.gateway.processes import GatewayProcess, Replica


class House:
    """A gateway and its replicas."""

    def __init__(self, gateway: GatewayProcess, replicas: list[Replica]) -> None:
        self.gateway = gateway
        self.replicas = replicas


@asynccontextmanager
async def running(folder: Path, config: dict[str, Any] | None = None, count: int = 2) -> AsyncIterator[House]:
    with ExitStack() as processes:
        replicas = [Replica(name) for name in "abcdef"[:count]]
        for replica in replicas:
            processes.callback(replica.stop)
        gateway = GatewayProcess(folder, replicas, config)
        processes.callback(lambda: print(gateway.stop()))
        for replica in replicas:
            await replica.until("requests", 0)
        await gateway.until_ready()
        yield House(gateway, replicas)


@pytest.fixture(scope="session")
async def shared_house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """For tests that break nothing."""
    async with running(tmp_path_factory.mktemp("gateway")) as house:
        yield house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """For tests that kill something."""
    async with running(tmp_path) as house:
        yield house


@pytest.fixture(scope="session")
async def shared_line(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Line]:
    async with running_line(tmp_path_factory.mktemp("line")) as line:
        yield line


@pytest.fixture
async def line(shared_line: Line) -> Line:
    """A gateway with a scripted replica that has heard nothing yet."""
    shared_line.replica.clear()
    async with calling(shared_line.port) as caller:  # behind whatever an earlier test has left under way
        await caller.send(NEXT)
        await caller.answer()
    shared_line.replica.clear()
    return shared_line
