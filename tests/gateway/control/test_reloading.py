"""A reload is in force in all workers or in none, whenever one of them dies. The test is the parent of real ones."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

import psutil
import pytest

from services.gateway.control import fleet as fleets
from services.gateway.control.configuration import Configuration
from services.gateway.control.fleet import Fleet, NotReadyError
from services.gateway.control.spawning import spawn_worker
from services.gateway.server import listen
from tests.gateway.processes import eventually

pytestmark = pytest.mark.process

OLD, NEW = "old", "new"


def document(upstream: str) -> str:
    replicas = [{"host": "127.0.0.1", "port": 1}]
    return json.dumps(
        {
            "auth": {"mode": "none"},
            "routes": [{"name": "all", "prefix": "/", "upstream": upstream}],
            "upstreams": {upstream: {"replicas": replicas}},
        }
    )


def texts(upstream: str) -> dict[str, Any]:
    return Configuration(document(upstream), "gateway.yaml", None, None, None).as_json()


class House:
    """A fleet, and what is in force in it by decision."""

    def __init__(self, count: int) -> None:
        self.in_force = texts(OLD)
        self.listener = listen("127.0.0.1", 0)
        self.fleet = Fleet(self.listener, self._orders)
        self._count = count

    def _orders(self, number: int) -> dict[str, Any]:
        return {"number": number, "configuration": self.in_force, "orders": []}

    async def start(self) -> None:
        await self.fleet.start(spawn_worker())
        await self.fleet.grow(self._count, 0.0)

    async def reload(
        self, configuration: dict[str, Any], count: int = 3, also: Callable[[], None] = lambda: None
    ) -> tuple[int, ...]:
        def decide() -> None:
            self.in_force = configuration
            also()

        return await self.fleet.reload(configuration, count, 0.0, decide)

    def signal(self, number: int, which: int) -> None:
        pid = self.fleet.workers[number - 1].pid
        assert pid is not None
        os.kill(pid, which)

    async def ready(self, number: int) -> None:
        """Wait until a worker has answered all that it was asked by a task that has just been made."""
        for _ in range(2):  # while it answers the first time, the task asks what it is going to ask
            await self.fleet.workers[number - 1].ask("state")

    async def noticed(self, number: int) -> None:
        """Wait until the parent knows that a worker's process has ended."""
        await self.fleet.workers[number - 1].life.closed.wait()

    async def serves(self, *upstreams: str) -> None:
        """Wait until every worker serves, and see what each has in force."""

        async def all_serve() -> bool:
            return all(worker.ready for worker in self.fleet.workers)

        await eventually(all_serve)
        states = await self.fleet.ask("state")
        assert [list(states[number]["upstreams"]) for number in sorted(states)] == [
            [one] for one in upstreams
        ]


@pytest.fixture(scope="module")
async def shared_house() -> AsyncIterator[House]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("GATEWAY_CONFIG_FILE", "gateway.yaml")
        house = House(3)
        try:
            await house.start()
            yield house
        finally:
            await house.fleet.stop(0.0)


@pytest.fixture
async def house(shared_house: House) -> House:
    """Three workers that have the old document in force. Starting them anew for each test would take longest."""
    await shared_house.reload(texts(OLD))
    await shared_house.serves(OLD, OLD, OLD)
    return shared_house


async def test_all_are_ready_and_go_over(house: House) -> None:
    assert await house.reload(texts(NEW)) == (1, 2, 3)
    await house.serves(NEW, NEW, NEW)
    assert await house.reload(texts(OLD), 1) == (1,)
    await house.serves(OLD)
    assert await house.reload(texts(NEW), 2) == (1, 2)
    await house.serves(NEW, NEW)


async def test_what_is_no_document_is_in_force_nowhere(house: House) -> None:
    wrong = texts(NEW) | {"document": "routes: []\nupstreams: {}\ncolour: red\n"}
    with pytest.raises(NotReadyError, match="colour") as caught:
        await house.reload(wrong, 4)
    assert list(caught.value.reasons) == [4]  # of the one that was to be added
    with pytest.raises(NotReadyError, match="colour") as caught:
        await house.reload(wrong)
    assert list(caught.value.reasons) == [1, 2, 3]
    await house.serves(OLD, OLD, OLD)


