"""Real gateways and workers that share a second level, and what becomes of callers when it is taken away."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx2
import pytest

from tests.gateway.caching.origin import Origin, running_origin
from tests.gateway.caching.second.servers import Valkey
from tests.gateway.caller import Answer, Caller, calling
from tests.gateway.processes import GatewayProcess, Replica, eventually

pytestmark = pytest.mark.process


def document(servers: list[Valkey], workers: int, **choices: Any) -> dict[str, Any]:
    """Of a gateway whose one route has a cache, and which shares it."""
    addresses = [{"host": "127.0.0.1", "port": server.port} for server in servers]
    return {
        "auth": {"mode": "none"},
        "workers": workers,
        "rate_limit": {"enabled": False},
        "shared_cache": {"servers": addresses, "timeout_s": 0.5, **choices},
        "routes": [
            {"name": "all", "prefix": "/", "upstream": "echo", "cache": {"visibility": "everyone"}},
        ],
    }


@asynccontextmanager
async def gateways(
    folder: Path, servers: list[Valkey], count: int, workers: int, **choices: Any
) -> AsyncIterator[tuple[Origin, list[GatewayProcess]]]:
    """So many, each of which is connected."""
    async with running_origin() as origin, AsyncExitStack() as stack:
        replicas = cast(list[Replica], [SimpleNamespace(port=origin.port)])
        running = []
        for number in range(count):
            own = folder / f"gateway-{number}"
            own.mkdir()
            gateway = GatewayProcess(
                own, replicas, document(servers, workers, **choices), admin=True, GATEWAY_LOG_FORMAT="json"
            )
            stack.callback(gateway.stop)
            running.append(gateway)
        links = len(servers) // 2 if choices.get("cluster") else 1
        for gateway in running:
            await gateway.until_ready()
            await until_connected(gateway, links, workers)
        yield origin, running


async def second(gateway: GatewayProcess) -> dict[str, Any]:
    async with gateway.admin() as admin:
        told: dict[str, Any] = (await admin.get("caches/second")).raise_for_status().json()
        return told


async def until_connected(gateway: GatewayProcess, links: int, workers: int) -> None:
    async def connected() -> bool:
        try:
            return list((await second(gateway))["workers"].values()) == [links] * workers
        except httpx2.TransportError:
            return False  # the admin API is there a little later

    await eventually(connected)


async def read(caller: Caller, target: bytes) -> tuple[Answer, bytes]:
    await caller.send(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target)
    answer = await caller.answer()
    [said] = answer.values(b"cache-status")
    return answer, said


async def until_stored(gateway: GatewayProcess, count: int) -> None:
    async def stored() -> bool:
        return int((await second(gateway))["counts"].get("stored", 0)) >= count

    await eventually(stored)


async def test_what_one_gateway_has_fetched_another_has(tmp_path: Path, shared_valkey: Valkey) -> None:
    shared_valkey.flush()
    async with gateways(tmp_path, [shared_valkey], 2, 1) as (origin, [first, other]):
        origin.body_bytes = 20_000
        async with calling(first.port) as caller, calling(other.port) as elsewhere:
            fetched, said = await read(caller, b"/x")
            assert said == b"kontor; fwd=uri-miss; stored"
            await until_stored(first, 1)
            shared, said = await read(elsewhere, b"/x")
            assert said.startswith(b"kontor-shared; hit; ttl=")
            assert said.endswith(b", kontor; fwd=miss; stored")
            assert shared.body == fetched.body
            own, said = await read(elsewhere, b"/x")
            assert said.startswith(b"kontor; hit; ttl=")
            assert own.body == fetched.body
        assert origin.asked[b"/x"] == 1
        told = await second(other)
        assert told["counts"] == {"hits": 1}
        assert (await second(first))["stored_bytes"] < 2_000
        async with other.admin() as admin:
            [cache] = (await admin.get("caches")).json()
            assert cache["requests"]["shared"] == 1
            assert cache["hit_ratio"] == 1
            explained = (await admin.get("explain", params={"path": "/never"})).json()
            assert "second level" in explained["cache"]["reason"]


async def test_workers_of_one_gateway_share_and_a_purge_reaches_all(
    tmp_path: Path, shared_valkey: Valkey
) -> None:
    shared_valkey.flush()
    async with gateways(tmp_path, [shared_valkey], 1, 2) as (origin, [gateway]):

        async def of_both() -> bool:
            async with calling(gateway.port) as caller:
                _, said = await read(caller, b"/x")
            return b"kontor-shared; hit" in said

        await eventually(of_both)  # once the other worker is asked
        assert origin.asked[b"/x"] == 1
        async with gateway.admin() as admin:
            order = {"route": "all", "path": "/x"}
            assert (await admin.post("caches/purge", json=order)).json()["dropped"] == 2
        async with calling(gateway.port) as caller:
            _, said = await read(caller, b"/x")
        assert said == b"kontor; fwd=uri-miss; stored"
        assert origin.asked[b"/x"] == 2


async def test_over_a_cluster(tmp_path: Path, valkey_cluster: list[Valkey]) -> None:
    async with gateways(tmp_path, valkey_cluster, 2, 1, cluster=True) as (origin, [first, other]):
        async with calling(first.port) as caller, calling(other.port) as elsewhere:
            for number in range(20):
                await read(caller, b"/%d" % number)
            await until_stored(first, 20)
            said = [(await read(elsewhere, b"/%d" % number))[1] for number in range(20)]
        assert all(one.startswith(b"kontor-shared; hit") for one in said)
        assert origin.asked.total() == 20


async def flush(valkey: Valkey) -> None:
    valkey.flush()


async def restart(valkey: Valkey) -> None:
    await asyncio.to_thread(valkey.restart)


async def take_away(valkey: Valkey) -> None:
    valkey.kill()
    await asyncio.sleep(0.5)
    await asyncio.to_thread(valkey.start)


async def stop(valkey: Valkey) -> None:
    valkey.pause()
    await asyncio.sleep(1.0)
    valkey.go_on()


class Load:
    """Callers of two gateways, who want many things, and some of them the same."""

    def __init__(self, running: list[GatewayProcess]) -> None:
        self.statuses: set[int] = set()
        self.wrong: list[bytes] = []
        self.number = 0
        self.done = asyncio.Event()
        self._running = running

    async def run(self, offset: int) -> None:
        async with calling(self._running[offset % 2].port) as caller:
            while not self.done.is_set():
                self.number += 1
                target = b"/%d" % ((self.number + 50 * offset) % 500)
                answer, _ = await read(caller, target)
                self.statuses.add(answer.status)
                if not answer.body.startswith(target):
                    self.wrong.append(target)


async def test_losing_the_servers_fails_nobody(tmp_path: Path, valkey: Valkey) -> None:
    async with gateways(tmp_path, [valkey], 2, 1, timeout_s=0.05) as (_, running):
        load = Load(running)
        async with asyncio.TaskGroup() as group:
            for offset in range(8):
                group.create_task(load.run(offset))
            for trouble in (flush, restart, take_away, stop):
                await asyncio.sleep(0.3)
                await trouble(valkey)
                for gateway in running:
                    await until_connected(gateway, 1, 1)
            load.done.set()
        assert load.statuses == {200}
        assert load.wrong == []
        async with calling(running[0].port) as caller, calling(running[1].port) as elsewhere:

            async def shared_again() -> bool:
                load.number += 1
                await read(caller, b"/again-%d" % load.number)
                _, said = await read(elsewhere, b"/again-%d" % load.number)
                return b"kontor-shared; hit" in said

            await eventually(shared_again)
        for gateway in running:
            told = await second(gateway)
            assert told["losses"] >= 3
            assert told["failures"].keys() & {"lost", "unavailable"}


async def test_a_reload_takes_it_up_and_lets_it_go(tmp_path: Path, shared_valkey: Valkey) -> None:
    async with gateways(tmp_path, [shared_valkey], 1, 1) as (_, [gateway]):
        with_it = json.loads(gateway.config_file.read_text())
        without = {name: section for name, section in with_it.items() if name != "shared_cache"}
        for wanted in (without, with_it):
            gateway.config_file.write_text(json.dumps(wanted))
            gateway.signal(signal.SIGHUP)
            status = 200 if wanted is with_it else 404

            async def told(status: int = status) -> bool:
                async with gateway.admin() as admin:
                    return (await admin.get("caches/second")).status_code == status

            await eventually(told)
        await until_connected(gateway, 1, 1)
        async with calling(gateway.port) as caller:
            answer, _ = await read(caller, b"/x")
        assert answer.status == 200
        assert await gateway.drain() == 0
