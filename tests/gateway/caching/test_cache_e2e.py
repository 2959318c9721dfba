"""A real gateway with a cache between real sockets: stampedes, and the memory of a worker."""

import json
import random
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.gateway.caching.origin import Origin, running_origin
from tests.gateway.caller import Caller, calling
from tests.gateway.processes import GatewayProcess, Replica, eventually

pytestmark = pytest.mark.process

CALLERS = 1_000
BOUND = 16 * 1024**2


@asynccontextmanager
async def cached(folder: Path, **changes: Any) -> AsyncIterator[tuple[GatewayProcess, Origin]]:
    """A gateway whose one route has a cache, and its service."""
    async with running_origin() as origin:
        replicas = cast(list[Replica], [SimpleNamespace(port=origin.port)])
        config = {
            "auth": {"mode": "none"},
            "rate_limit": {"enabled": False},
            "limits": {"connections_per_client": 5_000},
            "routes": [
                {
                    "name": "all",
                    "prefix": "/",
                    "upstream": "echo",
                    "cache": {"visibility": "everyone", "bytes": BOUND},
                    **changes,
                }
            ],
        }
        gateway = GatewayProcess(folder, replicas, config, GATEWAY_LOG_FORMAT="json")
        try:
            await gateway.until_ready()
            yield gateway, origin
        finally:
            gateway.stop()


async def connected(stack: AsyncExitStack, gateway: GatewayProcess, count: int) -> list[Caller]:
    return [await stack.enter_async_context(calling(gateway.port)) for _ in range(count)]


async def all_ask(callers: list[Caller], target: bytes, more: bytes = b"") -> None:
    for caller in callers:
        await caller.send(b"GET %b HTTP/1.1\r\nHost: a\r\n%b\r\n" % (target, more))


async def until_asked(origin: Origin, target: bytes, count: int = 1) -> None:
    async def asked() -> bool:
        return origin.asked[target] >= count

    await eventually(asked)


async def test_a_stampede_makes_one_request(tmp_path: Path) -> None:
    async with cached(tmp_path) as (gateway, origin), AsyncExitStack() as stack:
        callers = await connected(stack, gateway, CALLERS)
        origin.gate.clear()
        await all_ask(callers, b"/much-wanted")
        await until_asked(origin, b"/much-wanted")
        origin.gate.set()
        answers = [await caller.answer() for caller in callers]
        assert {answer.status for answer in answers} == {200}
        assert len({answer.body for answer in answers}) == 1
        assert origin.asked[b"/much-wanted"] == 1