async def test_one_is_killed_while_it_gets_ready(house: House) -> None:
    house.signal(2, signal.SIGSTOP)
    reloading = asyncio.create_task(house.reload(texts(NEW)))
    for number in (1, 3):
        await house.ready(number)
    house.signal(2, signal.SIGKILL)
    with pytest.raises(NotReadyError, match=r"^worker 2: the worker has ended$"):
        await reloading
    await house.serves(OLD, OLD, OLD)
    assert await house.reload(texts(NEW)) == (1, 2, 3)
    await house.serves(NEW, NEW, NEW)


async def test_one_that_is_ready_is_killed_while_another_is_not(house: House) -> None:
    house.signal(3, signal.SIGSTOP)
    reloading = asyncio.create_task(house.reload(texts(NEW)))
    await house.ready(1)
    house.signal(1, signal.SIGKILL)
    await house.noticed(1)
    house.signal(3, signal.SIGCONT)
    with pytest.raises(NotReadyError, match=r"^worker 1: the worker has ended$"):
        await reloading
    await house.serves(OLD, OLD, OLD)


async def test_one_is_killed_after_the_decision(house: House) -> None:
    """Nobody can know that it was dead already: its successor begins with what was decided."""
    gone_over = await house.reload(texts(NEW), also=lambda: house.signal(2, signal.SIGKILL))
    assert gone_over == (1, 3)
    await house.serves(NEW, NEW, NEW)


async def test_one_is_killed_while_it_goes_over(house: House) -> None:
    decided = asyncio.Event()

    def stop() -> None:
        house.signal(2, signal.SIGSTOP)
        decided.set()

    reloading = asyncio.create_task(house.reload(texts(NEW), also=stop))
    await decided.wait()
    for number in (1, 3):
        await house.ready(number)
    house.signal(2, signal.SIGKILL)
    assert await reloading == (1, 3)
    await house.serves(NEW, NEW, NEW)


async def test_one_that_is_to_be_added_is_killed_before_the_decision(house: House) -> None:
    before = {one.pid for one in psutil.Process().children()}
    house.signal(1, signal.SIGSTOP)
    reloading = asyncio.create_task(house.reload(texts(NEW), 4))

    async def added() -> bool:
        return {one.pid for one in psutil.Process().children()} > before

    await eventually(added)
    (pid,) = {one.pid for one in psutil.Process().children()} - before
    for number in (2, 3):
        await house.ready(number)
    os.kill(pid, signal.SIGKILL)
    house.signal(1, signal.SIGCONT)
    with pytest.raises(NotReadyError, match=r"^worker 4: "):
        await reloading
    await house.serves(OLD, OLD, OLD)
    assert await house.reload(texts(NEW), 4) == (1, 2, 3, 4)
    await house.serves(NEW, NEW, NEW, NEW)


async def test_one_that_is_silent_is_named_and_nothing_changes(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleets, "RELOAD_PATIENCE_S", 0.3)
    house.signal(2, signal.SIGSTOP)
    with pytest.raises(NotReadyError, match=r"^worker 2: the worker does not answer within 0\.3 s$"):
        await house.reload(texts(NEW))
    house.signal(2, signal.SIGCONT)
    await house.serves(OLD, OLD, OLD)
    monkeypatch.undo()
    assert await house.reload(texts(NEW)) == (1, 2, 3)
    await house.serves(NEW, NEW, NEW)


async def test_one_that_is_being_started_gets_ready_as_well(house: House) -> None:
    house.signal(2, signal.SIGKILL)
    await house.noticed(2)
    await house.reload(texts(NEW))
    await house.serves(NEW, NEW, NEW)
    house.signal(2, signal.SIGKILL)
    await house.noticed(2)

    async def told() -> bool:
        return house.fleet.workers[1].told

    await eventually(told)
    assert await house.reload(texts(OLD)) == (1, 2, 3)
    await house.serves(OLD, OLD, OLD)