async def test_a_leader_that_leaves_takes_nobody_along(tmp_path: Path) -> None:
    async with cached(tmp_path) as (gateway, origin), AsyncExitStack() as stack:
        leader, *others = await connected(stack, gateway, CALLERS // 4)
        origin.gate.clear()
        await all_ask([leader], b"/left")
        await until_asked(origin, b"/left")
        await all_ask(others, b"/left")
        leader.writer.transport.abort()
        await until_asked(origin, b"/left", 2)
        origin.gate.set()
        assert {(await caller.answer()).status for caller in others} == {200}
        assert origin.asked[b"/left"] == 2


async def test_a_leader_that_fails_fails_nobody_else(tmp_path: Path) -> None:
    async with cached(tmp_path) as (gateway, origin), AsyncExitStack() as stack:
        leader, *others = await connected(stack, gateway, CALLERS // 4)
        origin.gate.clear()
        origin.fails = True
        await all_ask([leader], b"/failed")
        await until_asked(origin, b"/failed")
        await all_ask(others, b"/failed")
        origin.gate.set()
        assert (await leader.answer()).status == 500
        origin.fails = False
        statuses = [(await caller.answer()).status for caller in others]
        assert statuses.count(200) >= len(others) - 3
        assert origin.asked[b"/failed"] <= 5


async def test_whoever_waits_does_so_until_his_own_deadline(tmp_path: Path) -> None:
    async with cached(tmp_path, timeout_s=1.0) as (gateway, origin), AsyncExitStack() as stack:
        callers = await connected(stack, gateway, 20)
        origin.gate.clear()
        await all_ask(callers, b"/never")
        assert {(await caller.answer()).status for caller in callers} == {504}
        origin.gate.set()
        await all_ask(callers, b"/soon")
        assert {(await caller.answer()).status for caller in callers} == {200}


async def all_wait(gateway: GatewayProcess, origin: Origin, callers: list[Caller], target: bytes) -> None:
    """One of them asks the service, which does not answer yet, and the others wait for that one."""
    origin.gate.clear()
    await all_ask(callers[:1], target)
    await until_asked(origin, target)
    await all_ask(callers[1:], target)
    async with calling(gateway.port) as caller:  # who asks later is heard later
        await all_ask([caller], b"/livez")
        await caller.answer()


async def test_a_sigterm_lets_those_who_wait_have_their_answers(tmp_path: Path) -> None:
    async with cached(tmp_path) as (gateway, origin), AsyncExitStack() as stack:
        callers = await connected(stack, gateway, CALLERS // 4)
        await all_wait(gateway, origin, callers, b"/wanted")
        gateway.signal(signal.SIGTERM)

        async def refusing() -> bool:
            try:
                async with calling(gateway.port):
                    return False
            except ConnectionError:
                return True

        await eventually(refusing)
        origin.gate.set()
        answers = [await caller.answer() for caller in callers]
        assert {(answer.status, answer.closes) for answer in answers} == {(200, True)}
        assert origin.asked[b"/wanted"] == 1
        assert await gateway.ended() == 0


@pytest.mark.parametrize(
    ("change", "asked"),
    [
        ({}, 1),
        ({"cache": {"visibility": "everyone", "bytes": 2 * BOUND, "policy": "sieve"}}, 1),
        # What is fetched then is not stored for who comes later; those who wait already share one more fetch.
        ({"cache": None}, 2),
        ({"name": "another"}, 2),
    ],
    ids=["nothing", "another rule", "no cache", "another route"],
)
async def test_a_sighup_leaves_nobody_waiting(tmp_path: Path, change: dict[str, Any], asked: int) -> None:
    async with cached(tmp_path) as (gateway, origin), AsyncExitStack() as stack:
        callers = await connected(stack, gateway, CALLERS // 4)
        await all_wait(gateway, origin, callers, b"/wanted")
        document = json.loads(gateway.config_file.read_text())
        (route,) = document["routes"]
        reloaded = {"name": "reloaded", "prefix": "/reloaded", "upstream": "echo", "rewrite": "/readyz"}
        document["routes"] = [
            {name: value for name, value in (route | change).items() if value is not None},
            reloaded,
        ]
        gateway.config_file.write_text(json.dumps(document))
        gateway.signal(signal.SIGHUP)
        async with calling(gateway.port) as caller:

            async def is_reloaded() -> bool:
                await all_ask([caller], b"/reloaded", b"Cache-Control: only-if-cached\r\n")
                return (await caller.answer()).status == 200  # else nothing of that address is stored

            await eventually(is_reloaded)
        origin.gate.set()
        answers = [await caller.answer() for caller in callers]
        assert {answer.status for answer in answers} == {200}
        assert len({answer.body for answer in answers}) == 1
        assert origin.asked[b"/wanted"] == asked


async def test_a_worker_holds_what_it_may_and_no_more(tmp_path: Path) -> None:
    draw = random.Random(1)  # noqa: S311 - the same each time
    async with cached(tmp_path) as (gateway, origin), calling(gateway.port) as caller:

        async def read(target: bytes, size: int) -> None:
            origin.body_bytes = size
            await all_ask([caller], target)
            head = await caller.reader.readuntil(b"\r\n\r\n")
            assert b"; stored" in head
            assert len(await caller.reader.readexactly(size)) == size

        for number in range(200):  # what a worker needs anyway
            await read(b"/warm-%d" % number, 10)
        before, grown = gateway.rss(), []
        for round_ in range(5):
            for number in range(300):
                await read(b"/page-%d-%d" % (round_, number), draw.choice([2_000, 20_000, 80_000]))
            grown.append(gateway.rss() - before)
        print(f"{[round(one / BOUND, 3) for one in grown]} of the bound")
        # What allocators keep between objects is counted as well (`caching.memory`).
        assert max(grown) < 1.05 * BOUND
        assert max(grown) > 0.75 * BOUND
